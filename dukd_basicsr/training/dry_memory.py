"""What `basicsr train --check` finds out about memory: what a pass keeps, what stays, and the most that there was."""

from __future__ import annotations

import importlib
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from weakref import finalize

import torch
from torch import Tensor, nn

from dukd_basicsr.networks.cost import count_parameters

_resource = importlib.import_module('resource') if os.name == 'posix' else None
_FLOAT = 4
"""Bytes of a number."""


class _Saved:
    """A tensor that a graph keeps; what hangs on it is called once the graph lets it go."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor.detach()  # else an output that is saved would hold itself


@contextmanager
def count_saved(*networks: nn.Module) -> Iterator[list[int]]:
    """The most bytes that autograd keeps for a backward pass at once, weights aside; each storage once."""
    most, now, kept = [0], 0, Counter[int]()
    weights = {parameter.untyped_storage().data_ptr() for net in networks for parameter in net.parameters()}

    def pack(tensor: Tensor) -> _Saved:
        nonlocal now
        saved, storage = _Saved(tensor), tensor.untyped_storage()
        place, size = storage.data_ptr(), storage.nbytes()
        if place not in weights:
            now += 0 if kept[place] else size
            kept[place] += 1
            most[0] = max(most[0], now)
            finalize(saved, release, place, size)
        return saved

    def release(place: int, size: int) -> None:
        nonlocal now
        kept[place] -= 1
        now -= 0 if kept[place] else size

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda saved: saved.tensor):
        yield most


@contextmanager
def find_largest_call(net: nn.Module) -> Iterator[list[int]]:
    """The bytes of the largest input and output that a layer has at once."""
    largest = [0]

    def look(_: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        tensors = [each for each in (*inputs, output) if isinstance(each, Tensor)]
        largest[0] = max(largest[0], sum(each.nbytes for each in tensors))

    handles = [layer.register_forward_hook(look) for layer in net.modules() if not list(layer.children())]
    try:
        yield largest
    finally:
        for handle in handles:
            handle.remove()


def count_standing(model: Any, teachers: Sequence[nn.Module]) -> int:
    """Bytes that stay: student, gradient, EMA and what the optimizers remember; a discriminator's; teachers."""
    numbers = (2 + hasattr(model, 'net_g_ema')) * count_parameters(model.net_g)
    numbers += 2 * count_parameters(model.net_d) if hasattr(model, 'net_d') else 0
    weights = _FLOAT * (numbers + sum(count_parameters(each) for each in teachers))
    states = [state for optimizer in model.optimizers for state in optimizer.state.values()]
    return weights + sum(each.nbytes for state in states for each in state.values() if isinstance(each, Tensor))


def find_peak(device: torch.device) -> int | None:
    """Bytes that this process has had at once so far; None where the system does not tell."""
    if device.type == 'cuda':
        return torch.cuda.max_memory_allocated(device)
    if _resource is None:
        return None
    peak = _resource.getrusage(_resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == 'darwin' else peak * 1024  # bytes there, kibibytes elsewhere
