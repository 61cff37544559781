"""Time of an iteration with upcycling in the batch, over that of logits distillation on the same batch.

    python -m benchmarks.speed.in_batch [--pairs small edsr rcan swinir] [--methods 'in batch' both waiting beside]
        [--batch 8] [--patch 48] [--rounds 12] [--device cuda] [--thin] [--json FILE]

Iterations of all methods are made in one process, in turns and every other round in reverse order, so that what else
the machine does meets all of them alike. A ratio is the median over the rounds of one method's seconds over KD's of the
same round, with the interquartile range; networks, images and labels are those of benchmarks/speed/jobs.py.

KD:        DistillModel: the whole batch as plain pairs.
in batch:  DUKDModel, in_batch: 0.375 of zoom-in crops, with label consistency.
both:      the same with zoomed-out patches too, which are smaller.
waiting:   DUKDModel before the start of its schedule.
beside:    DUKDModel, the paper's form: views beside the plain pairs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import describe_machine, write_json
from benchmarks.speed import jobs

L1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
METHODS = {
    'KD': ({'model': 'DistillModel', 'parts': ['lq']}, {}),
    'in batch': ({'parts': ['lq', 'zoom_in']}, {'in_batch': 0.375, 'zoom_out': None}),
    'both': ({}, {'in_batch': 0.375}),
    'waiting': ({}, {'schedule': {'start': 10**9}}),
    'beside': ({}, {}),
}
"""What each adds to a job and to `train.dukd_opt`."""


def measure(common: dict, mode: str, rounds: int, methods: list[str]) -> dict[str, dict]:
    """Seconds of an iteration of KD and of these methods in each round, and their ratios to KD's.

    Args:
        common (dict): pair, device, batch, thin and patch of benchmarks/speed/jobs.py's jobs.
        mode (str): 'ours', with a live teacher, or 'cached'.
        rounds (int): Timed ones, after one to warm up.
        methods (list[str]): Of METHODS, beside KD.
    """
    seconds: dict[str, list[float]] = {name: [] for name in METHODS if name in ('KD', *methods)}
    with tempfile.TemporaryDirectory() as folder:
        steps = {
            name: jobs.stepper({**common, 'mode': mode, 'train': {'dukd_opt': L1 | dukd}, **job}, Path(folder))
            for name, (job, dukd) in METHODS.items()
            if name in seconds
        }
        for number in range(rounds + 1):
            for name in list(steps)[:: -1 if number % 2 else 1]:
                started = time.perf_counter()
                steps[name](number + 1)
                wait(common['device'])
                if number:
                    seconds[name].append(time.perf_counter() - started)
    return {name: row(times, seconds['KD']) for name, times in seconds.items()}


def wait(device: str) -> None:
    """Until the device has done what it was asked to."""
    if device == 'cuda':
        import torch

        torch.cuda.synchronize()


def row(times: list[float], of_kd: list[float]) -> dict:
    """A method's median and best seconds; median and quartiles of its ratio to KD's of the same round."""
    ratios = [one / kd for one, kd in zip(times, of_kd, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return {'median_s': statistics.median(times), 'best_s': min(times), 'best_ratio': min(times) / min(of_kd),
            'ratio': middle, 'low': low, 'high': high, 'times_s': times}  # fmt: skip


def report(result: dict) -> str:
    """The result of one pair as text."""
    lines = [f'{result["pair"]}, batch {result["batch"]} of {result["patch"]}x{result["patch"]}, torch '
             f'{result["torch"]}, {result["threads"]} threads, {result["device"]}', '',
             '| labels | method | median s | over KD (quartiles) | best over best |',
             '|---|---|---:|---:|---:|']  # fmt: skip
    for labels, rows in result['rows'].items():
        lines += [
            f'| {labels} | {name} | {one["median_s"]:.3f} | {one["ratio"]:.3f} ({one["low"]:.3f} to {one["high"]:.3f}) '
            f'| {one["best_ratio"]:.3f} |'
            for name, one in rows.items()
        ]
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pairs', nargs='+', choices=jobs.PAIRS, default=['small'])
    parser.add_argument('--methods', nargs='+', choices=list(METHODS)[1:], default=list(METHODS)[1:])
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument('--patch', type=int, default=jobs.PATCH, help='side of the LR patch')
    parser.add_argument('--rounds', type=int, default=12)
    parser.add_argument('--thin', action='store_true', help='toy networks, to try this out')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()

    import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

    results = []
    for pair in args.pairs:
        common = {'pair': pair, 'device': args.device, 'batch': args.batch, 'thin': args.thin, 'patch': args.patch}
        rows = {
            labels: measure(common, mode, args.rounds, args.methods)
            for labels, mode in (('live', 'ours'), ('cached', 'cached'))
        }
        text = f'{jobs.PAIRS[pair][0]}{", thinned" if args.thin else ""}'
        results.append({**common, **describe_machine(args.device), 'pair': text, 'rows': rows})
        sys.stdout.write(report(results[-1]) + '\n\n')
        sys.stdout.flush()
    write_json(args.json, results)


if __name__ == '__main__':
    main()
