"""A folder as a user has it, and commands run in it."""

from __future__ import annotations

import os
import subprocess
import sys

import cv2
import numpy as np
import pytest
import yaml

from tests import warm
from tests.toys import L1, REPOSITORY, STUDENT, TEACHER, save_weights


def command(*arguments, cwd, launcher=(sys.executable, '-m')):
    """Started as a user starts it, seconds each; what is not about the start is quicker by `warm.command`."""
    environment = os.environ | {'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [*launcher, 'dukd_basicsr', *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip


@pytest.fixture(scope='module')
def workplace(tmp_path_factory):
    """A folder as a user has it: LMDB by `basicsr prepare`, validation images, a teacher, an options file."""
    folder = tmp_path_factory.mktemp('workplace')
    rng = np.random.default_rng(0)
    for name in ('HR', 'toy_val'):
        (folder / name).mkdir()
        for number in range(3):
            image = cv2.resize(rng.integers(0, 256, (12, 13, 3), np.uint8), (52, 48), interpolation=cv2.INTER_CUBIC)
            cv2.imwrite(str(folder / name / f'{number}.png'), image)
    shrunk = ['--scale', '2', '--workers', '1']
    done = warm.command(
        'prepare', 'HR', '--name', 'toy', *shrunk, '--size', '32', '--step', '16', '--min-size', '32', cwd=folder
    )
    assert done.returncode == 0, done.stderr
    done = warm.command('prepare', 'toy_val', '--preset', 'benchmark', *shrunk, cwd=folder)
    assert done.returncode == 0, done.stderr
    save_weights(folder / 'teacher.pth', TEACHER)
    data = {'type': 'PairedImageDataset'}
    opt = {
        'name': 'toy', 'model_type': 'DUKDModel', 'scale': 2, 'num_gpu': 0, 'manual_seed': 10,
        'datasets': {
            'train': data | {
                'name': 'toy', 'dataroot_gt': 'datasets/toy/toy_HR_sub.lmdb', 'io_backend': {'type': 'lmdb'},
                'dataroot_lq': 'datasets/toy/toy_LR_bicubic_X2_sub.lmdb', 'gt_size': 16, 'use_hflip': True,
                'use_rot': True, 'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2, 'dataset_enlarge_ratio': 10,
            },
            'val': data | {
                'name': 'toy_val', 'dataroot_gt': 'datasets/toy_val/GTmod2', 'io_backend': {'type': 'disk'},
                'dataroot_lq': 'datasets/toy_val/LRbicx2',
            },
        },
        'network_g': STUDENT, 'network_t': TEACHER,
        'path': {'pretrain_network_t': 'teacher.pth', 'param_key_t': 'params', 'resume_state': None},
        'train': {
            'ema_decay': 0.9, 'optim_g': {'type': 'Adam', 'lr': 1e-3, 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [4], 'gamma': 0.5},
            'total_iter': 4, 'warmup_iter': -1, 'pixel_opt': L1, 'kd_opt': L1, 'dukd_opt': L1,
        },
        'val': {'val_freq': 4, 'save_img': False,
                'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True}}},
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 2, 'use_tb_logger': False},
    }  # fmt: skip
    (folder / 'toy.yml').write_text(yaml.safe_dump(opt, sort_keys=False), encoding='utf-8')
    return folder
