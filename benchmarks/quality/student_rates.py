"""Which first learning rate small students of each architecture learn from best in a short run, on ground truth alone.

    python -m benchmarks.quality.student_rates --data ../shared/data --iterations 250 --rates 5e-4 1e-3 2e-3 4e-3

For the defaults of `basicsr distill`, whose page has the table. A line is an architecture, a column a rate: PSNR in
RGB on Set5, x2, after so many iterations of 8 LR patches of 24x24, half a cosine, one seed.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import torch
from torch import Tensor

from datasets_prep.images import mod_crop, shrink
from dukd_basicsr.data.images import find_images, read_image
from dukd_basicsr.networks.padding import super_resolve

SCALE, PATCH, BATCH, PHOTOGRAPHS = 2, 24, 8, 60
SIZES = {'edsr': (24, 4), 'compact': (24, 8), 'ecbsr': (16, 4), 'span': (20, 6)}
Pair = tuple[Tensor, Tensor]


def main() -> None:
    """Train each architecture at each rate and print the table, line by line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True, help='folder of train_HR and Set5')
    parser.add_argument('--students', nargs='+', choices=SIZES, default=list(SIZES))
    parser.add_argument('--iterations', type=int, default=250)
    parser.add_argument('--rates', type=float, nargs='+', default=[5e-4, 1e-3, 2e-3, 4e-3])
    args = parser.parse_args()
    train = [make_pair(path) for path in find_images(args.data / 'train_HR') if path.name.startswith('bsd')][
        :PHOTOGRAPHS
    ]
    test = [make_pair(path) for path in find_images(args.data / 'Set5')]
    sys.stdout.write(f'| student | {" | ".join(f"{rate:g}" for rate in args.rates)} |\n')
    for kind in args.students:
        cells = [f'{measure(kind, rate, args.iterations, train, test):.2f}' for rate in args.rates]
        sys.stdout.write(f'| {kind} | {" | ".join(cells)} |\n')
        sys.stdout.flush()


def make_pair(path: Path) -> Pair:
    """LR and HR of a photograph: (1, 3, H, W) in [0, 1], RGB."""
    gt = mod_crop(read_image(path), SCALE)
    low, high = (
        torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None] / 255 for image in (shrink(gt, SCALE), gt)
    )
    return low, high


def measure(kind: str, rate: float, iterations: int, train: Sequence[Pair], test: Sequence[Pair]) -> float:
    """PSNR of a student that was trained at a rate, in dB."""
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.commands.distill.students import FAMILIES
    from dukd_basicsr.networks.build import build

    torch.manual_seed(0)
    draw = random.Random(0)
    net = build(FAMILIES[kind].make(*SIZES[kind], SCALE)).train()
    optimizer = torch.optim.Adam([each for each in net.parameters() if each.requires_grad], rate, (0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    for _ in range(iterations):
        lq, gt = draw_batch(draw, train)
        optimizer.zero_grad()
        (net(lq) - gt).abs().mean().backward()
        optimizer.step()
        schedule.step()
    net.eval()
    errors = [(super_resolve(net, lq).clamp(0, 1) - gt).square().mean() for lq, gt in test]
    return sum(-10 * torch.log10(error).item() for error in errors) / len(errors)


def draw_batch(draw: random.Random, train: Sequence[Pair]) -> Pair:
    """Patches at random places of random photographs."""
    patches = []
    for _ in range(BATCH):
        lq, gt = draw.choice(train)
        top, left = (draw.randrange(side - PATCH + 1) for side in lq.shape[2:])
        side, y, x = SCALE * PATCH, SCALE * top, SCALE * left
        patches.append((lq[..., top : top + PATCH, left : left + PATCH], gt[..., y : y + side, x : x + side]))
    low, high = zip(*patches, strict=True)
    return torch.cat(low), torch.cat(high)


if __name__ == '__main__':
    main()
