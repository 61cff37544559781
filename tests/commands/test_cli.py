"""The command as a user types it, in processes of its own."""

import os
import re
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import yaml

from dukd_basicsr.cli import build_parser
from tests.toys import L1, REPOSITORY, STUDENT, TEACHER, save_weights

COMMANDS = ['train', 'test', 'prepare', 'upcycle', 'benchmark', 'demo', 'convert', 'export', 'options', 'doctor']


def command(*arguments, cwd, launcher=(sys.executable, '-m')):
    environment = os.environ | {'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'}
    return subprocess.run(
        [*launcher, 'dukd_basicsr', *map(str, arguments)],
        cwd=cwd, env=environment, capture_output=True, text=True, timeout=240, check=False,
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
    done = command(
        'prepare', 'HR', '--name', 'toy', *shrunk, '--size', '32', '--step', '16', '--min-size', '32', cwd=folder
    )
    assert done.returncode == 0, done.stderr
    done = command('prepare', 'toy_val', '--preset', 'benchmark', *shrunk, cwd=folder)
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


def iterations(text):
    return [int(found) for found in re.findall(r'iter:\s+(\d+),', text)]


def test_train_resume_and_test(workplace):
    done = command('train', '-opt', 'toy.yml', cwd=workplace)
    assert done.returncode == 0, done.stderr
    experiment = workplace / 'experiments' / 'toy'
    log = next(experiment.glob('train_*.log')).read_text()
    assert iterations(log) == [1, 2, 3, 4]
    first = next(line for line in log.splitlines() if 'iter:       1,' in line)
    for term in ('l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix'):
        assert re.search(rf' {term}: \d\.\d{{4}}e[-+]\d\d', first), term
    assert log.index('Teacher on toy_val (iteration 0)') < log.index('Start training') < log.index('Validation toy_val')
    models = sorted(path.name for path in (experiment / 'models').iterdir())
    assert models == ['net_g_2.pth', 'net_g_4.pth', 'net_g_latest.pth']

    # Another folder is where BasicSR's own --auto_resume starts over and archives the run; here it goes on.
    more = ['--auto_resume', '--force_yml', 'train:total_iter=6']
    done = command('train', '-opt', 'toy.yml', *more, cwd=workplace)
    assert done.returncode == 0, done.stderr
    newest = max(experiment.glob('train_*.log'), key=lambda path: path.stat().st_mtime).read_text()
    assert 'Resuming training from epoch' in newest
    assert iterations(newest) == [5, 6]
    assert not list(workplace.glob('experiments/*archived*'))

    trained = experiment / 'models' / 'net_g_latest.pth'
    done = command('test', '-opt', 'toy.yml', '--force_yml', f'path:pretrain_network_g={trained}',
                   'val:suffix=~', cwd=workplace)  # fmt: skip
    assert done.returncode == 2  # a train file has no test sets: said before anything is created
    assert not (workplace / 'results').exists()


def test_torchrun_on_two_processes_without_cuda(workplace):
    launcher = (sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_port=29517', '-m')
    done = command(
        'train', '-opt', 'toy.yml', '--launcher', 'pytorch', '--force_yml', 'name=toy_two', 'val:val_freq=2',
        cwd=workplace, launcher=launcher,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    log = next((workplace / 'experiments' / 'toy_two').glob('train_*.log')).read_text()
    assert iterations(log) == [1, 2, 3, 4]
    assert 'World size (gpu number): 2' in log
    assert 'DistributedDataParallel - EDSR' in log


@pytest.mark.parametrize(
    ('mistake', 'message'),
    [
        ('network_t:num_block=5', 'path.pretrain_network_t: teacher.pth does not fit EDSR as configured: body.2'),
        ('path:pretrain_network_t=none.pth', 'none.pth'),
        ('train:total_itr=3', 'Did you mean "total_iter"?'),
    ],
)
def test_mistakes_end_before_anything_is_created(workplace, mistake, message):
    done = command('train', '-opt', 'toy.yml', '--force_yml', 'name=mistaken', mistake, cwd=workplace)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (workplace / 'experiments' / 'mistaken').exists()


def test_help_of_every_command_needs_no_torch(tmp_path):
    script = (
        'import sys, contextlib, io\nfrom dukd_basicsr.cli import main\n'
        f'for command in {COMMANDS}:\n'
        '    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n'
        '        main([command, "--help"])\n'
        'heavy = {"torch", "basicsr", "cv2", "numpy", "torchvision"} & set(sys.modules)\n'
        'assert not heavy, heavy'
    )
    environment = os.environ | {'PYTHONPATH': str(REPOSITORY)}
    started = time.monotonic()
    subprocess.run([sys.executable, '-c', script], env=environment, check=True, cwd=tmp_path)
    assert time.monotonic() - started < 5  # generous: what matters is the absence of the imports


def test_stock_flags_are_understood():
    args = build_parser().parse_args(
        ['train', '-opt', 'x.yml', '--auto_resume', '--debug', '--launcher', 'pytorch', '--local-rank=1',
         '--force_yml', 'a:b=1', 'c=2']
    )  # fmt: skip
    assert (args.auto_resume, args.debug, args.launcher, args.local_rank) == (True, True, 'pytorch', 1)
    assert args.force_yml == ['a:b=1', 'c=2']


def test_doctor_reports(tmp_path):
    done = command('doctor', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ('torch ', 'basicsr 1.4.2 imported from', 'DUKDModel', 'devices:', 'all is well'):
        assert text in done.stdout
