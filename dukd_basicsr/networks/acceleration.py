"""What makes networks faster: fewer bits (autocast, TF32), memory laid out channels last, compilation."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from dukd_basicsr.errors import UserError

DTYPES: dict[str | None, torch.dtype | None] = {None: None, 'fp32': None, 'bf16': torch.bfloat16, 'fp16': torch.float16}
"""Precisions by their names in options files; None: computed as the weights are."""


def find_device(name: str | None = None) -> torch.device:
    """The device of a name; without one CUDA where there is a GPU, else the CPU."""
    return torch.device(name or ('cuda' if torch.cuda.is_available() else 'cpu'))


def find_dtype(name: str | None, device: torch.device, key: str) -> torch.dtype | None:
    """What autocast is to compute in.

    Args:
        name (str | None): 'fp32', 'bf16', 'fp16' or None.
        device (torch.device): Where the network is.
        key (str): The option that says so, for the message.

    Raises:
        UserError: fp16 on a CPU, which computes it many times more slowly than fp32.
    """
    if name == 'fp16' and device.type == 'cpu':
        raise UserError(f'{key}: fp16 needs a GPU; on the CPU write bf16 or leave it out.')
    return DTYPES[name]


def reduce_precision(net: Callable[[Tensor], Tensor], dtype: torch.dtype | None) -> Callable[[Tensor], Tensor]:
    """`net` with its convolutions and matrix products in `dtype`; what comes out is as precise as what went in.

    Weights stay as they are, and so do sums, norms and whatever else autocast leaves alone.

    Args:
        net (Callable): Maps a tensor to a tensor on its device.
        dtype (torch.dtype | None): None returns `net` itself.
    """
    if dtype is None:
        return net

    def ask(x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, dtype):
            answer = net(x)
        return answer.to(x.dtype)

    return ask


def set_tf32(allowed: bool | None) -> None:
    """Let CUDA's convolutions and matrix products round their factors to 10 bits, or not; for the whole process.

    Args:
        allowed (bool | None): None leaves torch's setting: convolutions may, matrix products may not.
    """
    if allowed is not None:
        torch.set_float32_matmul_precision('high' if allowed else 'highest')
        backend: Any = torch.backends.cudnn
        backend.allow_tf32 = allowed


_COMPILERS = {'darwin': 'clang++', 'win32': 'cl'}


def lay_out_channels_last(net: nn.Module) -> nn.Module:
    """Lay out the weights of convolutions as (out, H, W, in) in memory, and with them what they answer.

    Args:
        net (nn.Module): Changed in place, its parameters stay the same objects; not wrapped for several devices yet,
            since DistributedDataParallel lays its buckets out as the weights are.

    Returns:
        nn.Module: `net`.
    """
    module: Any = net  # torch's own types do not know this argument
    return module.to(memory_format=torch.channels_last)


def compile_in_place(networks: Iterable[nn.Module], device: torch.device) -> None:
    """Compile networks for the sizes that they will see, at their first call with each.

    Args:
        networks (Iterable[nn.Module]): Bare, not wrapped for several devices; wrappers call them compiled.
        device (torch.device): Where they are.

    Raises:
        UserError: What compiles for this device is not installed.
    """
    problem = find_missing_compiler(device)
    if problem:
        raise UserError(f'train.compile: {problem}')
    for network in networks:
        network.compile(dynamic=False)


def find_missing_compiler(device: torch.device) -> str | None:
    """What is missing to compile for a device, and what to do about it; None where nothing is."""
    if device.type == 'cuda':
        if importlib.util.find_spec('triton') is None:
            return 'compiling for a GPU needs the package triton; install it, or write compile: false.'
        return None
    compiler = os.environ.get('CXX') or _COMPILERS.get(sys.platform, 'g++')
    if shutil.which(compiler) is None:
        return (
            f'compiling for the CPU needs a C++ compiler and there is no {compiler}; install it, name another in '
            'the environment variable CXX, or write compile: false.'
        )
    return None
