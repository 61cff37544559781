"""Samples per second and core of BasicSR's PairedImageDataset, stock against ours, on the same images in each codec.

python -m benchmarks.speed.loader [--images FOLDER] [--number 24] [--scale 4] [--gt_size 192] [--batch 16] [--json FILE]

`basicsr prepare` makes the LMDBs of all codecs in a temporary folder. A pass reads every sub-image once and collates
batches, in one process with one thread; passes of all modes take turns, the fastest of --repeats counts. The draws are
seeded, and every tensor is compared with stock's. `BasicSR png` is the PNG that BasicSR's own scripts write.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import cv2
import lmdb
import skimage
import torch
from torch.utils.data import default_collate

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
from benchmarks.common import write_json

from basicsr.data.paired_image_dataset import PairedImageDataset  # isort: skip
from datasets_prep.codecs import CODECS
from datasets_prep.prepare import prepare_training
from dukd_basicsr import compat
from dukd_basicsr.data.images import decode_image, find_images

PHOTOS = ('astronaut', 'chelsea', 'coffee', 'hubble_deep_field', 'ihc', 'motorcycle_left', 'motorcycle_right', 'retina',
          'rocket')  # fmt: skip
BASE = 'BasicSR png'
SIDES = ('lq', 'gt')
READERS = {'stock': compat.stock(compat.read_pair), 'ours': compat.read_pair}


def gather(folder: Path | None, number: int, target: Path, smallest: int) -> None:
    """Links to the first images that are large enough."""
    source = folder or Path(skimage.__file__).parent / 'data'
    target.mkdir()
    paths = [path for path in find_images(source) if folder or path.stem in PHOTOS]
    large = (path for path in paths if min(cv2.imread(str(path)).shape[:2]) >= smallest)
    for path, _ in zip(large, range(number), strict=False):
        (target / path.name).symlink_to(path.resolve())


def as_basicsr(source: Path, target: Path) -> Path:
    """The LMDB as BasicSR's make_lmdb_from_imgs writes it."""
    with (
        lmdb.open(str(source), readonly=True, lock=False) as old,
        lmdb.open(str(target), map_size=2**32) as new,
        old.begin() as reading,
        new.begin(write=True) as writing,
    ):
        for key, value in reading.cursor():
            png = cv2.imencode('.png', decode_image(value), [cv2.IMWRITE_PNG_COMPRESSION, 1])[1]
            writing.put(key, png.tobytes())
    (target / 'meta_info.txt').write_bytes((source / 'meta_info.txt').read_bytes())
    return target


def dataset(pair: tuple[Path, Path], args: argparse.Namespace) -> PairedImageDataset:
    return PairedImageDataset({
        'dataroot_gt': str(pair[0]), 'dataroot_lq': str(pair[1]), 'io_backend': {'type': 'lmdb'}, 'phase': 'train',
        'scale': args.scale, 'gt_size': args.gt_size, 'use_hflip': True, 'use_rot': True,
    })  # fmt: skip


def batches(data: PairedImageDataset, read: Callable, batch: int) -> Iterator[dict]:
    """One pass; the draws are those of seed 0."""
    random.seed(0)
    for start in range(0, len(data), batch):
        yield default_collate([read(data, index) for index in range(start, min(start + batch, len(data)))])


def same(data: dict, codec: str, batch: int) -> bool:
    """Whether ours gives stock's tensors and leaves Python's generator where stock does."""
    seen = []
    for side, read in READERS.items():
        seen.append([*batches(data[codec, side], read, batch), random.random()])
    *theirs, their_draw = seen[0]
    *ours, our_draw = seen[1]
    equal = all(torch.equal(left[key], right[key]) for left, right in zip(theirs, ours, strict=True) for key in SIDES)
    return equal and their_draw == our_draw


def measure(data: dict, batch: int, repeats: int) -> dict:
    """Samples per second of each (codec, side)."""
    rates = dict.fromkeys(data, 0.0)
    for _ in range(repeats):
        for key, each in data.items():
            start = time.perf_counter()
            for _batch in batches(each, READERS[key[1]], batch):
                pass
            rates[key] = max(rates[key], len(each) / (time.perf_counter() - start))
    return rates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=Path, help="default: scikit-image's photographs")
    parser.add_argument('--number', type=int, default=24, help='of images')
    parser.add_argument('--scale', type=int, default=4)
    parser.add_argument('--gt_size', type=int, default=192)
    parser.add_argument('--size', type=int, default=480, help='of the sub-images, which step by half of it')
    parser.add_argument('--batch', type=int, default=16)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        gather(args.images, args.number, work / 'HR', max(args.gt_size, 192))
        pairs = {}
        for codec in CODECS:
            with redirect_stdout(StringIO()):
                high, low = prepare_training(work / 'HR', work / codec, 'P', (args.scale,), args.size, args.size // 2,
                                             codec=codec)  # fmt: skip
            pairs[codec] = high, low
        high, low = (as_basicsr(path, work / f'basicsr_{path.name}') for path in pairs['png'])
        pairs = {BASE: (high, low), **pairs}
        data = {(codec, side): dataset(pair, args) for codec, pair in pairs.items() for side in READERS}
        equal = {codec: same(data, codec, args.batch) for codec in pairs}
        rates = measure(data, args.batch, args.repeats)
        megabytes = {codec: sum((path / 'data.mdb').stat().st_size for path in pair) / 1e6
                     for codec, pair in pairs.items()}  # fmt: skip
    samples = len(data[BASE, 'stock'])
    print(f'{samples} pairs of {args.size} px, x{args.scale}, gt_size {args.gt_size}, batch {args.batch}, one core\n')
    print(f'| codec | MB | stock samples/s | ours samples/s | ours / stock | ours / stock on {BASE} | same tensors |')
    print('|---|---|---|---|---|---|---|')
    rows = []
    for codec in pairs:
        theirs, ours = rates[codec, 'stock'], rates[codec, 'ours']
        rows.append({'codec': codec, 'megabytes': megabytes[codec], 'stock': theirs, 'ours': ours,
                     'ratio': ours / theirs, 'ratio_to_base': ours / rates[BASE, 'stock'],
                     'same': equal[codec]})  # fmt: skip
        print(f'| {codec} | {megabytes[codec]:.1f} | {theirs:.0f} | {ours:.0f} | {ours / theirs:.2f} '
              f'| {ours / rates[BASE, "stock"]:.2f} | {equal[codec]} |')  # fmt: skip
    content = {'samples': samples, 'size': args.size, 'scale': args.scale, 'gt_size': args.gt_size, 'rows': rows,
               'environment': {'python': platform.python_version(), 'torch': torch.__version__,
                               'opencv': cv2.__version__, 'cores': os.cpu_count(),
                               'machine': platform.platform()}}  # fmt: skip
    write_json(args.json, content)


if __name__ == '__main__':
    main()
