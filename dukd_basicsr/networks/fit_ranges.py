"""Ranges that leave out what is rare: the steps of eight bits become finer by more than the cut ends lose."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from dukd_basicsr.networks.onnx.ranges import LayerRanges, Range, Ranges, find_levels, find_values
from dukd_basicsr.networks.padding import super_resolve

FACTORS = tuple(round(1 - 0.05 * step, 2) for step in range(15))
"""What a range is shrunk to: 1, 0.95, ..., 0.3."""
MOST_VALUES = 2**16
"""Of one activation of one image that are looked at, evenly spread."""


@torch.no_grad()
def fit_ranges(net: nn.Module, ranges: Ranges, images: Iterable[np.ndarray]) -> dict[str, LayerRanges]:
    """Shrink each range to that of `FACTORS` with the least squared error of its activation, the zero staying.

    Ranges that are equal stay equal: the output of one convolution and the input of the next are one activation, and
    the graph has one range for it.

    Args:
        net (nn.Module): float32, in eval mode, on the CPU; left unchanged.
        ranges (Ranges): From the smallest to the largest value of each activation.
        images (Iterable[np.ndarray]): (1, C, H, W) float32 in [0, 1], those that the ranges came from.
    """
    errors: dict[Range, Tensor] = {}
    layers = dict(net.named_modules())
    hooks = [layers[name].register_forward_hook(_Watch(each, errors)) for name, each in ranges.items()]
    try:
        for image in images:
            super_resolve(net, torch.from_numpy(image))
    finally:
        for hook in hooks:
            hook.remove()
    chosen = {each: shrink(each, FACTORS[int(sums.argmin())]) for each, sums in errors.items()}
    return {name: LayerRanges(chosen[each.input], chosen[each.output]) for name, each in ranges.items()}


def shrink(to: Range, factor: float) -> Range:
    """The range with both ends times `factor`."""
    return Range(float(np.float32(to.scale * factor)), to.zero)


@dataclass(frozen=True)
class _Watch:
    """A forward hook that adds up what each factor would lose."""

    ranges: LayerRanges
    errors: dict[Range, Tensor]

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for x, to in ((inputs[0], self.ranges.input), (output, self.ranges.output)):
            values = x.flatten()[:: -(-x.numel() // MOST_VALUES)]
            losses = torch.stack([_lose(values, shrink(to, factor)) for factor in FACTORS])
            self.errors[to] = self.errors.get(to, torch.zeros(len(FACTORS), dtype=torch.float64)) + losses


def _lose(values: Tensor, to: Range) -> Tensor:
    """The sum of squared errors in a range."""
    return (find_values(find_levels(values, to), to) - values).double().square().sum()
