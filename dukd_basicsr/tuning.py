"""Networks in the form that their device likes best. The names of their weights stay, so do all checkpoints."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable

import torch
from torch import nn

from dukd_basicsr.errors import UserError

_COMPILERS = {'darwin': 'clang++', 'win32': 'cl'}


def channels_last(net: nn.Module) -> nn.Module:
    """Lay out the weights of convolutions as (out, H, W, in) in memory, and with them what they answer.

    Args:
        net (nn.Module): Changed in place, its parameters stay the same objects; not wrapped for several devices yet,
            since DistributedDataParallel lays its buckets out as the weights are.

    Returns:
        nn.Module: `net`.
    """
    return net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def compile_in_place(networks: Iterable[nn.Module], device: torch.device) -> None:
    """Compile networks for the sizes that they will see, at their first call with each.

    Args:
        networks (Iterable[nn.Module]): Bare, not wrapped for several devices; wrappers call them compiled.
        device (torch.device): Where they are.

    Raises:
        UserError: What compiles for this device is not installed.
    """
    problem = missing_compiler(device)
    if problem:
        raise UserError(f'train.compile: {problem}')
    for network in networks:
        network.compile(dynamic=False)


def missing_compiler(device: torch.device) -> str | None:
    """What is missing to compile for a device, and what to do about it; None where nothing is."""
    if device.type == 'cuda':
        if importlib.util.find_spec('triton') is None:
            return 'compiling for a GPU needs the package triton; install it, or write compile: false.'
        return None
    compiler = os.environ.get('CXX') or _COMPILERS.get(sys.platform, 'g++')
    if shutil.which(compiler) is None:
        return (f'compiling for the CPU needs a C++ compiler and there is no {compiler}; install it, name another in '
                'the environment variable CXX, or write compile: false.')  # fmt: skip
    return None
