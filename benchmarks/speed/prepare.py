"""`basicsr prepare` against BasicSR's own scripts, from HR images to the LMDBs of three scales, on two cores.

python -m benchmarks.speed.prepare --basicsr DIR [--images FOLDER] [--number 40] [--json FILE]

DIR is a checkout of BasicSR: scripts/data_preparation/extract_subimages.py runs as it is, on LR that BasicSR's imresize
makes (two processes), then make_lmdb_from_imgs as create_lmdb.py calls it. Both sides are whole commands with the start
of Python, timed --repeats times in turn; the fastest counts. CPU seconds of all processes of a side say it on a machine
that is busy otherwise. Every decoded value is compared.
"""

from __future__ import annotations

import argparse
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from pathlib import Path

import cv2
import lmdb
import numpy as np
import skimage

from benchmarks.common import child_environment, write_json

SCALES = (2, 3, 4)
SIZE, STEP, MULTIPLE = 480, 240, 12

# BasicSR has no command for this, so what its users write: the functions of its scripts, in their order.
THEIRS = """
import importlib.util, sys
from multiprocessing import Pool
from pathlib import Path
import dukd_basicsr.plugin  # makes basicsr importable
import cv2, numpy as np, torch
from basicsr.utils.lmdb_util import make_lmdb_from_imgs
from basicsr.utils.matlab_functions import imresize

torch.set_num_threads(1)
source, out, script, size, step, multiple, *scales = sys.argv[1:]
out, size, step, multiple, scales = Path(out), int(size), int(step), int(multiple), [int(scale) for scale in scales]

def shrink(path):
    image = cv2.imread(str(path))
    image = image[: image.shape[0] // multiple * multiple, : image.shape[1] // multiple * multiple]
    cv2.imwrite(str(out / 'X1' / path.name), image)
    for scale in scales:
        low = imresize(image / 255.0, 1 / scale)
        cv2.imwrite(str(out / f'X{scale}' / path.name), np.floor(np.clip(low * 255, 0, 255) + 0.5).astype(np.uint8))

for scale in (1, *scales):
    (out / f'X{scale}').mkdir()
with Pool(2) as pool:
    pool.map(shrink, sorted(Path(source).iterdir()))
spec = importlib.util.spec_from_file_location('extract_subimages', script)
module = importlib.util.module_from_spec(spec)
sys.modules['extract_subimages'] = module
spec.loader.exec_module(module)
for scale in (1, *scales):
    folder = out / f'X{scale}_sub'
    module.extract_subimages({'n_thread': 2, 'compression_level': 3, 'input_folder': str(out / f'X{scale}'),
                              'save_folder': str(folder), 'crop_size': size // scale, 'step': step // scale,
                              'thresh_size': 0})
    names = sorted(path.name for path in folder.iterdir())
    make_lmdb_from_imgs(str(folder), str(out / f'X{scale}_sub.lmdb'), names, [name.split('.png')[0] for name in names])
"""


def choose(folder: Path | None, number: int, target: Path) -> None:
    """Copy images of at least SIZE a side, as BasicSR's script needs them, as PNGs; all of them again if too few."""
    source = folder or Path(skimage.__file__).parent / 'data'
    paths = sorted(path for path in source.iterdir() if path.suffix.lower() in ('.png', '.jpg', '.jpeg', '.bmp'))
    read = (cv2.imread(str(path)) for path in paths)
    images = [image for image in read if image is not None and min(image.shape[:2]) >= SIZE + MULTIPLE]
    target.mkdir()
    for index, image in zip(range(number), cycle(images), strict=False):
        # BasicSR's script cuts x2, x3, ... out of names.
        cv2.imwrite(str(target / f'{index:04d}.png'), image)


def cpu_seconds() -> float:
    """Of all commands that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(command: list[str], work: Path) -> tuple[float, float]:
    """Seconds, and CPU seconds, of a command in an empty folder."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    environment = child_environment(OMP_NUM_THREADS='1')
    start, cpu = time.perf_counter(), cpu_seconds()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - start, cpu_seconds() - cpu


def read(folder: Path) -> dict[str, np.ndarray]:
    """All decoded values of an LMDB."""
    with lmdb.open(str(folder), readonly=True, lock=False) as environment, environment.begin() as transaction:
        return {
            key.decode(): cv2.imdecode(np.frombuffer(value, np.uint8), cv2.IMREAD_UNCHANGED)
            for key, value in transaction.cursor()
        }


def compare(theirs: Path, ours: Path) -> dict[str, float]:
    """Values, differing ones and the largest difference; the keys must be the same."""
    left, right = read(theirs), read(ours)
    assert left.keys() == right.keys(), f'{theirs} and {ours} have other keys'
    differences = [np.abs(left[key].astype(int) - right[key]) for key in left]
    return {
        'images': len(left),
        'values': sum(difference.size for difference in differences),
        'different': int(sum((difference > 0).sum() for difference in differences)),
        'largest': int(max(difference.max() for difference in differences)),
        'their_bytes': (theirs / 'data.mdb').stat().st_size,
        'our_bytes': (ours / 'data.mdb').stat().st_size,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--basicsr', type=Path, required=True, metavar='DIR')
    parser.add_argument('--images', type=Path, help="default: scikit-image's photographs")
    parser.add_argument('--number', type=int, default=40)
    parser.add_argument('--repeats', type=int, default=2)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    script = args.basicsr / 'scripts' / 'data_preparation' / 'extract_subimages.py'
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        choose(args.images, args.number, work / 'HR')
        grid = [str(value) for value in (SIZE, STEP, MULTIPLE, *SCALES)]
        theirs = [sys.executable, '-c', THEIRS, str(work / 'HR'), str(work / 'theirs'), str(script), *grid]
        ours = [sys.executable, '-m', 'dukd_basicsr', 'prepare', str(work / 'HR'), '--name', 'P', '--out',
                str(work / 'ours'), '--workers', '2', '--scale', *grid[3:]]  # fmt: skip
        seconds = dict.fromkeys(('theirs', 'ours'), (float('inf'), float('inf')))
        for _ in range(args.repeats):
            for side, command in (('theirs', theirs), ('ours', ours)):
                again = timed(command, work / side)
                seconds[side] = min(seconds[side][0], again[0]), min(seconds[side][1], again[1])
        names = {1: 'HR', **{scale: f'LR_bicubic_X{scale}' for scale in SCALES}}
        pairs = {name: (work / 'theirs' / f'X{scale}_sub.lmdb', work / 'ours' / 'P' / f'P_{name}_sub.lmdb')
                 for scale, name in names.items()}  # fmt: skip
        same = {name: compare(*pair) for name, pair in pairs.items()}
    print(f'{args.number} images, --size {SIZE} --step {STEP}, scales 2 3 4, two workers each\n')
    ratio, cpu_ratio = (their / our for their, our in zip(seconds['theirs'], seconds['ours'], strict=True))
    print('| | seconds | CPU seconds |\n|---|---|---|')
    for side, name in (('theirs', 'BasicSR'), ('ours', 'ours')):
        print(f'| {name} | {seconds[side][0]:.1f} | {seconds[side][1]:.1f} |')
    print(f'| times faster | {ratio:.1f} | {cpu_ratio:.1f} |\n')
    print('| LMDB | images | values | different | largest difference | BasicSR MB | ours MB |')
    print('|---|---|---|---|---|---|---|')
    for name, row in same.items():
        print(f'| {name} | {row["images"]} | {row["values"]} | {row["different"]} | {row["largest"]} '
              f'| {row["their_bytes"] / 1e6:.1f} | {row["our_bytes"] / 1e6:.1f} |')  # fmt: skip
    content = {'images': args.number, 'size': SIZE, 'step': STEP, 'scales': SCALES, 'seconds': seconds,
               'ratio': ratio, 'cpu_ratio': cpu_ratio, 'lmdbs': same,
               'environment': {'python': platform.python_version(), 'opencv': cv2.__version__,
                               'cores': os.cpu_count(), 'machine': platform.platform()}}  # fmt: skip
    write_json(args.json, content)


if __name__ == '__main__':
    main()
