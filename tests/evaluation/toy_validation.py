"""A validation set of tiny images, and options that validate on it."""

from __future__ import annotations

import copy

import cv2
import numpy as np
from basicsr.data import build_dataloader, build_dataset

from tests.toys import train_options

SIZES = [(20, 24), (20, 24), (18, 30), (20, 24), (25, 19)]


METRICS = {
    'psnr': {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True, 'better': 'higher'},
    'ssim': {'type': 'calculate_ssim', 'crop_border': 2},
    'flat': {'type': 'calculate_psnr', 'crop_border': 0, 'better': 'lower'},
}


def write_images(folder, sizes=SIZES):
    rng = np.random.default_rng(0)
    for kind, scale in (('lq', 1), ('gt', 2)):
        (folder / kind).mkdir(exist_ok=True)
        for place, (height, width) in enumerate(sizes):
            image = rng.integers(0, 256, (scale * height, scale * width, 3), np.uint8)
            cv2.imwrite(str(folder / kind / f'photo{place}.png'), cv2.blur(image, (5, 5)))


def loader_of(folder, with_gt=True):
    opt = {'name': 'toys', 'phase': 'val', 'scale': 2, 'dataroot_lq': str(folder / 'lq'), 'type': 'SingleImageDataset',
           'io_backend': {'type': 'disk'}}  # fmt: skip
    if with_gt:
        opt |= {'type': 'PairedImageDataset', 'dataroot_gt': str(folder / 'gt')}
    dataset = build_dataset(opt)
    dataset.paths.sort(key=str)
    return build_dataloader(dataset, opt, num_gpu=0)


def options(folder, model_type='SRModel', out='results', ema=0.9, **val):
    opt = train_options(folder, model_type, ema_decay=ema)
    if model_type == 'SwinIRModel':
        opt['network_g'] = copy.deepcopy(SWINIR)
    opt['path']['visualization'] = str(folder / out)
    opt['val'] = {'metrics': copy.deepcopy(METRICS), 'suffix': None, **val}
    return opt


SWINIR = {
    'type': 'SwinIR', 'upscale': 2, 'in_chans': 3, 'img_size': 16, 'window_size': 8, 'img_range': 1.0, 'depths': [2],
    'embed_dim': 8, 'num_heads': [2], 'mlp_ratio': 2, 'upsampler': 'pixelshuffledirect', 'resi_connection': '1conv',
}  # fmt: skip
