"""`resize.imresize` against BasicSR's, in one run: how many times faster, and how far apart.

python -m benchmarks.speed.resize [--json FILE]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
from benchmarks.common import write_json

from basicsr.utils.matlab_functions import imresize as stock  # isort: skip

from dukd_basicsr.resize import imresize

CASES = [(48, 1 / 2), (48, 1 / 3), (48, 1 / 4), (192, 1 / 4), (48, 4)]
BATCH = 16


def best(run: Callable[[], object], repeats: int = 20) -> float:
    """Seconds of the fastest of some runs after a warm-up."""
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    torch.manual_seed(0)
    print(f'batch {BATCH}, torch {torch.__version__}, {torch.get_num_threads()} threads, CPU\n')
    print('| input | scale | BasicSR ms | ours ms | times faster | largest difference |')
    print('|---|---|---|---|---|---|')
    rows = []
    for side, scale in CASES:
        images = torch.rand(BATCH, 3, side, side)
        theirs = best(lambda: torch.stack([stock(image, scale) for image in images]))  # noqa: B023  run at once
        ours = best(lambda: imresize(images, scale))  # noqa: B023  run at once
        expected = torch.stack([stock(image, scale) for image in images])
        difference = (imresize(images, scale) - expected).abs().max().item()
        rows.append({'side': side, 'scale': scale, 'basicsr_s': theirs, 'ours_s': ours,
                     'ratio': theirs / ours, 'difference': difference})  # fmt: skip
        print(f'| {side}x{side} | {scale:.3g} | {1000 * theirs:.1f} | {1000 * ours:.2f} | {theirs / ours:.0f} '
              f'| {difference:.1e} |')  # fmt: skip
    write_json(args.json, rows)


if __name__ == '__main__':
    main()
