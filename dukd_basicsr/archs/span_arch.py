"""SPAN as a student: spandrel's network, built from an options file and trained like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn


@ARCH_REGISTRY.register()
class SPAN(nn.Module):
    """Swift Parameter-free Attention Network (Wan et al., arXiv:2311.12770), the winner of NTIRE 2024's challenge.

    What is built is spandrel's own network, so a checkpoint has its names and is read by whatever reads SPAN. Each of
    its convolutions trains as three in a row beside one of 1x1; in eval mode it is the one 3x3 convolution
    (`eval_conv`) that they amount to, made anew in every forward pass, and `networks.deploy` leaves only that. It is
    computed, not trained, so it is frozen: the optimizer and the ranks of a distributed run have nothing to do with it.

    Args:
        num_in_ch (int): Channels of the input; 3 where `norm` is true.
        num_out_ch (int): Channels of the output.
        feature_channels (int): Width; 48 is the published one, 28 that of the challenge.
        upscale (int): Enlargement.
        norm (bool): Subtract `rgb_mean` from the input and multiply it by `img_range`, as the published weights want.
        img_range (float): See `norm`. spandrel assumes 255 when it reads a file.
        rgb_mean (Sequence[float]): See `norm`. spandrel assumes DIV2K's when it reads a file.
    """

    def __new__(
        cls,
        num_in_ch: int = 3,
        num_out_ch: int = 3,
        feature_channels: int = 48,
        upscale: int = 4,
        norm: bool = True,
        img_range: float = 255.0,
        rgb_mean: Sequence[float] = (0.4488, 0.4371, 0.4040),
    ) -> Any:
        """Spandrel's network with `eval_conv` frozen."""
        import spandrel.architectures.SPAN  # here: it takes longer than most commands

        net = spandrel.architectures.SPAN.SPAN(
            num_in_ch=num_in_ch,
            num_out_ch=num_out_ch,
            feature_channels=feature_channels,
            upscale=upscale,
            norm=norm,
            img_range=img_range,
            rgb_mean=tuple(rgb_mean),
        )
        for name, parameter in net.named_parameters():
            if '.eval_conv.' in name:
                parameter.requires_grad_(False)
        return net
