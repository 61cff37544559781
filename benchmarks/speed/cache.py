"""What an upcycled cache costs and what it saves: labels, iterations, loading, and when it pays.

    python -m benchmarks.speed.cache [--parts fidelity loader steps] [--pairs small edsr rcan swinir] [--rounds 3]
        [--device cuda] [-opt FILE] [--images 24] [--peer DIR] [--json FILE]

fidelity: ways to store a teacher's label; the teacher and the training LMDBs are those of -opt, an options file. Bytes
    are of a 480x480 label; the time to decode is that of one training crop, since a PNG has to be decoded whole; dB
    lost is of the label's PSNR against ground truth, after rounding.
loader: milliseconds a sample of UpcycledImageDataset on one core, beside PairedImageDataset on the same LMDBs.
steps: iterations of DUKDModel with its teacher (live), with a batch that has the labels (cached), and of the student
    alone on the same samples (benchmarks/speed/jobs.py), in turns; best of all iterations. Then, of the teacher's
    measured time, after how many iterations a cache of DIV2K (32,592 sub-images of 480x480, 4 crops each) has cost less
    than it saved.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path

from benchmarks.common import write_json
from benchmarks.speed import jobs, measure
from benchmarks.speed.cache_labels import fidelity, report_fidelity
from benchmarks.speed.cache_loader import loader
from benchmarks.speed.jobs import PATCH, SCALE

SUB_IMAGE = 480
DIV2K, PER_IMAGE, BATCH, ITERATIONS = 32592, 4, 16, 250_000
"""Sub-images of DIV2K, crops of each; batch and length of the paper's runs."""
MODES = {'live': 'ours', 'cached': 'cached', 'alone': 'alone'}
"""Of benchmarks/speed/jobs.py, and what they are called here."""


def teacher_seconds(network: dict, device: str) -> float:
    """Seconds to label one sub-image of DIV2K with its crops and its zoomed-out LR, as `basicsr upcycle` asks."""
    import dukd_basicsr.plugin  # noqa: F401

    # isort: split
    import torch

    from dukd_basicsr.distillation.teacher import Teacher
    from dukd_basicsr.networks.weights import build_network

    teacher = Teacher(build_network(network)).to(device)
    at_once, side = (8, SUB_IMAGE // SCALE) if device == 'cuda' else (1, SUB_IMAGE // SCALE)
    sizes = [(at_once, side), (at_once * PER_IMAGE, PATCH), (at_once, side // SCALE)]
    inputs = [torch.rand(count, 3, size, size, device=device) for count, size in sizes]
    best = math.inf
    for _ in range(3 if device == 'cuda' else 1):
        start = time.perf_counter()
        for each in inputs:
            teacher(each)
        if device == 'cuda':
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best / at_once


def steps(pair: str, args: argparse.Namespace) -> dict:
    """All modes of one pair in turns, and when its cache pays."""
    from dukd_basicsr.data.cache.record import Layout

    common = {'pair': pair, 'device': args.device, 'batch': args.batch, 'iterations': args.iterations,
              'thin': args.thin, 'peer': args.peer}  # fmt: skip
    modes = MODES | ({'peer': 'peer'} if args.peer and pair in ('small', 'edsr') else {})
    rows = measure.in_turns({name: {**common, 'mode': mode} for name, mode in modes.items()}, args.rounds)
    label = teacher_seconds(jobs.networks(pair, args.thin)['network_t'], args.device)
    saved = (rows['live']['best_s'] - rows['cached']['best_s']) * BATCH / args.batch
    record = Layout(SCALE, PATCH, PER_IMAGE, ('lq', 'zoom_in', 'zoom_out')).nbytes(*(SUB_IMAGE // SCALE,) * 2)
    return {
        'pair': pair, 'batch': args.batch, 'rows': rows, 'environment': rows['live']['environment'],
        'label_s': label, 'cache_hours': DIV2K * label / 3600,
        'cache_gb': DIV2K * record / 1e9, 'pays_after_iterations': DIV2K * label / saved,
        'pays_after_students': DIV2K * label / saved / ITERATIONS,
        'hours_of_a_run_live': rows['live']['best_s'] * BATCH / args.batch * ITERATIONS / 3600,
        'hours_of_a_run_cached': rows['cached']['best_s'] * BATCH / args.batch * ITERATIONS / 3600,
    }  # fmt: skip


def report_steps(result: dict) -> str:
    rows, there = result['rows'], result['environment']
    best = {mode: row['best_s'] for mode, row in rows.items()}
    lines = [f'{result["pair"]} x{SCALE}, batch {result["batch"]} of {PATCH}x{PATCH}, torch {there["torch"]}, '
             f'{there["threads"]} threads, {there["device"]}', '',
             '| | best s | median s | of live | of alone | peak MiB |', '|---|---|---|---|---|---|']  # fmt: skip
    for mode, row in rows.items():
        lines.append(
            f'| {mode} | {row["best_s"]:.3f} | {row["median_s"]:.3f} | {best[mode] / best["live"]:.3f} '
            f'| {best[mode] / best["alone"]:.3f} | {row["memory_bytes"] / 2**20:.0f} |'
        )
    for mode in ('live', 'peer'):
        if mode in rows:
            lines += ['', f'cached is {best[mode] / best["cached"]:.1f} times as fast as {mode}']
    lines += [
        '',
        f'A cache of DIV2K takes {result["cache_hours"]:.1f} h ({result["label_s"]:.3f} s a sub-image) and '
        f'{result["cache_gb"]:.0f} GB. It has paid after {result["pays_after_iterations"]:,.0f} iterations of batch '
        f'{BATCH}, which is {result["pays_after_students"]:.2f} students of {ITERATIONS:,d} iterations. Such a student '
        f'takes {result["hours_of_a_run_live"]:.1f} h live and {result["hours_of_a_run_cached"]:.1f} h cached.',
    ]
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--parts', nargs='+', choices=['fidelity', 'loader', 'steps'], default=['loader', 'steps'])
    parser.add_argument('-opt', type=Path, help='options file of a real teacher and its training LMDBs, for fidelity')
    parser.add_argument('--images', type=int, default=24, help='sub-images for fidelity')
    parser.add_argument('--pairs', nargs='+', choices=['small', 'edsr', 'rcan', 'swinir'],
                        default=['edsr', 'rcan', 'swinir'])  # fmt: skip
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--iterations', type=int, default=3, help='timed iterations a round, after one warm-up')
    parser.add_argument('--batch', type=int, help='default: 16 on CUDA, 2 on a CPU')
    parser.add_argument('--thin', action='store_true', help='toy networks, to try this out')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--peer', help='a checkout of yun224/DUKD')
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    args.batch = args.batch or (16 if args.device == 'cuda' else 2)
    results: dict[str, object] = {}
    if 'fidelity' in args.parts:
        results['fidelity'] = found = fidelity(args)
        print(report_fidelity(found) + '\n')
    if 'loader' in args.parts:
        results['loader'] = times = loader()
        print('\n'.join(f'{name}: {ms:.2f} ms a sample on one core' for name, ms in times.items()) + '\n')
    if 'steps' in args.parts:
        results['steps'] = found = []
        for pair in args.pairs:
            found.append(steps(pair, args))
            print(report_steps(found[-1]) + '\n', flush=True)
    write_json(args.json, results)


if __name__ == '__main__':
    main()
