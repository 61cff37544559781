"""FSP: how features change from one layer to a later one."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor
from torch.nn import functional as F

from dukd_basicsr.losses.feature_loss import FeatureLoss


@LOSS_REGISTRY.register()
class FSPLoss(FeatureLoss):
    """Flow of the solution procedure (Yim et al., CVPR 2017, "A Gift from Knowledge Distillation", Eq. 1 and 2).

    G_ij = 1/(hw) sum_{s,t} F1_{s,t,i} F2_{s,t,j} between each tap F1 and the next one F2;
    L = sum over these pairs of ||G^T - G^S||^2, here the mean over the entries of G and over samples (the paper's
    weights lambda_i are 1, its norm grows with the widths). The matrices' sides are widths, so the student is adapted.

    Args:
        loss_weight (float): The factor of this term.

    Examples:
        >>> FSPLoss()(2 * [torch.ones(1, 2, 4, 4)], 2 * [torch.zeros(1, 2, 4, 4)])
        tensor(1.)
    """

    least_taps = 2

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """As FeatureLoss, over the pairs of neighbouring taps."""
        maps = [(adapt(s), t) for adapt, s, t in self.match(student, teacher)]
        terms = [(measure_flow(s1, s2) - measure_flow(t1, t2)).square().mean() for (s1, t1), (s2, t2) in pairwise(maps)]
        return self.loss_weight * torch.stack(terms).sum()


def measure_flow(first: Tensor, second: Tensor) -> Tensor:
    """The FSP matrix (B, C1, C2) of two maps (B, C, H, W); the larger one is averaged to the other's size."""
    size = min(first.shape[-2], second.shape[-2]), min(first.shape[-1], second.shape[-1])
    first, second = (
        (features if features.shape[-2:] == size else F.adaptive_avg_pool2d(features, size)).flatten(2)
        for features in (first, second)
    )
    return first @ second.transpose(1, 2) / (size[0] * size[1])
