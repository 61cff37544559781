"""A tiny training set of two sizes and its upcycled cache, for several test modules."""

from __future__ import annotations

import cv2
import lmdb
import numpy as np
import torch

from dukd_basicsr.data.cache.shards import find_shards
from dukd_basicsr.data.lmdb import LmdbReader
from dukd_basicsr.distillation.labelling import run as command
from dukd_basicsr.distillation.teacher import Teacher
from tests.toys import L1, STUDENT, TEACHER, save_weights

SCALE = 2
SHAPES = [(18, 15), (15, 18), (18, 15), (18, 18), (15, 18)]
"""Of the LR sub-images; 15 is not a multiple of the scale."""


def make_pairs(folder, count=5, scale=SCALE):
    """HR and LR LMDBs as `basicsr prepare` leaves them, with random pixels."""
    rng = np.random.default_rng(0)
    for name, factor in (('hr.lmdb', scale), ('lr.lmdb', 1)):
        env = lmdb.open(str(folder / name), map_size=2**24)
        lines = []
        with env.begin(write=True) as transaction:
            for n in range(count):
                height, width = (side * factor for side in SHAPES[n % len(SHAPES)])
                data = cv2.imencode('.png', rng.integers(0, 256, (height, width, 3), np.uint8))[1]
                transaction.put(f'im{n}_s001'.encode(), data.tobytes())
                lines.append(f'im{n}_s001.png ({height},{width},3) 1\n')
        env.close()
        (folder / name / 'meta_info.txt').write_text(''.join(lines))


def images(folder, key):
    """LR and HR sub-image, float RGB (3, H, W)."""
    found = []
    for name in ('lr.lmdb', 'hr.lmdb'):
        image = cv2.imdecode(np.frombuffer(LmdbReader(folder / name).get(key), np.uint8), cv2.IMREAD_COLOR)
        found.append(torch.from_numpy(image[..., ::-1].astype(np.float32) / 255).permute(2, 0, 1))
    return found


def dataset_options(folder, cache, gt_size=12):
    """`datasets.train` as parse_options leaves it."""
    return {
        'name': 'toy', 'type': 'UpcycledImageDataset', 'dataroot_gt': str(folder / 'hr.lmdb'),
        'dataroot_lq': str(folder / 'lr.lmdb'), 'dataroot_upcycled': str(cache), 'io_backend': {'type': 'lmdb'},
        'gt_size': gt_size, 'use_hflip': True, 'use_rot': True, 'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2,
        'scale': SCALE, 'phase': 'train',
    }  # fmt: skip


def run_options(folder, cache, **train):
    """Options of a DUKD run on the cache, with the teacher's checkpoint in `folder`, as a YAML file has them."""
    if not (folder / 'teacher.pth').exists():
        save_weights(folder / 'teacher.pth', TEACHER)
    dataset = dataset_options(folder, cache)
    del dataset['scale'], dataset['phase']
    losses = {'pixel_opt': L1, 'kd_opt': L1, 'dukd_opt': L1} | train
    return {
        'name': 'toy', 'model_type': 'DUKDModel', 'scale': SCALE, 'num_gpu': 0, 'manual_seed': 10,
        'datasets': {'train': dataset}, 'network_g': STUDENT, 'network_t': TEACHER,
        'path': {'pretrain_network_t': str(folder / 'teacher.pth'), 'resume_state': None},
        'train': {
            'ema_decay': 0.9, 'optim_g': {'type': 'Adam', 'lr': 1e-3, 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [4], 'gamma': 0.5}, 'total_iter': 4, **losses,
        },
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 4, 'use_tb_logger': False},
    }  # fmt: skip


def cached(folder, patches, teacher=None, target=None, **request):
    """Write a cache of the pairs in `folder`, by this process, with a teacher of one's own if given."""
    target = target or folder / 'cache.lmdb'
    opt = run_options(folder, target)
    if teacher is not None:
        patches.setattr(command, 'build_teacher', lambda opt: Teacher(teacher))
    return command.run(opt, command.Request(target, **request))


def records(cache):
    """Every record by key, from all shards."""
    found = {}
    for path in find_shards(cache):
        with lmdb.open(str(path), readonly=True, lock=False) as env, env.begin() as transaction:
            found |= {bytes(key).decode(): bytes(value) for key, value in transaction.cursor()}
    return found
