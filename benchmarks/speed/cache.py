"""What an upcycled cache costs and what it saves: labels, iterations, loading, and when it pays.

    python -m benchmarks.speed.cache [--parts fidelity loader steps] [--pairs small edsr rcan swinir] [--rounds 3]
        [--device cuda] [-opt FILE] [--images 24] [--peer DIR] [--json FILE]

fidelity: ways to store a teacher's label; the teacher and the training LMDBs are those of -opt, an options file. Bytes
    are of a 480x480 label; the time to decode is that of one training crop, since a PNG has to be decoded whole; dB
    lost is of the label's PSNR against ground truth, after rounding.
loader: milliseconds a sample of UpcycledImageDataset on one core, beside PairedImageDataset on the same LMDBs.
steps: feed_data + optimize_parameters of DUKDModel with its teacher (live), with a batch that has the labels (cached),
    and of the student alone on the same samples (stock's loss, step and EMA, no teacher, no distillation), each in a
    process of its own, in turns; best of all iterations. Then, of the teacher's measured time, after how many
    iterations a cache of DIV2K (32,592 sub-images of 480x480, 4 crops each) has cost less than it saved.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.common import REPOSITORY, run_module, write_json
from benchmarks.speed.cache_labels import fidelity, report_fidelity
from benchmarks.speed.cache_loader import loader
from benchmarks.speed.step import forget_peak, highest_resident, resident

SCALE, PATCH, SUB_IMAGE = 4, 48, 480
DIV2K, PER_IMAGE, BATCH, ITERATIONS = 32592, 4, 16, 250_000
"""Sub-images of DIV2K, crops of each; batch and length of the paper's runs."""
L1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
MODES = ('live', 'cached', 'alone')


def networks(pair: str) -> dict:
    """Teacher and student of a pair: the paper's from the shipped options files, or a small one."""
    if pair == 'small':
        edsr = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 16, 'upscale': SCALE}
        return {'network_t': {**edsr, 'num_feat': 128}, 'network_g': {**edsr, 'num_feat': 32}}
    from dukd_basicsr import options

    opt = options.load(REPOSITORY / 'options' / f'train_dukd_{pair}_x{SCALE}.yml')
    return {key: opt[key] for key in ('network_t', 'network_g')}


def model_options(pair: str, folder: Path, mode: str, device: str) -> dict:
    ours = {'dukd_opt': L1}
    theirs = {'dukd_opt': {'n_gt_sub': [1], 'zoom_out': True}, 'noisy': {'prob': 0.3}}
    model_type = {'peer': 'DUKD', 'alone': 'SRModel'}.get(mode, 'DUKDModel')
    return {
        'name': 'cache', 'model_type': model_type, 'scale': SCALE, 'num_gpu': int(device == 'cuda'),
        'manual_seed': 0, 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'datasets': {},
        **networks(pair), 'path': {'pretrain_network_t': str(folder / 'teacher.pth')},
        'train': {
            'ema_decay': 0.999, 'total_iter': 1000,
            'optim_g': {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [500], 'gamma': 0.1},
            'pixel_opt': L1, 'kd_opt': L1, **(theirs if mode == 'peer' else ours),
        },
    }  # fmt: skip


def step_batch(size: int, mode: str) -> dict:
    """A batch as the dataset of a mode gives it."""
    import torch

    def image(side, *crops):  # noqa: ANN001, ANN002, ANN202
        return torch.rand(size, *crops, 3, side, side)

    data = {'lq': image(PATCH), 'gt': image(SCALE * PATCH)}
    if mode in ('cached', 'alone'):
        data |= {'lq_label': image(SCALE * PATCH), 'zoom_in': image(PATCH, 1), 'zoom_out': image(PATCH // SCALE)}
        data |= {'zoom_in_label': image(SCALE * PATCH, 1), 'zoom_out_label': image(PATCH)}
    return data


def build(pair: str, mode: str, device: str, peer: str | None, folder: Path):  # noqa: ANN201
    """A model of a mode, with random weights: the time of a convolution does not depend on them."""
    import dukd_basicsr.plugin  # noqa: F401

    # isort: split
    import torch
    from basicsr.models import build_model

    from dukd_basicsr.distillation import teacher
    from dukd_basicsr.networks.weights import build_network

    opt = model_options(pair, folder, mode, device)
    if mode == 'cached':
        teacher.build_teacher = lambda opt: teacher.NoTeacher()
    elif mode == 'peer':
        sys.path.insert(0, peer)
        import models  # noqa: F401  registers the authors' classes
    if mode in ('live', 'peer'):
        torch.save({'params': build_network(opt['network_t']).state_dict()}, folder / 'teacher.pth')
    return build_model(opt)


def stepper(model, mode: str, data: dict):  # noqa: ANN001, ANN201
    """One iteration of a mode."""
    import torch

    from dukd_basicsr.networks import padding

    needs = padding.find_size_requirement(model.get_bare_model(model.net_g))

    def step(iteration: int) -> None:
        model.feed_data(data)
        model.optimize_parameters(iteration)

    def step_alone(iteration: int) -> None:
        """SRModel's step on all inputs, those of one size together."""
        to = {name: value.to(model.device) for name, value in data.items()}
        pairs = [
            (torch.cat([to['lq'], to['zoom_in'][:, 0]]), torch.cat([to['gt'], to['zoom_in_label'][:, 0]])),
            (to['zoom_out'], to['lq']),
        ]
        model.optimizer_g.zero_grad()
        sum(model.cri_pix(padding.forward(model.net_g, lq, needs), gt) for lq, gt in pairs).backward()
        model.optimizer_g.step()
        model.model_ema(decay=model.ema_decay)

    return step_alone if mode == 'alone' else step


def measure(mode: str, pair: str, args: argparse.Namespace) -> dict:
    """Run one mode in this process."""
    import torch

    import dukd_basicsr.plugin  # noqa: F401

    if mode == 'teacher':
        return {'seconds': teacher_seconds(pair, args.device), 'times': [0.0], 'memory': 0}
    baseline = resident()
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = build(pair, mode, args.device, args.peer, Path(folder))
        step = stepper(model, mode, step_batch(args.batch, mode))
        forget_peak()
        times = []
        for iteration in range(1, args.iterations + 2):
            start = time.perf_counter()
            step(iteration)
            if args.device == 'cuda':
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    cuda = args.device == 'cuda'
    return {'times': times[1:], 'memory': torch.cuda.max_memory_allocated() if cuda else highest_resident() - baseline,
            'torch': torch.__version__, 'threads': torch.get_num_threads(),
            'device': torch.cuda.get_device_name() if cuda else 'CPU'}  # fmt: skip


def teacher_seconds(pair: str, device: str) -> float:
    """Seconds to label one sub-image of DIV2K with its crops and its zoomed-out LR, as `basicsr upcycle` asks."""
    import dukd_basicsr.plugin  # noqa: F401

    # isort: split
    import torch

    from dukd_basicsr.distillation.teacher import Teacher
    from dukd_basicsr.networks.weights import build_network

    teacher = Teacher(build_network(networks(pair)['network_t'])).to(device)
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


def in_own_process(mode: str, pair: str, args: argparse.Namespace) -> dict:
    arguments = ['--measure', mode, '--pairs', pair, '--device', args.device, '--batch', str(args.batch)]
    arguments += ['--iterations', str(args.iterations), *(['--peer', args.peer] if args.peer else [])]
    done = run_module('benchmarks.speed.cache', *arguments)
    if done.returncode:
        sys.exit(f'{mode} of {pair} failed:\n{done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def steps(pair: str, args: argparse.Namespace) -> dict:
    """All modes of one pair in turns, and when its cache pays."""
    from dukd_basicsr.data.cache.record import Layout

    modes = [*MODES, *(['peer'] if args.peer and pair in ('small', 'edsr') else [])]
    runs: dict[str, list[dict]] = {mode: [] for mode in modes}
    for round_ in range(args.rounds):
        for mode in modes:
            runs[mode].append(in_own_process(mode, pair, args))
            best = min(runs[mode][-1]['times'])
            sys.stderr.write(f'{pair}: round {round_ + 1}/{args.rounds}, {mode}: {best:.3f} s\n')
    rows = {}
    for mode, measured in runs.items():
        times = [seconds for run in measured for seconds in run['times']]
        memory = max(run['memory'] for run in measured)
        rows[mode] = {'best_s': min(times), 'median_s': statistics.median(times), 'memory_bytes': memory}
    label = in_own_process('teacher', pair, args)['seconds']
    saved = (rows['live']['best_s'] - rows['cached']['best_s']) * BATCH / args.batch
    record = Layout(SCALE, PATCH, PER_IMAGE, ('lq', 'zoom_in', 'zoom_out')).nbytes(*(SUB_IMAGE // SCALE,) * 2)
    return {
        'pair': pair, 'batch': args.batch, 'rows': rows, 'environment': {key: runs['live'][0][key] for key in
        ('torch', 'threads', 'device')}, 'label_s': label, 'cache_hours': DIV2K * label / 3600,
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
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--peer', help='a checkout of yun224/DUKD')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--measure', choices=[*MODES, 'peer', 'teacher'], help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.batch = args.batch or (16 if args.device == 'cuda' else 2)
    if args.measure:
        sys.stdout.write(json.dumps(measure(args.measure, args.pairs[0], args)) + '\n')
        return
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
