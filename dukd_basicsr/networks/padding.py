"""Networks with windows on images of any size: padded by reflection before, cropped after."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

PROBE_SIZE = 16
"""Side of the image of zeros that a network is asked once, to learn the size of its answers: small and even."""
_FOLDED = {1: 4, 2: 2}


@dataclass(frozen=True)
class SizeRequirement:
    """The input sides that a network can take."""

    multiple: int = 1
    """Sides must be multiples of this (SwinIR's window_size)."""
    minimum: int = 1
    """Sides must be at least this."""

    def padded(self, side: int) -> int:
        """The smallest side from `side` on that the network can take."""
        return -(-max(side, self.minimum) // self.multiple) * self.multiple


def find_size_requirement(net: nn.Module) -> SizeRequirement:
    """What a network says of itself: its `size_requirement`, else the `window_size` of its layers, else nothing.

    BasicSR's SwinIR keeps the window in its layers only, and its RRDBNet of x2 and x1 does not say that it folds 2x2 or
    4x4 pixels into channels first.

    Args:
        net (nn.Module): Bare, or wrapped for several devices.
    """
    windows = {1}
    for module in net.modules():
        stated = getattr(module, 'size_requirement', None)
        if isinstance(stated, SizeRequirement):
            return stated
        window = getattr(module, 'window_size', 1)
        windows.update(side for side in (window if isinstance(window, tuple) else (window,)) if isinstance(side, int))
        if type(module).__name__ == 'RRDBNet':
            windows.add(_FOLDED.get(getattr(module, 'scale', 4), 1))
    return SizeRequirement(multiple=math.lcm(*windows))


def pad(lq: Tensor, requirement: SizeRequirement) -> Tensor:
    """Pad (B, C, H, W) at the bottom and right by reflection, as often as it takes; unchanged where it fits."""
    for dim in (-2, -1):
        side = lq.shape[dim]
        wanted = requirement.padded(side)
        if wanted != side:
            # 0 1 2 3 2 1 0 1 ...: the edge is not repeated. An image of one pixel can only repeat that pixel.
            period = max(2 * (side - 1), 1)
            index = torch.arange(wanted, device=lq.device) % period
            lq = lq.index_select(dim, torch.minimum(index, period - index))
    return lq


def crop(output: Tensor, padded: Tensor, lq: Tensor) -> Tensor:
    """Cut from the network's output what padding has added.

    Args:
        output (Tensor): (B, C, s * H', s * W') for the padded input.
        padded (Tensor): (B, C, H', W').
        lq (Tensor): (B, C, H, W), what was padded.
    """
    if padded.shape == lq.shape:
        return output
    scale = output.shape[-1] // padded.shape[-1]
    return output[..., : scale * lq.shape[-2], : scale * lq.shape[-1]]


def forward(net: Callable[[Tensor], Tensor], lq: Tensor, requirement: SizeRequirement) -> Tensor:
    """`net(lq)` for an input of any size; the padded pixels are gone from the output, so they carry no loss."""
    padded = pad(lq, requirement)
    return crop(net(padded), padded, lq)


@torch.no_grad()
def super_resolve(net: nn.Module, lq: Tensor) -> Tensor:
    """Ask a network for the whole image at once.

    Args:
        net (nn.Module): In eval mode; a network with windows sees the image padded.
        lq (Tensor): (B, C, H, W) in [0, 1], of any size, on the network's device.

    Returns:
        Tensor: (B, C, s * H, s * W); neither clamped nor rounded.
    """
    return forward(net, lq, find_size_requirement(net))


def answer_zeros(net: nn.Module, channels: int, side: int = PROBE_SIZE) -> Tensor:
    """What a network makes of (1, channels, side, side) zeros on the CPU: its scale and channels are in the shape."""
    return super_resolve(net, torch.zeros(1, channels, side, side))
