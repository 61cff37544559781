"""Options files for `basicsr benchmark` on two tiny images."""

from __future__ import annotations

import cv2
import numpy as np
import yaml

from tests.toys import STUDENT, save_weights

PSNR = {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True}


SSIM = {'type': 'calculate_ssim', 'crop_border': 2, 'test_y_channel': True}


def write_options(folder, name, teacher=None, **changes):
    """A test options file whose student has its own weights; the set has two images of odd sizes."""
    save_weights(folder / f'{name}.pth', STUDENT)
    rng = np.random.default_rng(1)
    for number, (height, width) in enumerate([(21, 34), (26, 19)]):
        for kind, scale in (('lq', 1), ('gt', 2)):
            (folder / kind).mkdir(exist_ok=True)
            image = cv2.GaussianBlur(rng.integers(0, 256, (scale * height, scale * width, 3), np.uint8), (5, 5), 2)
            cv2.imwrite(str(folder / kind / f'{number}.png'), image)
    opt = {
        'name': name, 'model_type': 'SRModel', 'scale': 2, 'num_gpu': 0, 'network_g': STUDENT,
        'datasets': {'test': {'name': 'odd', 'type': 'PairedImageDataset', 'dataroot_gt': str(folder / 'gt'),
                              'dataroot_lq': str(folder / 'lq'), 'io_backend': {'type': 'disk'}}},
        'path': {'pretrain_network_g': str(folder / f'{name}.pth')},
        'val': {'save_img': False, 'metrics': {'psnr': PSNR, 'ssim': SSIM}},
    }  # fmt: skip
    if teacher is not None:
        save_weights(folder / 'teacher.pth', teacher)
        opt |= {'network_t': teacher, 'model_type': 'DUKDModel'}
        opt['path']['pretrain_network_t'] = str(folder / 'teacher.pth')
    file = folder / f'{name}.yml'
    file.write_text(yaml.safe_dump(opt | changes), encoding='utf-8')
    return file
