"""Does this machine compute an int8 graph as its calibration promised?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dukd_basicsr.networks.padding import super_resolve

LEEWAY = 0.5
"""In dB. Between a value that is rounded up on one machine and down on another lie hundredths; saturation costs whole
decibels (docs/export.md)."""


@dataclass(frozen=True)
class Kept:
    """How near an int8 graph stays to its float32 network: PSNR in dB over all images, of a peak of 1."""

    promised: float
    """In exact arithmetic, so on any machine whose integer instructions neither overflow nor saturate."""
    here: float
    """By the integer instructions of this machine."""

    @property
    def worse_than_promised(self) -> bool:
        """By more than rounding explains."""
        return self.here < self.promised - LEEWAY


def keep(net: nn.Module, exact: nn.Module, here: nn.Module, images: Sequence[Tensor]) -> Kept:
    """Measure both graphs against the network.

    Args:
        net (nn.Module): float32, on the CPU, in eval mode.
        exact (nn.Module): The int8 graph computed as it is written, see `open_session`.
        here (nn.Module): The same graph as onnxruntime runs it.
        images (Sequence[Tensor]): Each (1, C, H, W) in [0, 1], as calibration saw them; at least one.
    """
    truths = [super_resolve(net, lq) for lq in images]
    promised, got = (_psnr([super_resolve(each, lq) for lq in images], truths) for each in (exact, here))
    return Kept(promised, got)


def _psnr(found: Sequence[Tensor], truths: Sequence[Tensor]) -> float:
    """Of values clamped to [0, 1], as every picture is."""
    squares = [(a.clamp(0, 1) - b.clamp(0, 1)).double().square().flatten() for a, b in zip(found, truths, strict=True)]
    error = torch.cat(squares).mean().item()
    return -10 * math.log10(error) if error > 0 else math.inf
