"""Validation against BasicSR's own, in one run: how many times faster, and whether anything differs.

    python -m benchmarks.speed.validation [--images 8] [--rounds 3] [--threads 2] [--device cpu] [--json FILE]

Both validate the same network of random weights on the same photographs (scikit-image's, x4), PSNR and SSIM on Y, in
turns; the times are the best of all rounds. 'same' compares every metric and every byte of every file. The first
network is none (pixels repeated): what is left of a validation when the network costs nothing, as on a large GPU.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
from benchmarks.common import write_json

# isort: split
import cv2
import numpy as np
import skimage.data
import torch
from basicsr.data import build_dataloader, build_dataset
from basicsr.models import build_model
from torch import Tensor, nn

from dukd_basicsr import compat
from dukd_basicsr.commands.demo.photographs import HELD_OUT, TRAIN
from dukd_basicsr.resize import imresize

SCALE = 4
NETWORKS = {'none': (4, 1), 'EDSR 32x4': (32, 4), 'EDSR 64x16': (64, 16)}
METRICS = {
    'psnr': {'type': 'calculate_psnr', 'crop_border': SCALE, 'test_y_channel': True},
    'ssim': {'type': 'calculate_ssim', 'crop_border': SCALE, 'test_y_channel': True},
}


class Repeat(nn.Module):
    def forward(self, lq: Tensor) -> Tensor:
        return lq.repeat_interleave(SCALE, -1).repeat_interleave(SCALE, -2)


def write_images(folder: Path, count: int) -> None:
    for kind in ('gt', 'lq'):
        (folder / kind).mkdir()
    for name in sorted((*HELD_OUT, *TRAIN))[:count]:
        gt = cv2.imread(str(Path(skimage.data.__file__).parent / name))
        gt = gt[: gt.shape[0] // SCALE * SCALE, : gt.shape[1] // SCALE * SCALE]
        lq = imresize(torch.from_numpy(gt.transpose(2, 0, 1)[None] / np.float32(255)), 1 / SCALE)
        lq = (lq[0].clamp(0, 1) * 255).round().numpy().astype(np.uint8).transpose(1, 2, 0)
        cv2.imwrite(str(folder / 'gt' / f'{Path(name).stem}.png'), gt)
        cv2.imwrite(str(folder / 'lq' / f'{Path(name).stem}.png'), lq)


def build(folder: Path, network: str, device: str) -> tuple[nn.Module, torch.utils.data.DataLoader]:
    """A model in test mode and its loader."""
    features, blocks = NETWORKS[network]
    data = {'name': 'photographs', 'type': 'PairedImageDataset', 'phase': 'val', 'scale': SCALE,
            'dataroot_gt': str(folder / 'gt'), 'dataroot_lq': str(folder / 'lq'),
            'io_backend': {'type': 'disk'}}  # fmt: skip
    torch.manual_seed(0)
    model = build_model({
        'name': 'run', 'model_type': 'SRModel', 'num_gpu': int(device == 'cuda'), 'is_train': False, 'dist': False,
        'rank': 0, 'world_size': 1, 'path': {}, 'val': {'metrics': METRICS, 'suffix': None},
        'network_g': {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': features, 'num_block': blocks,
                      'upscale': SCALE},
    })  # fmt: skip
    if network == 'none':
        model.net_g = Repeat()
    return model, build_dataloader(build_dataset(data), data, num_gpu=0)


def timed(run: Callable[..., None], model: nn.Module, loader: object, out: Path, save_img: bool) -> float:
    model.opt['path']['visualization'] = str(out)
    start = time.perf_counter()
    run(model, loader, 'run', None, save_img)
    return time.perf_counter() - start


def compare(folder: Path, network: str, save_img: bool, args: argparse.Namespace) -> dict:
    """Both in turns, after a round that is not timed."""
    model, loader = build(folder, network, args.device)
    runs = {'stock': compat.stock(compat.nondist_validation), 'ours': compat.nondist_validation}
    times: dict[str, list[float]] = {name: [] for name in runs}
    results, files = {}, {}
    for _ in range(args.rounds + 1):
        for name, run in runs.items():
            out = folder / f'{network} {name}'
            times[name].append(timed(run, model, loader, out, save_img))
            results[name] = model.metric_results
            files[name] = {path.relative_to(out): path.read_bytes() for path in out.rglob('*.png')}
    stock, ours = (min(times[name][1:]) for name in ('stock', 'ours'))
    return {'network': network, 'save_img': save_img, 'stock_s': stock, 'ours_s': ours, 'ratio': stock / ours,
            'same': results['stock'] == results['ours'] and files['stock'] == files['ours'],
            'psnr': float(results['ours']['psnr'])}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=int, default=8)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    logging.getLogger('basicsr').setLevel('ERROR')
    environment = {'torch': torch.__version__, 'threads': args.threads, 'cores': os.cpu_count(), 'images': args.images,
                   'machine': platform.machine(), 'device': args.device}  # fmt: skip
    print(', '.join(f'{key} {value}' for key, value in environment.items()) + '\n')
    print('| network | save_img | BasicSR s | ours s | times faster | same |')
    print('|---|---|---|---|---|---|')
    rows = []
    with tempfile.TemporaryDirectory() as place:
        write_images(Path(place), args.images)
        for network in NETWORKS:
            for save_img in (False, True):
                rows.append(row := compare(Path(place), network, save_img, args))
                print(f'| {network} | {str(save_img).lower()} | {row["stock_s"]:.2f} | {row["ours_s"]:.2f} '
                      f'| {row["ratio"]:.2f} | {"yes" if row["same"] else "NO"} |', flush=True)  # fmt: skip
    write_json(args.json, {'environment': environment, 'rows': rows})


if __name__ == '__main__':
    main()
