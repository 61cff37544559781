"""What cached labels are, beside those of a teacher that is asked live: how near to the truth, how near to each other.

    python -m benchmarks.study.labels -opt options/kd_1200_lr0.002_s10.yml [--samples 128]      (in a study's folder)

Samples of the training set are drawn as a run draws them. A cached label is cut from the answer to the whole sub-image
and turned with it; a live teacher sees the turned patch and no more. "turned back" is the live teacher's answer to the
patch flipped, flipped back: of a network without a sense of direction it would be the answer to the patch itself.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

# isort: split
from torch import Tensor

from dukd_basicsr import options
from dukd_basicsr.data.cache import manifest as manifests
from dukd_basicsr.data.upcycled_image_dataset import UpcycledImageDataset
from dukd_basicsr.distillation.teacher import build_teacher


def measure(opt: Mapping[str, Any], samples: int) -> dict[str, float]:
    """Means over samples.

    Args:
        opt (Mapping): Options of a run that trains from a cache.
        samples (int): How many patches.

    Returns:
        dict: 'crops': zoom-in crops in the whole cache; 'cached' and 'live': L1 to ground truth in grey levels of 255;
            'between' and 'turned': PSNR in dB between live and cached, live and turned back.
    """
    train = opt['datasets']['train'] | {'scale': opt['scale'], 'phase': 'train'}
    dataset, teacher = UpcycledImageDataset(train), build_teacher(opt)
    stamp = manifests.read(Path(train['dataroot_upcycled'])) or {}
    random.seed(0)
    sums = dict.fromkeys(('cached', 'live', 'between', 'turned'), 0.0)
    for _ in range(samples):
        sample = dataset[random.randrange(len(dataset))]
        lq, gt, cached = (sample[key][None] for key in ('lq', 'gt', 'lq_label'))
        live, turned = teacher(lq), teacher(lq.flip(-1)).flip(-1)
        sums['cached'] += 255 * l1(cached, gt)
        sums['live'] += 255 * l1(live, gt)
        sums['between'] += squares(cached, live)
        sums['turned'] += squares(turned, live)
    means = {name: value / samples for name, value in sums.items()}
    decibels = {name: -10 * math.log10(means[name]) for name in ('between', 'turned')}
    return means | decibels | {'crops': len(dataset) * stamp['per_image']}


def l1(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().mean())


def squares(a: Tensor, b: Tensor) -> float:
    return float((a - b).square().mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('-opt', type=Path, required=True)
    parser.add_argument('--samples', type=int, default=128)
    args = parser.parse_args()
    found = measure(options.load(args.opt), args.samples)
    sys.stdout.write(
        f'{found["crops"]} zoom-in crops; L1 to ground truth of 255: cached {found["cached"]:.3f}, live '
        f'{found["live"]:.3f}; live against cached {found["between"]:.1f} dB, against turned back '
        f'{found["turned"]:.1f} dB\n'
    )


if __name__ == '__main__':
    main()
