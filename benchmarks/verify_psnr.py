"""PSNR-Y of a test options file, computed independently of BasicSR: own luma, scikit-image's PSNR.

    python benchmarks/verify_psnr.py -opt options/test_edsr_f64b8_x2.yml

Prints, for every set, `basicsr benchmark`'s mean beside this one and their difference.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from skimage.metrics import peak_signal_noise_ratio

from dukd_basicsr import options
from dukd_basicsr.evaluation.benchmark import run as benchmark


def luma(image: np.ndarray) -> np.ndarray:
    """ITU-R BT.601 luma of 8-bit BGR in 16..235, unrounded, as MATLAB's rgb2ycbcr on doubles."""
    blue, green, red = (image[..., channel].astype(np.float64) for channel in range(3))
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def psnr_y(net: torch.nn.Module, lq: Path, gt: Path, border: int) -> float:
    from dukd_basicsr.evaluation.benchmark.measure import super_resolve

    image = cv2.imread(str(lq))[..., ::-1].copy()
    output = super_resolve(net, torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    sr = (output[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()[..., ::-1]
    inner = slice(border, -border)
    pair = [luma(picture)[inner, inner] for picture in (cv2.imread(str(gt)), sr)]
    return peak_signal_noise_ratio(*pair, data_range=255)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('-opt', type=Path, required=True)
    file = parser.parse_args().opt
    opt = options.load(file)
    row = benchmark.run([file], None)['rows'][1]

    from dukd_basicsr.networks.build import load_network

    path = opt['path']
    net = load_network(opt['network_g'], path['pretrain_network_g'], path.get('param_key_g', 'params')).eval()
    for section in opt['datasets'].values():
        folder = Path(section['dataroot_gt'])
        values = [
            psnr_y(net, Path(section['dataroot_lq']) / gt.name, gt, opt['scale'])
            for gt in sorted(folder.iterdir())
            if not gt.name.startswith('.')
        ]
        ours = row['scores'][section['name']]['psnr']
        print(f'{section["name"]}: benchmark {ours:.4f}, independent {np.mean(values):.4f}, '
              f'difference {ours - np.mean(values):+.5f} dB over {len(values)} images')  # fmt: skip


if __name__ == '__main__':
    main()
