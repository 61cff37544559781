"""Seconds of a student's training step in float32, in channels_last, and in bfloat16 with it, in turns in one run.

python -m benchmarks.speed.precision [--threads 1] [--rounds 25] [--json FILE]

`basicsr distill` measures the same on the machine that it runs on, and takes the quickest. Where one thread computes,
the processor's own seconds are taken, which what else runs hardly changes.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from pathlib import Path
from typing import Any

import torch

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
from benchmarks.common import describe_machine, write_json
from dukd_basicsr.commands.distill.measure import WAYS
from dukd_basicsr.networks.acceleration import lay_out_channels_last, reduce_precision
from dukd_basicsr.networks.build import build

BASE: dict[str, Any] = {'num_in_ch': 3, 'num_out_ch': 3}
STUDENTS: dict[str, dict[str, Any]] = {
    'EDSR 24x4': {'type': 'EDSR', **BASE, 'num_feat': 24, 'num_block': 4, 'upscale': 2},
    'SRVGGNetCompact 32c8': {'type': 'SRVGGNetCompact', **BASE, 'num_feat': 32, 'num_conv': 8, 'upscale': 2},
    'ECBSR 16m4': {
        'type': 'ECBSR', **BASE, 'num_block': 4, 'num_channel': 16, 'with_idt': False, 'act_type': 'prelu', 'scale': 2,
    },
}  # fmt: skip
BATCH, PATCH = 8, 32
STEPS = 3
"""In a row, of each way."""


class Step:
    """Forward, L1 against ground truth, backward and Adam's step of a network of its own."""

    def __init__(self, network: dict[str, Any], channels_last: bool = False, bf16: bool = False) -> None:
        net = build(copy.deepcopy(network)).train()
        self.net = lay_out_channels_last(net) if channels_last else net
        self.optimizer = torch.optim.Adam(self.net.parameters(), 1e-4)
        self.ask = reduce_precision(self.net, torch.bfloat16 if bf16 else None)

    def __call__(self, lq: torch.Tensor, gt: torch.Tensor) -> None:
        self.optimizer.zero_grad()
        (self.ask(lq) - gt).abs().mean().backward()
        self.optimizer.step()


def measure(network: dict[str, Any], rounds: int) -> list[float]:
    """Median seconds of a step in each of WAYS."""
    torch.manual_seed(0)
    lq, gt = torch.rand(BATCH, 3, PATCH, PATCH), torch.rand(BATCH, 3, 2 * PATCH, 2 * PATCH)
    steps = [Step(network, **way) for way in WAYS]
    clock = time.process_time if torch.get_num_threads() == 1 else time.perf_counter
    times: list[list[float]] = [[] for _ in WAYS]
    for number in range(rounds + 1):
        for step, found in zip(steps, times, strict=True):
            start = clock()
            for _ in range(STEPS):
                step(lq, gt)
            if number:  # the first warms up
                found.append((clock() - start) / STEPS)
    return [statistics.median(each) for each in times]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=25)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    print(f'batch {BATCH} of {PATCH}x{PATCH}, x2, torch {torch.__version__}, {args.threads} threads\n')
    print('| student | float32 ms | channels_last | channels_last and bfloat16 |\n|---|---:|---:|---:|')
    rows = {}
    for name, network in STUDENTS.items():
        plain, last, bf16 = rows[name] = measure(network, args.rounds)
        print(f'| {name} | {1000 * plain:.1f} | {last / plain:.2f} | {bf16 / plain:.2f} |')
    write_json(args.json, {'machine': describe_machine(), 'seconds': rows})


if __name__ == '__main__':
    main()
