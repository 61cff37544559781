"""What `basicsr train --check` finds out about memory: what a pass keeps, what stays, and the most that there was."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from dukd_basicsr.networks.cost import count_parameters

_resource = importlib.import_module('resource') if os.name == 'posix' else None
_FLOAT = 4
"""Bytes of a number."""


@contextmanager
def count_saved(net: nn.Module) -> Iterator[list[int]]:
    """The bytes that autograd keeps until the backward pass, weights aside; each storage once."""
    total, seen = [0], {parameter.untyped_storage().data_ptr() for parameter in net.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in seen:
            seen.add(storage.data_ptr())
            total[0] += storage.nbytes()
        return tensor.detach()  # else an output that is saved would hold itself

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield total


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
    """Bytes that stay: student, gradient, EMA and what the optimizers remember; teachers."""
    copies = 2 + hasattr(model, 'net_g_ema')
    weights = _FLOAT * (copies * count_parameters(model.net_g) + sum(count_parameters(each) for each in teachers))
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
