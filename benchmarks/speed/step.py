"""Time and peak memory of one DUKD iteration, against its floor and against the authors' code.

    python -m benchmarks.speed.step [--pairs small edsr rcan swinir] [--modes floor ours student cached] [--rounds 3]
        [--peer DIR] [--device cuda] [--train '{"amp": "bf16"}'] [--json FILE]

floor:   the teacher's forwards without a graph and the student's forward + backward on the same tensors, bare.
ours:    DUKDModel.feed_data + optimize_parameters: upcycling, label consistency, five terms, Adam, EMA, all of it.
student: the floor of a run whose labels come with its batches: the student's forward + backward alone.
cached:  as ours with such batches.
peer:    the authors' DUKD (a checkout of yun224/DUKD given by --peer) with the same networks, batch and views; for
         SwinIR without zoom-out, which their code does not pad.

The networks are the paper's, from the shipped options files. Every measurement runs in a process of its own (peak
memory is a process's), in turns, on seeded random images and weights: the time of a convolution does not depend on
them. Times are the best of all iterations of a mode, medians beside them; memory is the peak of the iterations,
building and loading left out, above that process's baseline after importing BasicSR (CPU: resident memory, Linux;
CUDA: torch's allocator). --train sets options of `train` for ours and cached (benchmarks/speed/levers.py
compares them).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import REPOSITORY, describe_machine, run_module, write_json

PAIRS = {
    'small': ('EDSR 128x16 -> 64x16, x4', 4),
    'edsr': ('EDSR 256x32 -> 64x32, x4', 2),
    'rcan': ('RCAN 10x20 -> 10x6, x4', 2),
    'swinir': ('SwinIR 180x36 -> 60x24, x4', 2),
}
"""What a pair is called, and the batch that two CPU cores do in seconds."""
FLOORS = {'ours': 'floor', 'peer': 'floor', 'cached': 'student'}
SCALE, PATCH = 4, 48
CUDA_ITERATIONS = 10
"""Iterations that one time on CUDA is the mean of: the host runs ahead of the device, as it does in training."""
THIN = {
    'EDSR': {'num_feat': 8, 'num_block': 2},
    'RCAN': {'num_feat': 8, 'num_group': 1, 'num_block': 1, 'squeeze_factor': 4},
    'SwinIR': {'embed_dim': 12, 'depths': [2], 'num_heads': [2]},
}
"""Arguments that make a network of any size a toy, to try a benchmark out with."""


def networks(pair: str, thin: bool = False) -> dict:
    """`network_t` and `network_g`."""
    if pair == 'small':
        edsr = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 16, 'upscale': SCALE}
        found = {'network_t': {**edsr, 'num_feat': 128}, 'network_g': {**edsr, 'num_feat': 64}}
    else:
        from dukd_basicsr import options

        opt = options.load(REPOSITORY / 'options' / f'train_dukd_{pair}_x{SCALE}.yml')
        found = {key: opt[key] for key in ('network_t', 'network_g')}
    return {key: {**net, **(THIN[net['type']] if thin else {})} for key, net in found.items()}


def options_of(job: dict, folder: Path) -> dict:
    """The same task in our spelling and in the authors'."""
    l1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
    pads = job['pair'] != 'swinir'
    ours = {'dukd_opt': l1, **job.get('train', {})}
    theirs = {'dukd_opt': {'n_gt_sub': [1], 'zoom_out': pads}, 'noisy': {'prob': 0.3}}
    return {
        'name': 'step_time', 'model_type': 'DUKD' if job['mode'] == 'peer' else job.get('model', 'DUKDModel'),
        'scale': SCALE,
        'num_gpu': int(job['device'] == 'cuda'), 'manual_seed': 0, 'is_train': True, 'dist': False, 'rank': 0,
        'world_size': 1, 'datasets': {}, **networks(job['pair'], job.get('thin', False)),
        'path': {'pretrain_network_t': str(folder / 'teacher.pth')},
        'train': {
            'ema_decay': 0.999, 'total_iter': 1000,
            'optim_g': {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [500], 'gamma': 0.1},
            'pixel_opt': l1, 'kd_opt': l1, **(theirs if job['mode'] == 'peer' else ours),
        },
    }  # fmt: skip


def batch_of(job: dict) -> dict:
    """What the loader gives: LR and HR patches; in cached mode their labels, crops and zoomed-out patches too."""
    import torch

    size, patch = job['batch'], job.get('patch', PATCH)

    def image(side: int, *crops: int):  # noqa: ANN202
        return torch.rand(size, *crops, 3, side, side)

    data = {'lq': image(patch), 'gt': image(SCALE * patch)}
    if job['mode'] == 'cached':
        parts = {'lq': {'lq_label': image(SCALE * patch)},
                 'zoom_in': {'zoom_in': image(patch, 1), 'zoom_in_label': image(SCALE * patch, 1)},
                 'zoom_out': {'zoom_out': image(patch // SCALE), 'zoom_out_label': image(patch)}}  # fmt: skip
        for part in job.get('parts', parts):
            data |= parts[part]
    return {name: value.pin_memory() for name, value in data.items()} if job['device'] == 'cuda' else data


def stepper(job: dict, folder: Path) -> Callable[[int], None]:
    """One iteration of a job: {mode, pair, device, batch} and perhaps {train, patch, thin, peer, model, parts}."""
    import torch

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # as a training sets it
    return (bare_step if job['mode'] in ('floor', 'student') else model_step)(job, folder)


def bare_step(job: dict, folder: Path) -> Callable[[int], None]:
    """The networks alone on tensors of the sizes that the views have."""
    import torch

    from dukd_basicsr.networks import padding
    from dukd_basicsr.networks.acceleration import set_tf32
    from dukd_basicsr.networks.weights import build_network

    set_tf32(job.get('train', {}).get('tf32'))
    pair, device = networks(job['pair'], job.get('thin', False)), job['device']
    patch, data = job.get('patch', PATCH), batch_of(job)
    student = build_network(pair['network_g']).to(device)
    needs = padding.find_size_requirement(student)
    views = [torch.cat([data['lq'], data['gt'][..., :patch, :patch]]).to(device),
             data['lq'][..., ::SCALE, ::SCALE].contiguous().to(device)]  # fmt: skip
    views = [padding.pad(view, needs) for view in views]
    teacher = None
    if job['mode'] == 'floor':
        teacher = build_network(pair['network_t']).to(device).eval().requires_grad_(False)

    def step(iteration: int) -> None:
        if teacher is not None:
            with torch.no_grad():
                for view in views:
                    teacher(view)
        student.zero_grad()
        sum(student(view).mean() for view in views).backward()

    return step


def model_step(job: dict, folder: Path) -> Callable[[int], None]:
    """A registered model, fed as the train loop feeds it."""
    import torch
    from basicsr.models import build_model

    from dukd_basicsr.distillation.teacher import NoTeacher
    from dukd_basicsr.models.distill_model import DistillModel
    from dukd_basicsr.networks.weights import build_network

    opt, build_teacher = options_of(job, folder), DistillModel._build_teacher
    if job['mode'] == 'peer':
        sys.path.insert(0, job['peer'])
        import models  # noqa: F401  registers the authors' classes
    if job['mode'] == 'cached':
        DistillModel._build_teacher = lambda self: NoTeacher()
    else:
        torch.save({'params': build_network(opt['network_t']).state_dict()}, folder / 'teacher.pth')
    try:
        model = build_model(opt)
    finally:
        DistillModel._build_teacher = build_teacher
    data = batch_of(job)

    def step(iteration: int) -> None:
        model.feed_data(data)
        model.optimize_parameters(iteration)
        if job['mode'] != 'peer':
            model.guard.after_step(iteration, data, model.log_dict, folder)

    return step


def measure(job: dict, seconds: float = 0.0) -> dict:
    """Run one job in this process: `iterations` times, and longer until it has taken `seconds`."""
    import torch

    import dukd_basicsr.plugin  # noqa: F401

    cuda = job['device'] == 'cuda'
    baseline = resident()
    with tempfile.TemporaryDirectory() as folder:
        step = stepper(job, Path(folder))
        gc.collect()
        forget_peak()
        times, done, end = [], 0, time.perf_counter() + seconds
        while done <= job['iterations'] or time.perf_counter() < end:
            start, first = time.perf_counter(), done
            for _ in range(CUDA_ITERATIONS if cuda and done else 1):
                done += 1
                step(done)
            if cuda:
                torch.cuda.synchronize()
            times.append((time.perf_counter() - start) / (done - first))
        waits = count_waits(lambda: step(done + 1)) if cuda else None
    peak = torch.cuda.max_memory_allocated() if cuda else highest_resident() - baseline
    return {'times': times[1:], 'memory': peak, 'waits': waits, **describe_machine(job['device'])}


def count_waits(step: Callable[[], None]) -> int:
    """How often the host waits for the GPU in a step, as torch sees it."""
    import torch

    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            step()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    return sum('synchroniz' in str(warning.message) for warning in caught)


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def forget_peak() -> None:
    """Set the kernel's mark of this process's highest resident memory to its present one (man proc, clear_refs)."""
    Path('/proc/self/clear_refs').write_text('5')


def highest_resident() -> int:
    """The highest resident memory since `forget_peak`, in bytes."""
    line = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
    return int(line.split()[1]) * 1024


def in_own_process(job: dict) -> dict:
    done = run_module('benchmarks.speed.step', '--measure', json.dumps(job))
    if done.returncode:
        sys.exit(f'{job} failed:\n{done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def in_turns(jobs: dict[str, dict], rounds: int) -> dict[str, dict]:
    """All jobs by name, each `rounds` times; times of all rounds pooled, memory at its highest."""
    runs: dict[str, list[dict]] = {name: [] for name in jobs}
    for round_ in range(rounds):
        for name, job in jobs.items():
            runs[name].append(in_own_process(job))
            best = min(runs[name][-1]['times'])
            sys.stderr.write(f'{job["pair"]}: round {round_ + 1}/{rounds}, {name}: {best:.3f} s\n')
    rows = {}
    for name, measured in runs.items():
        times = [seconds for run in measured for seconds in run['times']]
        rows[name] = {'best_s': min(times), 'median_s': statistics.median(times), 'times_s': times,
                      'memory_bytes': max(run['memory'] for run in measured), 'waits': measured[-1]['waits'],
                      'environment': {key: measured[-1][key] for key in ('torch', 'threads', 'device')}}  # fmt: skip
    return rows


def compare(pair: str, modes: list[str], args: argparse.Namespace) -> dict:
    """All modes of one pair in turns."""
    text, batch = PAIRS[pair]
    common = {'pair': pair, 'device': args.device, 'batch': args.batch or batch, 'iterations': args.iterations,
              'thin': args.thin, 'patch': PATCH // 2 if args.thin else PATCH, 'peer': args.peer}  # fmt: skip
    jobs = {mode: {**common, 'mode': mode, 'train': args.train if mode in ('ours', 'cached') else {}} for mode in modes}
    rows = in_turns(jobs, args.rounds)
    for mode, row in rows.items():
        floor = rows.get(FLOORS.get(mode, mode))
        if floor is not None:
            row['time_to_floor'] = row['best_s'] / floor['best_s']
            row['median_to_floor'] = row['median_s'] / floor['median_s']
    shown = {'pair': f'{text}{", thinned" if args.thin else ""}', 'batch': common['batch'], 'patch': common['patch']}
    return {**shown, 'train': args.train, 'rows': rows, **next(iter(rows.values()))['environment']}


def report(result: dict) -> str:
    options = f', train: {json.dumps(result["train"])}' if result['train'] else ''
    lines = [f'{result["pair"]}, batch {result["batch"]} of {result["patch"]}x{result["patch"]}{options}, torch '
             f'{result["torch"]}, {result["threads"]} threads, {result["device"]}', '',
             '| | best s | median s | to floor (best) | to floor (median) | peak MiB |',
             '|---|---|---|---|---|---|']  # fmt: skip
    for mode, row in result['rows'].items():
        floor = [f'{row[key]:.3f}' if key in row else '' for key in ('time_to_floor', 'median_to_floor')]
        lines.append(
            f'| {mode} | {row["best_s"]:.3f} | {row["median_s"]:.3f} | {floor[0]} | {floor[1]} '
            f'| {row["memory_bytes"] / 2**20:.0f} |'
        )
    peer = result['rows'].get('peer')
    for mode in ('ours', 'cached') if peer else ():
        row = result['rows'].get(mode)
        if row is not None:
            lines += ['', f'{mode} is {peer["best_s"] / row["best_s"]:.2f} times as fast as peer and takes '
                      f'{row["memory_bytes"] / peer["memory_bytes"]:.2f} of its memory']  # fmt: skip
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pairs', nargs='+', choices=PAIRS, default=list(PAIRS))
    parser.add_argument('--modes', nargs='+', choices=['floor', 'ours', 'student', 'cached'], default=['floor', 'ours'])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--iterations', type=int, default=3, help='timed iterations a round, after one warm-up')
    parser.add_argument('--batch', type=int, help='default: what two CPU cores do in seconds')
    parser.add_argument('--train', type=json.loads, default={}, help='options of train as JSON, for ours and cached')
    parser.add_argument('--thin', action='store_true', help='toy networks, to try this out')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--peer', help='a checkout of yun224/DUKD')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--measure', type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        sys.stdout.write(json.dumps(measure(args.measure)) + '\n')
        return
    modes = args.modes + (['peer'] if args.peer else [])
    results = [compare(pair, modes, args) for pair in args.pairs]
    print('\n\n'.join(report(result) for result in results))
    write_json(args.json, results)


if __name__ == '__main__':
    main()
