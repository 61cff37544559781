"""A small folder from which a run would start: LMDBs, folders of images, checkpoints, another run, an options file."""

from __future__ import annotations

import json

import cv2
import lmdb
import numpy as np
import torch
import yaml

from tests.toys import L1, STUDENT, TEACHER, changed, save_weights

FILE = 'x.yml'
PAIRED = {'type': 'PairedImageDataset'}
OPTIONS = {
    'name': 'toy', 'model_type': 'DUKDModel', 'scale': 2, 'num_gpu': 0, 'manual_seed': 10,
    'datasets': {
        'train': PAIRED | {
            'name': 'toy', 'dataroot_gt': 'HR.lmdb', 'dataroot_lq': 'LR.lmdb', 'io_backend': {'type': 'lmdb'},
            'gt_size': 16, 'use_hflip': True, 'use_rot': True, 'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2,
        },
        'val': PAIRED | {
            'name': 'set', 'dataroot_gt': 'val/HR', 'dataroot_lq': 'val/LR', 'io_backend': {'type': 'disk'},
        },
    },
    'network_g': STUDENT, 'network_t': TEACHER,
    'path': {'pretrain_network_t': 'teacher.pth', 'resume_state': None},
    'train': {
        'ema_decay': 0.9, 'optim_g': {'type': 'Adam', 'lr': 1e-3, 'betas': [0.9, 0.99]},
        'scheduler': {'type': 'MultiStepLR', 'milestones': [4], 'gamma': 0.5}, 'total_iter': 4, 'pixel_opt': L1,
        'kd_opt': L1, 'dukd_opt': L1 | {'zoom_in': {'num': 1}, 'consistency': {'prob': 0.3}},
    },
    'val': {'val_freq': 4, 'save_img': False, 'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 2}}},
    'logger': {'print_freq': 1, 'save_checkpoint_freq': 2, 'use_tb_logger': False},
}  # fmt: skip
"""A run that nothing is wrong with."""
LARGER = {**STUDENT, 'num_feat': 8}


def encoded(height, width, suffix='.png'):
    """An image of noise as a file's bytes."""
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    return cv2.imencode(suffix, image)[1].tobytes()


def write_lmdb(folder, images):
    """An LMDB as `basicsr prepare` writes it, of (height, width) by key."""
    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        for key, size in images.items():
            transaction.put(key.encode(), encoded(*size))
    (folder / 'lock.mdb').unlink()
    (folder / 'meta_info.txt').write_text(''.join(f'{key}.png ({h},{w},3) 1\n' for key, (h, w) in images.items()))


def replace_value(folder, key, value):
    """Put another value, or None for no value, under a key of an LMDB."""
    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as transaction:
        transaction.put(key.encode(), value) if value is not None else transaction.delete(key.encode())
    (folder / 'lock.mdb').unlink()


def make(folder):
    """Fill a folder with what OPTIONS name, and with the run `other`, stopped at iteration 4, of a larger student."""
    write_lmdb(folder / 'HR.lmdb', {f'{number:04}': (32, 32) for number in range(4)})
    write_lmdb(folder / 'LR.lmdb', {f'{number:04}': (16, 16) for number in range(4)})
    for name, side in (('HR', 24), ('LR', 12)):
        (folder / 'val' / name).mkdir(parents=True)
        for number in range(2):
            (folder / 'val' / name / f'{number}.png').write_bytes(encoded(side, side + side // 6))
    save_weights(folder / 'teacher.pth', TEACHER)
    save_weights(folder / 'student.pth', STUDENT)
    for name, network in (('other', LARGER), ('same', STUDENT)):
        run = folder / 'experiments' / name
        for part in ('models', 'training_states'):
            (run / part).mkdir(parents=True)
        net = save_weights(run / 'models' / 'net_g_4.pth', network)
        optimizer = torch.optim.Adam(net.parameters())
        state = {'epoch': 0, 'iter': 4, 'optimizers': [optimizer.state_dict()], 'schedulers': []}
        torch.save(state, run / 'training_states' / '4.state')


def write_options(folder, changes):
    """The options file, with dotted keys set or deleted."""
    own = json.loads(json.dumps(OPTIONS))  # nothing is shared between sections
    text = yaml.safe_dump(changed(own, changes), sort_keys=False, allow_unicode=True)
    (folder / FILE).write_text(text, encoding='utf-8')


def listing(folder):
    """Every path below a folder, with size and time of change of files."""
    paths = sorted(folder.rglob('*'))
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns) if path.is_file() else None
        for path in paths
    }
