"""Geometric self-ensemble: a network asked eight times, for the image turned in every way."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor, nn

from dukd_basicsr.consistency import INVOLUTIONS
from dukd_basicsr.networks.padding import SizeRequirement, super_resolve

TURNS = [
    tuple(op for op, used in zip(('hflip', 'vflip', 'transpose'), drawn, strict=True) if used)
    for drawn in product((False, True), repeat=3)
]
"""The eight symmetries of a square, each as operations in the order of application."""


class SelfEnsemble(nn.Module):
    """The mean of what a network makes of the eight turned images, each turned back: the '+' of EDSR+ and RCAN+.

    As in EDSR (Lim et al., Enhanced Deep Residual Networks, CVPRW 2017, section 3.4) the outputs are averaged before
    they are clamped and rounded. They are computed one after the other: eight times the time of one, and its memory.

    Args:
        net (nn.Module): In eval mode. A network with windows sees each turned image padded by itself.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.size_requirement = SizeRequirement()
        self.eval()

    @torch.no_grad()
    def forward(self, lq: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to (B, C, s * H, s * W)."""
        total = self._ask_turned(lq, ()).clone()  # a network may answer with its input
        for turn in TURNS[1:]:
            total += self._ask_turned(lq, turn)
        return total.div_(len(TURNS))

    def _ask_turned(self, image: Tensor, turn: tuple[str, ...]) -> Tensor:
        """F^-1(S(F(image)))."""
        for op in turn:
            image = INVOLUTIONS[op](image)
        output = super_resolve(self.net, image.contiguous())
        for op in reversed(turn):
            output = INVOLUTIONS[op](output)
        return output
