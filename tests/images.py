"""Images and LMDBs on disk, as several test modules need them."""

from __future__ import annotations

import lmdb
import numpy as np
from basicsr.data.paired_image_dataset import PairedImageDataset
from skimage import data

from datasets_prep.codecs import encode
from dukd_basicsr.data.images import decode_image


def write_lmdb(folder, values, extra=()):
    """An LMDB whose meta_info.txt also names the keys in `extra`."""
    env = lmdb.open(str(folder), map_size=2**24)
    with env.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key.encode(), value)
    env.close()
    lines = [f'{key}.png (32,32,3) 1\n' for key in (*values, *extra)]
    (folder / 'meta_info.txt').write_text(''.join(lines))
    return folder


PHOTO = np.ascontiguousarray(data.astronaut()[..., ::-1])


SMALL = {'size': 48, 'step': 24, 'min_size': 24, 'workers': 1}


def fill(folder, *shapes):
    """Images 0001.png, ... of the given (height, width), each another part of a photograph."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (height, width) in enumerate(shapes, 1):
        top = 30 * (number % 6)
        (folder / f'{number:04d}.png').write_bytes(encode(PHOTO[top : top + height, top : top + width]))
    return folder


def read_lmdb(folder):
    env = lmdb.open(str(folder), readonly=True, lock=False)
    with env.begin() as transaction:
        items = {key.decode(): decode_image(value) for key, value in transaction.cursor()}
    env.close()
    return items


def pairs_by_basicsr(paths, scale, gt_size, phase='train', backend='lmdb'):
    opt = {'dataroot_gt': str(paths[0]), 'dataroot_lq': str(paths[1]), 'io_backend': {'type': backend}}
    opt |= {'scale': scale, 'phase': phase, 'gt_size': gt_size, 'use_hflip': True, 'use_rot': True}
    return PairedImageDataset(opt)
