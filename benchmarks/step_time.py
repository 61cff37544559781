"""Time and peak memory of one DUKD iteration, against its floor and against the authors' code.

    python benchmarks/step_time.py [--pairs small paper] [--rounds 3] [--peer DIR] [--json FILE]

floor: the teacher's forwards without a graph and the student's forward + backward on the same tensors, bare.
ours:  DUKDModel.feed_data + optimize_parameters: upcycling, label consistency, five terms, Adam, EMA, all of it.
peer:  the authors' DUKD (a checkout of yun224/DUKD given by --peer) with the same networks, batch and views.

Every measurement runs in a process of its own (peak memory is a process's), in turns, on seeded random images and
weights: the time of a convolution does not depend on them. Times are the best of all iterations of a mode, medians
beside them; memory is the peak of the iterations, building and loading left out, above that process's baseline after
importing BasicSR (CPU: resident memory, Linux; CUDA: torch's allocator).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PAIRS = {
    'small': {'text': 'EDSR 128x16 -> 64x16, x4', 'teacher': (128, 16, 1.0), 'student': (64, 16, 1.0), 'batch': 4},
    'paper': {'text': 'EDSR 256x32 -> 64x32, x4', 'teacher': (256, 32, 0.1), 'student': (64, 32, 0.1), 'batch': 2},
}
SCALE, PATCH = 4, 48


def network(num_feat: int, num_block: int, res_scale: float) -> dict:
    return {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': num_feat, 'num_block': num_block,
            'upscale': SCALE, 'res_scale': res_scale}  # fmt: skip


def options(pair: dict, folder: Path, device: str, model_type: str) -> dict:
    """The same task in our spelling and in the authors'."""
    l1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
    ours = {'dukd_opt': l1}
    theirs = {'dukd_opt': {'n_gt_sub': [1], 'zoom_out': True}, 'noisy': {'prob': 0.3}}
    return {
        'name': 'step_time', 'model_type': model_type, 'scale': SCALE, 'num_gpu': int(device == 'cuda'),
        'manual_seed': 0, 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'datasets': {},
        'network_g': network(*pair['student']), 'network_t': network(*pair['teacher']),
        'path': {'pretrain_network_t': str(folder / 'teacher.pth')},
        'train': {
            'ema_decay': 0.999, 'total_iter': 1000,
            'optim_g': {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [500], 'gamma': 0.1},
            'pixel_opt': l1, 'kd_opt': l1, **(ours if model_type == 'DUKDModel' else theirs),
        },
    }  # fmt: skip


def measure(mode: str, pair: dict, device: str, iterations: int, peer: str | None) -> dict:
    """Run one mode in this process."""
    import torch

    import dukd_basicsr.plugin  # noqa: F401

    baseline = resident()
    torch.manual_seed(0)
    data = {'lq': torch.rand(pair['batch'], 3, PATCH, PATCH),
            'gt': torch.rand(pair['batch'], 3, SCALE * PATCH, SCALE * PATCH)}  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        step = {'floor': floor_step, 'ours': model_step, 'peer': model_step}[mode](
            mode, pair, Path(folder), device, data, peer
        )
        gc.collect()
        forget_peak()
        times = []
        for iteration in range(1, iterations + 2):
            start = time.perf_counter()
            step(iteration)
            if device == 'cuda':
                torch.cuda.synchronize()
            times.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() if device == 'cuda' else highest_resident() - baseline
    return {'times': times[1:], 'memory': peak, 'torch': torch.__version__, 'threads': torch.get_num_threads(),
            'device': torch.cuda.get_device_name() if device == 'cuda' else platform.processor() or 'CPU'}  # fmt: skip


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


def floor_step(mode, pair, folder, device, data, peer):  # noqa: ANN001, ANN201
    """The bare networks on tensors of the sizes that the views have."""
    import torch

    from dukd_basicsr.checkpoint import build_network

    teacher = build_network(network(*pair['teacher'])).to(device).eval().requires_grad_(False)
    student = build_network(network(*pair['student'])).to(device)
    views = [torch.cat([data['lq'], data['gt'][..., :PATCH, :PATCH]]).to(device),
             data['lq'][..., ::SCALE, ::SCALE].contiguous().to(device)]  # fmt: skip

    def step(iteration: int) -> None:
        with torch.no_grad():
            for view in views:
                teacher(view)
        student.zero_grad()
        sum(student(view).mean() for view in views).backward()

    return step


def model_step(mode, pair, folder, device, data, peer):  # noqa: ANN001, ANN201
    """A registered model, fed as BasicSR's train loop feeds it."""
    import torch
    from basicsr.models import build_model

    from dukd_basicsr.checkpoint import build_network

    if mode == 'peer':
        sys.path.insert(0, peer)
        import models  # noqa: F401  registers the authors' classes
    torch.save({'params': build_network(network(*pair['teacher'])).state_dict()}, folder / 'teacher.pth')
    model = build_model(options(pair, folder, device, 'DUKDModel' if mode == 'ours' else 'DUKD'))

    def step(iteration: int) -> None:
        model.feed_data(data)
        model.optimize_parameters(iteration)

    return step


def in_own_process(mode: str, pair: str, args: argparse.Namespace) -> dict:
    command = [sys.executable, __file__, '--measure', mode, '--pairs', pair, '--device', args.device,
               '--iterations', str(args.iterations)] + (['--peer', args.peer] if args.peer else [])  # fmt: skip
    environment = os.environ | {'PYTHONPATH': str(Path(__file__).resolve().parent.parent)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f'{mode} on {pair} failed:\n{done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def compare(pair: str, modes: list[str], args: argparse.Namespace) -> dict:
    """All modes in turns; times of all rounds pooled, memory at its highest."""
    runs: dict[str, list[dict]] = {mode: [] for mode in modes}
    for round_ in range(args.rounds):
        for mode in modes:
            runs[mode].append(in_own_process(mode, pair, args))
            best = min(runs[mode][-1]['times'])
            sys.stderr.write(f'{pair}: round {round_ + 1}/{args.rounds}, {mode}: {best:.3f} s\n')
    rows = {}
    for mode, measured in runs.items():
        times = [seconds for run in measured for seconds in run['times']]
        rows[mode] = {'best_s': min(times), 'median_s': statistics.median(times), 'times_s': times,
                      'memory_bytes': max(run['memory'] for run in measured)}  # fmt: skip
    for row in rows.values():
        row['time_to_floor'] = row['best_s'] / rows['floor']['best_s']
        row['median_to_floor'] = row['median_s'] / rows['floor']['median_s']
    environment = {key: runs['ours'][0][key] for key in ('torch', 'threads', 'device')}
    return {'pair': PAIRS[pair]['text'], 'batch': PAIRS[pair]['batch'], 'patch': PATCH, 'rows': rows, **environment}


def report(result: dict) -> str:
    lines = [f'{result["pair"]}, batch {result["batch"]} of {PATCH}x{PATCH}, torch {result["torch"]}, '
             f'{result["threads"]} threads, {result["device"]}', '',
             '| | best s | median s | to floor (best) | to floor (median) | peak MiB |',
             '|---|---|---|---|---|---|']  # fmt: skip
    for mode, row in result['rows'].items():
        lines.append(
            f'| {mode} | {row["best_s"]:.3f} | {row["median_s"]:.3f} | {row["time_to_floor"]:.3f} '
            f'| {row["median_to_floor"]:.3f} | {row["memory_bytes"] / 2**20:.0f} |'
        )
    if 'peer' in result['rows']:
        ours, peer = result['rows']['ours'], result['rows']['peer']
        lines += ['', f'ours is {peer["best_s"] / ours["best_s"]:.2f} times as fast as peer and takes '
                  f'{ours["memory_bytes"] / peer["memory_bytes"]:.2f} of its memory']  # fmt: skip
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pairs', nargs='+', choices=PAIRS, default=list(PAIRS))
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--iterations', type=int, default=3, help='timed iterations a round, after one warm-up')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--peer', help='a checkout of yun224/DUKD')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--measure', choices=['floor', 'ours', 'peer'], help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        pair = PAIRS[args.pairs[0]]
        sys.stdout.write(json.dumps(measure(args.measure, pair, args.device, args.iterations, args.peer)) + '\n')
        return
    modes = ['floor', 'ours'] + (['peer'] if args.peer else [])
    results = [compare(pair, modes, args) for pair in args.pairs]
    print('\n\n'.join(report(result) for result in results))
    if args.json:
        args.json.write_text(json.dumps(results, indent=2) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
