"""What a network costs, in parameters, multiply-accumulates and memory, and what memory there is."""

from __future__ import annotations

import copy
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from dukd_basicsr.networks import window_masks as masks
from dukd_basicsr.networks.padding import super_resolve

OUTPUT_WIDTH, OUTPUT_HEIGHT = 1280, 720
"""The size of the output for which papers on super-resolution state multiply-accumulates."""
SMALL = 64
"""Side of the real input that stands in for the whole one: a multiple of common windows."""


def count_parameters(net: nn.Module) -> int:
    """Number of parameters, trainable or frozen."""
    return sum(parameter.numel() for parameter in net.parameters())


def count_macs(net: nn.Module, height: int, width: int, channels: int = 3) -> int:
    """Multiply-accumulates of matrix products (attention's too) and convolutions for one input.

    Counted without computing anything (on the meta device) where the network allows it, else on a small image and
    scaled by the area, which is exact for convolutions.

    Args:
        net (nn.Module): Left unchanged; an input that its windows do not divide is padded.
        height (int): Of the LR input.
        width (int): Of the LR input.
        channels (int): Of the input.
    """
    # Of a copy, since networks may keep what they derive from their input (BasicSR's EDSR keeps its mean).
    try:
        return _count(copy.deepcopy(net).to('meta'), torch.zeros(1, channels, height, width, device='meta'))
    except (RuntimeError, TypeError, ValueError):  # a value was asked of a tensor that has none
        small = _count(copy.deepcopy(net).to('cpu'), torch.zeros(1, channels, SMALL, SMALL))
        return round(small * height * width / SMALL**2)


def find_lr_size(scale: int) -> tuple[int, int]:
    """Height and width of the LR input of a 1280x720 output."""
    return round(OUTPUT_HEIGHT / scale), round(OUTPUT_WIDTH / scale)


def _count(net: nn.Module, lq: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        super_resolve(net, lq)
    return counter.get_total_flops() // 2


def measure_peak_memory(net: nn.Module, height: int, width: int, channels: int, device: torch.device) -> int | None:
    """Weights, input, and the activations that are alive together, output included, for one input.

    On CUDA as torch's allocator measures it (`max_memory_allocated`, scratch memory of kernels included). On the CPU
    resident memory would tell what the allocator has kept from earlier images, so the bytes of all living tensors are
    counted instead, operation by operation, without computing anything (on the meta device) where the network allows
    it, else on a small image and scaled by the area.

    Args:
        net (nn.Module): On the device, left unchanged; an input that its windows do not divide is padded.
        height (int): Of the LR input.
        width (int): Of the LR input.
        channels (int): Of the input.
        device (torch.device): Where the network is.

    Returns:
        int | None: Bytes; None where the GPU has not enough.
    """
    masks.forget()  # else they would be the first row's alone
    weights = sum(tensor.nbytes for tensor in (*net.parameters(), *net.buffers()))
    if device.type == 'cuda':
        measured = _measure_cuda(net, torch.zeros(1, channels, height, width, device=device))
        return None if measured is None else weights + measured
    try:
        meta, size = copy.deepcopy(net).to('meta'), (1, channels, height, width)
        return weights + count_bytes(lambda: super_resolve(meta, torch.zeros(size, device='meta')))
    except (RuntimeError, TypeError, ValueError):  # a value was asked of a tensor that has none
        small = count_bytes(lambda: super_resolve(net, torch.zeros(1, channels, SMALL, SMALL)))
        return weights + round(small * height * width / SMALL**2)


def count_bytes(run: Callable[[], Any]) -> int:
    """The most bytes of tensors, made while `run` runs, that are alive at once."""
    with _LivingBytes() as living:
        run()
    return living.peak


def read_free_memory(device: torch.device) -> int:
    """Bytes that a network may still take on a device; 2 GiB where the system does not tell."""
    if device.type == 'cuda':
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # by torch, for torch
        return torch.cuda.mem_get_info(device)[0] + kept
    try:  # sysconf counts what holds the files that were read last as taken
        lines = Path('/proc/meminfo').read_text(encoding='ascii').splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith('MemAvailable:'))
    except (OSError, StopIteration):  # not on every system
        return 2**31


def read_physical_memory() -> int:
    """Bytes of this machine; 64 GiB where the system does not tell."""
    try:
        return os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
    except (AttributeError, OSError, ValueError):  # Windows
        return 2**36


def _measure_cuda(net: nn.Module, lq: Tensor) -> int | None:
    torch.cuda.synchronize(lq.device)
    before = torch.cuda.memory_allocated(lq.device) - lq.nbytes
    torch.cuda.reset_peak_memory_stats(lq.device)
    try:
        super_resolve(net, lq)
    except torch.cuda.OutOfMemoryError:
        return None
    return torch.cuda.max_memory_allocated(lq.device) - before


class _LivingBytes(TorchDispatchMode):
    """Adds the storage of every tensor that an operation returns, and takes it off when it dies."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {id(each.untyped_storage()) for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)}
        result = func(*args, **(kwargs or {}))
        for each in tree_leaves(result):
            if isinstance(each, Tensor) and id(each.untyped_storage()) not in given:
                self._add(each.untyped_storage())
        return result

    def _add(self, storage: Any) -> None:
        size = storage.nbytes()
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._remove, size)

    def _remove(self, size: int) -> None:
        self.now -= size
