"""FAKD: how the student's features resemble each other, as the teacher's do."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor
from torch.nn import functional as F

from dukd_basicsr.errors import UserError, did_you_mean
from dukd_basicsr.losses.feature_loss import FeatureLoss


@LOSS_REGISTRY.register()
class FAKDLoss(FeatureLoss):
    """Feature-affinity distillation (FAKD, He et al., ICIP 2020).

    L = sum_l 1/|A_l| ||A_l^S - A_l^T||_1 over the taps l, with A the affinity of the features between
    'spatial': pixels, (B, HW, HW), the cosines of their channel vectors (the paper's best, and its authors' example);
    'channel': channels, (B, C, C), the cosines of their maps, of the adapted student where widths differ;
    'instance': samples, (B, B), their inner products with rows of length 1, as in the authors' code. It compares the
    samples of a batch, so it differs where a batch is cut by `train.accumulate`.
    Several are added. The pixel affinity of one 256x256 map fills 17 GB, of student and teacher 33 GB (EdgeSRGAN#3):
    averaged pixels bound that, by default to what 24x24 of them need.

    Args:
        loss_weight (float): The factor of this term.
        affinities (Sequence[str]): Of 'spatial', 'channel' and 'instance'.
        largest_side (int | None): Maps are averaged over the smallest whole cells that leave no side larger before
            their spatial affinity; None compares all pixels, as the paper.

    Raises:
        UserError: Another affinity, or none.

    Examples:
        >>> student = torch.eye(2).view(1, 2, 1, 2)  # two pixels that have nothing in common
        >>> FAKDLoss()([student], [torch.ones(1, 2, 1, 2)])  # the teacher's are alike
        tensor(0.5000)
    """

    def __init__(
        self, loss_weight: float = 1.0, affinities: Sequence[str] = ('spatial',), largest_side: int | None = 24
    ) -> None:
        super().__init__(loss_weight)
        self.kinds: dict[str, Callable[[Tensor], Tensor]] = {
            'spatial': partial(compare_pixels, largest_side=largest_side),
            'channel': compare_channels,
            'instance': compare_samples,
        }
        wrong = next((name for name in affinities if name not in self.kinds), None)
        if wrong is not None or not affinities or isinstance(affinities, str):
            raise UserError(
                f'FAKDLoss: affinities: {affinities} is not a list of affinities.{did_you_mean(str(wrong), self.kinds)}'
            )
        self.affinities = tuple(affinities)
        self.same_width = 'channel' in affinities

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """As FeatureLoss; an adapter is asked for channels only, else it could be what learns the affinity."""
        terms = []
        for adapt, s, t in self.match(student, teacher):
            for name in self.affinities:
                affinity = self.kinds[name]
                own = adapt(s) if name == 'channel' else s
                terms.append((affinity(own) - affinity(t)).abs().mean())
        return self.loss_weight * torch.stack(terms).sum()


def compare_pixels(features: Tensor, largest_side: int | None = None) -> Tensor:
    """Cosines between the pixels of (B, C, H, W): (B, HW, HW), of averaged pixels where a side exceeds the largest."""
    if largest_side is not None:
        cell = math.ceil(max(features.shape[-2:]) / largest_side)
        if cell > 1:
            features = F.avg_pool2d(features, cell, ceil_mode=True)  # a cell at the edge averages what there is
    pixels = F.normalize(features.flatten(2), dim=1)
    return pixels.transpose(1, 2) @ pixels


def compare_channels(features: Tensor) -> Tensor:
    """Cosines between the channels of (B, C, H, W): (B, C, C)."""
    channels = F.normalize(features.flatten(2), dim=2)
    return channels @ channels.transpose(1, 2)


def compare_samples(features: Tensor) -> Tensor:
    """Inner products between the samples of (B, C, H, W), each row of length 1: (B, B)."""
    samples = features.flatten(1)
    return F.normalize(samples @ samples.T, dim=1)
