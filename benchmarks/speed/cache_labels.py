"""Ways to store a teacher's label, measured on real ones; a part of cache.py."""

from __future__ import annotations

import argparse
import math
import random
import time
from pathlib import Path

SIDE = 480
"""Of the sub-image that bytes and times are given for."""


def codecs() -> dict:
    """Name: (bits, low, high, how it is stored)."""
    from dukd_basicsr.data.cache.record import HIGH, LOW

    return {
        '8-bit PNG, [0, 1]': (8, 0, 1, 'png'),
        f'8-bit PNG, [{LOW}, {HIGH}]': (8, LOW, HIGH, 'png'),
        '10 bit in 16-bit PNG': (10, LOW, HIGH, 'png'),
        '12 bit in 16-bit PNG': (12, LOW, HIGH, 'png'),
        '16-bit PNG': (16, LOW, HIGH, 'png'),
        '16 bit raw': (16, LOW, HIGH, 'raw'),
        '11-11-10 words (ours)': (0, LOW, HIGH, 'words'),
    }


def stored(label, bits: int, low: float, high: float, how: str, crop: int) -> tuple:  # noqa: ANN001
    """Rounded label (H, W, 3), bytes, seconds to encode and to decode one crop of a training."""
    import cv2
    import numpy as np
    import torch

    from dukd_basicsr.data.cache.record import pack, unpack

    planes = torch.from_numpy(label).permute(2, 0, 1).contiguous()  # as a teacher gives it
    levels, start = 2**bits - 1, time.perf_counter()
    if how == 'words':
        data = pack(planes)
    else:
        rounded = np.clip(np.rint((label - low) / (high - low) * levels), 0, levels)
        data = rounded.astype(np.uint8 if bits == 8 else np.uint16)
        whole = data
        if how == 'png':
            data = cv2.imencode('.png', data, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
    middle = time.perf_counter()
    if how == 'words':
        unpack(data[:crop, :crop])
    else:
        image = cv2.imdecode(data, cv2.IMREAD_UNCHANGED) if how == 'png' else data
        np.ascontiguousarray(image[:crop, :crop].transpose(2, 0, 1)).astype(np.float32) * ((high - low) / levels) + low
    end = time.perf_counter()
    back = unpack(data).transpose(1, 2, 0) if how == 'words' else whole.astype(np.float64) / levels * (high - low) + low
    return back, data.nbytes, middle - start, end - middle


def fidelity(args: argparse.Namespace) -> dict:
    """The table of codecs, and bf16 beside fp32, on labels of a real teacher."""
    import dukd_basicsr.plugin  # noqa: F401

    # isort: split
    import cv2
    import numpy as np
    import torch

    from dukd_basicsr import options
    from dukd_basicsr.distillation.labelling.source import Source
    from dukd_basicsr.distillation.teacher import build_teacher

    cv2.setNumThreads(1)
    opt = options.load(args.opt)
    train = opt['datasets']['train']
    source = Source(Path(train['dataroot_gt']), Path(train['dataroot_lq']), opt['scale'])
    keys = random.Random(0).sample(list(source.shapes), args.images)
    teacher = build_teacher(opt).to(args.device)
    crop = train['gt_size']
    rows: dict[str, list] = {name: [] for name in codecs()}
    reduced, outside = [], []
    for pair in source.read_pairs(keys):
        lq = torch.from_numpy(pair.lq.copy()).to(args.device).permute(2, 0, 1)[None] / 255
        exact = teacher(lq)[0].permute(1, 2, 0).cpu().numpy()
        gt = pair.gt / 255
        outside.append([((exact < 0) | (exact > 1)).mean(), exact.min(), exact.max()])
        for name, codec in codecs().items():
            back, size, encode, decode = stored(exact, *codec, crop)
            part = SIDE**2 * 3 / exact.size
            rows[name].append([size * part, encode * part, decode, psnr(exact, gt) - psnr(back, gt), psnr(exact, gt)])
        with torch.no_grad(), torch.autocast(args.device, torch.bfloat16):
            half = teacher(lq)[0].float().permute(1, 2, 0).cpu().numpy()
        reduced.append([psnr(exact, gt) - psnr(half, gt), psnr(half, exact)])
    table = {}
    for name, found in rows.items():
        size, encode, decode, lost, _ = np.array(found).T
        table[name] = {'kb': size.mean() / 1e3, 'encode_ms': np.median(encode) * 1e3,
                       'decode_crop_ms': np.median(decode) * 1e3, 'db_lost_mean': lost.mean(),
                       'db_lost_most': lost.max()}  # fmt: skip
    beyond, lowest, highest = np.array(outside).T
    lost, between = np.array(reduced).mean(0)
    return {'table': table, 'images': len(keys), 'crop': crop, 'outside': beyond.mean(), 'lowest': lowest.min(),
            'label_psnr': np.array(rows['16-bit PNG'])[:, 4].mean(), 'highest': highest.max(),
            'bf16_db_lost': lost, 'bf16_psnr': between}  # fmt: skip


def psnr(image, other) -> float:  # noqa: ANN001
    import numpy as np

    return -10 * math.log10(float(np.square(image.astype(np.float64) - other).mean()))


def report_fidelity(result: dict) -> str:
    lines = [
        f'Labels of {result["images"]} sub-images, {result["label_psnr"]:.2f} dB against ground truth on average; '
        f'{100 * result["outside"]:.2f} % of their values are outside [0, 1] ({result["lowest"]:.3f} to '
        f'{result["highest"]:.3f}).',
        '',
        f'| stored as | KB | encode ms | decode a crop of {result["crop"]} ms | dB lost, mean | dB lost, most |',
        '|---|---|---|---|---|---|',
    ]
    for name, row in result['table'].items():
        lines.append(
            f'| {name} | {row["kb"]:.0f} | {row["encode_ms"]:.1f} | {row["decode_crop_ms"]:.2f} '
            f'| {row["db_lost_mean"]:.4f} | {row["db_lost_most"]:.4f} |'
        )
    lost, between = result['bf16_db_lost'], result['bf16_psnr']
    lines += ['', f'A teacher in bf16 instead of fp32 loses {lost:.4f} dB (PSNR between the two {between:.1f} dB)']
    return '\n'.join(lines)
