"""What a network costs: parameters and multiply-accumulates."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from dukd_basicsr.evaluate import super_resolve

OUTPUT_WIDTH, OUTPUT_HEIGHT = 1280, 720
"""The output that super-resolution papers count for."""
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
        return _macs(copy.deepcopy(net).to('meta'), torch.zeros(1, channels, height, width, device='meta'))
    except (RuntimeError, TypeError, ValueError):  # a value was asked of a tensor that has none
        small = _macs(copy.deepcopy(net).to('cpu'), torch.zeros(1, channels, SMALL, SMALL))
        return round(small * height * width / SMALL**2)


def lr_size(scale: int) -> tuple[int, int]:
    """Height and width of the LR input of a 1280x720 output."""
    return round(OUTPUT_HEIGHT / scale), round(OUTPUT_WIDTH / scale)


def _macs(net: nn.Module, lq: Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        super_resolve(net, lq)
    return counter.get_total_flops() // 2
