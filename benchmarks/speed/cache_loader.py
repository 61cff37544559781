"""What the labels add to the loading of a sample; a part of cache.py."""

from __future__ import annotations

import random
import statistics
import tempfile
import time
from pathlib import Path

SCALE, PATCH, SIDE = 4, 48, 480
L1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}


def loader() -> dict:
    """Milliseconds a sample on one core, of 480x480 sub-images at x4, kept as PNG and uncompressed."""
    import dukd_basicsr.plugin  # noqa: F401

    # isort: split
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    found = {}
    for suffix in ('.png', '.bmp'):
        with tempfile.TemporaryDirectory() as folder:
            found |= {f'{title}, LMDBs of {suffix[1:]}': ms for title, ms in of_codec(Path(folder), suffix).items()}
    return found


def of_codec(folder: Path, suffix: str) -> dict:
    import torch
    from basicsr.data import build_dataset

    from dukd_basicsr.distillation.labelling import run as upcycle
    from dukd_basicsr.networks.weights import build_network

    edsr = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1, 'upscale': SCALE}
    torch.save({'params': build_network(edsr).state_dict()}, folder / 'teacher.pth')
    make_lmdbs(folder, suffix)
    dataset = {
        'name': 'b', 'type': 'PairedImageDataset', 'dataroot_gt': f'{folder}/hr.lmdb', 'scale': SCALE,
        'dataroot_lq': f'{folder}/lr.lmdb', 'io_backend': {'type': 'lmdb'}, 'gt_size': SCALE * PATCH,
        'use_hflip': True, 'use_rot': True, 'phase': 'train',
    }  # fmt: skip
    opt = {
        'scale': SCALE, 'num_gpu': 0, 'manual_seed': 0, 'network_g': edsr, 'network_t': edsr,
        'datasets': {'train': dataset}, 'path': {'pretrain_network_t': f'{folder}/teacher.pth'},
        'train': {'kd_opt': L1, 'dukd_opt': L1},
    }  # fmt: skip
    cache = upcycle.run(opt, upcycle.Request(folder / 'cache.lmdb'))
    upcycled = {**dataset, 'type': 'UpcycledImageDataset', 'dataroot_upcycled': str(cache)}
    return {'pairs': sample_ms(build_dataset(dataset)), 'pairs and labels': sample_ms(build_dataset(upcycled))}


def sample_ms(dataset) -> float:  # noqa: ANN001
    times = []
    for n in range(5 * len(dataset)):
        random.seed(n)
        start = time.perf_counter()
        dataset[n % len(dataset)]
        times.append(time.perf_counter() - start)
    return statistics.median(times[len(dataset) :]) * 1e3


def make_lmdbs(folder: Path, suffix: str, count: int = 16) -> None:
    """Photographs of scikit-image, 480x480, and their LR, as `basicsr prepare` writes them."""
    import cv2
    import lmdb
    import skimage.data

    from datasets_prep.images import shrink

    photograph = cv2.imread(str(Path(skimage.data.__file__).parent / 'hubble_deep_field.jpg'))
    step = (min(photograph.shape[:2]) - SIDE) // 4
    for kind, side in (('hr', SIDE), ('lr', SIDE // SCALE)):
        env = lmdb.open(str(folder / f'{kind}.lmdb'), map_size=2**28)
        with env.begin(write=True) as transaction:
            for n in range(count):
                top, left = step * (n // 4), step * (n % 4)
                image = photograph[top : top + SIDE, left : left + SIDE]
                image = image if kind == 'hr' else shrink(image, SCALE)
                data = cv2.imencode(suffix, image)[1]
                transaction.put(f'i{n}'.encode(), data.tobytes())
        env.close()
        lines = [f'i{n}.png ({side},{side},3) 1\n' for n in range(count)]
        (folder / f'{kind}.lmdb' / 'meta_info.txt').write_text(''.join(lines))
