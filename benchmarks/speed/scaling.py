"""Weak and strong scaling of DUKD training over gloo processes on this machine, and what a step sends.

    python -m benchmarks.speed.scaling [--json FILE]

Every process has one thread. Weak: each process keeps its batch. Strong: the processes share one batch. Live asks the
teacher; cached has the labels in the batch. Times are of whole steps (views, labels, forward, backward, all-reduce,
optimizer, EMA), the slowest process counts.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import dukd_basicsr.plugin  # noqa: F401
from benchmarks.common import describe_machine, write_json

# isort: split
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from dukd_basicsr.networks.weights import build_network

SCALE, PATCH = 4, 48
L1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
EDSR = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'upscale': SCALE}
PAIR = {'network_g': {**EDSR, 'num_feat': 64, 'num_block': 16}, 'network_t': {**EDSR, 'num_feat': 128, 'num_block': 16}}


def options(folder: Path, rank: int, world: int) -> dict:
    """The options of one process."""
    return {
        'name': 'scaling', 'model_type': 'DUKDModel', 'scale': SCALE, 'num_gpu': 0, 'manual_seed': 0, 'is_train': True,
        'dist': world > 1, 'rank': rank, 'world_size': world, 'datasets': {}, **PAIR,
        'path': {'pretrain_network_t': str(folder / 'teacher.pth')},
        'train': {'ema_decay': 0.999, 'optim_g': {'type': 'Adam', 'lr': 1e-4}, 'total_iter': 1000,
                  'scheduler': {'type': 'MultiStepLR', 'milestones': [500]},
                  'pixel_opt': L1, 'kd_opt': L1, 'dukd_opt': L1},
    }  # fmt: skip


def data(batch: int, cached: bool) -> dict[str, torch.Tensor]:
    """A batch; with its labels if cached."""
    big, small = (batch, 3, SCALE * PATCH, SCALE * PATCH), (batch, 3, PATCH, PATCH)
    found = {'lq': torch.rand(small), 'gt': torch.rand(big)}
    if cached:
        tiny = (batch, 3, PATCH // SCALE, PATCH // SCALE)
        found |= {'lq_label': torch.rand(big), 'zoom_in': torch.rand(small)[:, None], 'zoom_out': torch.rand(tiny),
                  'zoom_in_label': torch.rand(big)[:, None], 'zoom_out_label': torch.rand(small)}  # fmt: skip
    return found


def process(rank: int, world: int, batch: int, cached: bool, steps: int, folder: str) -> None:
    """One process: the median time of its steps goes into the folder."""
    from basicsr.models import build_model

    torch.set_num_threads(1)
    torch.manual_seed(rank)
    if world > 1:
        dist.init_process_group('gloo', init_method=f'file://{folder}/meet{world}', rank=rank, world_size=world)
    model = build_model(options(Path(folder), rank, world))
    pair = data(batch, cached)
    times = []
    for iteration in range(1, steps + 2):
        started = time.perf_counter()
        model.feed_data(pair)
        model.optimize_parameters(iteration)
        times.append(time.perf_counter() - started)
    Path(folder, f'{rank}.json').write_text(json.dumps(statistics.median(times[1:])), encoding='utf-8')
    if world > 1:
        del model
        dist.destroy_process_group()


def measure(world: int, batch: int, cached: bool, steps: int) -> float:
    """Seconds of a step, the slowest process's median."""
    with tempfile.TemporaryDirectory() as folder:
        torch.save({'params': build_network(PAIR['network_t']).state_dict()}, Path(folder) / 'teacher.pth')
        mp.spawn(process, args=(world, batch, cached, steps, folder), nprocs=world)
        return max(json.loads(Path(folder, f'{rank}.json').read_text()) for rank in range(world))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--batch', type=int, default=4, help='of one process (weak), of all together (strong)')
    parser.add_argument('--processes', type=int, nargs='+', default=[1, 2])
    parser.add_argument('--steps', type=int, default=5)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    parameters = sum(each.numel() for each in build_network(PAIR['network_g']).parameters())
    print(f'EDSR 128x16 -> 64x16, x{SCALE}, LR {PATCH}x{PATCH}, one thread a process, gloo, torch {torch.__version__}')
    print(f'all-reduced a step: {4 * parameters / 1e6:.2f} MB of gradients ({parameters / 1e6:.2f} M parameters)\n')
    print('| labels | scaling | processes | batch of each | s a step | samples/s | efficiency |')
    print('|---|---|---:|---:|---:|---:|---:|')
    rows = []
    for cached in (False, True):
        for kind in ('weak', 'strong'):
            for world in args.processes:
                each = args.batch if kind == 'weak' else args.batch // world
                seconds = measure(world, each, cached, args.steps)
                rate = each * world / seconds
                base = next((row for row in rows if (row['cached'], row['kind']) == (cached, kind)), None)
                efficiency = 1.0 if base is None else rate / base['rate'] / world * base['world']
                rows.append({'cached': cached, 'kind': kind, 'world': world, 'batch': each, 'seconds': seconds,
                             'rate': rate, 'efficiency': efficiency})  # fmt: skip
                print(f'| {"cached" if cached else "live"} | {kind} | {world} | {each} | {seconds:.3f} | {rate:.2f} '
                      f'| {efficiency:.2f} |', flush=True)  # fmt: skip
    write_json(args.json, {'environment': describe_machine() | {'parameters': parameters}, 'rows': rows})


if __name__ == '__main__':
    main()
