"""Memory of a loss on features: bytes that autograd keeps of it, and the peak above its inputs.

    python -m benchmarks.speed.feature_memory [--batch 16] [--patch 48] [--width 64] [--taps 3] [--sides 48 24 12]
        [--device cuda] [--json FILE]

Each line is a loss on `taps` pairs of random maps (batch, width, patch, patch), forward and backward: FAKDLoss with the
pixels of its spatial affinity averaged until no side is larger than one of --sides (the patch itself is the published
loss), and the losses without that matrix. `kept` counts the storages that autograd saves for the backward pass, each
once, the maps left out; `peak` is the most that was allocated at one time above the maps and their gradients (CPU:
torch's own record of allocations; CUDA: its allocator). Both are exact, so one run is enough.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
from benchmarks.common import write_json

# isort: split
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from dukd_basicsr.losses.at_loss import ATLoss
from dukd_basicsr.losses.fakd_loss import FAKDLoss
from dukd_basicsr.losses.feature_loss import FeatureLoss
from dukd_basicsr.losses.fitnet_loss import FitNetLoss
from dukd_basicsr.losses.fsp_loss import FSPLoss


def maps(arguments: argparse.Namespace, seed: int) -> list[Tensor]:
    """Random maps."""
    generator = torch.Generator().manual_seed(seed)
    shape = (arguments.batch, arguments.width, arguments.patch, arguments.patch)
    return [torch.randn(shape, generator=generator).to(arguments.device) for _ in range(arguments.taps)]


def kept(loss: FeatureLoss, student: list[Tensor], teacher: list[Tensor]) -> int:
    """Bytes that autograd saves, each storage once."""
    seen = {each.untyped_storage().data_ptr() for each in (*student, *teacher)}
    alive, total = [], 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal total
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            alive.append(storage)  # else its address could be another's
            total += storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss(student, teacher)
    return total


def peak(loss: FeatureLoss, student: list[Tensor], teacher: list[Tensor]) -> int:
    """The most bytes at one time above those at the start; the student's gradients are there then."""
    if student[0].is_cuda:
        torch.cuda.reset_peak_memory_stats()
        start = torch.cuda.memory_allocated()
        loss(student, teacher).backward()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - start
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as record:
        loss(student, teacher).backward()
    now = most = 0
    for event in record.profiler.kineto_results.events():
        if event.name() == '[memory]':
            now += event.nbytes()
            most = max(most, now)
    return most


def measure(loss: FeatureLoss, arguments: argparse.Namespace) -> dict[str, float]:
    """GiB and seconds of one loss."""
    student, teacher = maps(arguments, 0), maps(arguments, 1)
    for each in student:
        each.requires_grad_()
        each.grad = torch.zeros_like(each)
    loss = loss.to(arguments.device)
    found = {'kept_gib': kept(loss, student, teacher) / 2**30}
    started = time.perf_counter()
    found['peak_gib'] = peak(loss, student, teacher) / 2**30
    return {**found, 'seconds': time.perf_counter() - started}


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (('batch', 16), ('patch', 48), ('width', 64), ('taps', 3)):
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--sides', type=int, nargs='*', default=[48, 24, 12])
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--json', type=Path)
    arguments = parser.parse_args()
    losses = {f'FAKD spatial, sides <= {side}': FAKDLoss(largest_side=side) for side in arguments.sides}
    losses |= {f'FAKD {name}': FAKDLoss(affinities=[name]) for name in ('channel', 'instance')}
    losses |= {'FitNet': FitNetLoss(), 'AT': ATLoss(), 'FSP': FSPLoss()}
    shape = f'{arguments.taps} pairs of ({arguments.batch}, {arguments.width}, {arguments.patch}, {arguments.patch})'
    print(f'{shape}, forward and backward, on {arguments.device}')
    results = {}
    for name, loss in losses.items():
        found = results[name] = measure(loss, arguments)
        print(f'{name:28s} kept {found["kept_gib"]:7.3f} GiB   peak {found["peak_gib"]:7.3f} GiB   '
              f'{found["seconds"]:6.2f} s')  # fmt: skip
    write_json(arguments.json, {'maps': shape, 'results': results})


if __name__ == '__main__':
    main()
