"""RKD: samples lie to each other in the student as they do in the teacher."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor
from torch.nn import functional as F

from dukd_basicsr.losses.feature_loss import FeatureLoss

_EPS = 1e-12


@LOSS_REGISTRY.register()
class RKDLoss(FeatureLoss):
    """Relational knowledge distillation (Park et al., CVPR 2019, arXiv 1904.05068): distances and angles of samples.

    The features of a sample at a tap, flattened, are one point x_i; those of the samples in a batch relate by
    distances, psi_ij = ||x_i - x_j|| / mu with mu the mean distance of the batch, and
    angles, psi_ijk = cos of the angle at x_j between x_i and x_k.
    L = sum over the taps of distance_weight * mean_ij h(psi_ij^S - psi_ij^T) + angle_weight * mean_ijk h(...), over
    ordered pairs and triples of different samples, with h Huber's loss (0.5 d^2 up to |d| = 1, then |d| - 0.5). Neither
    widths nor sizes need agree. Fewer than two samples have no distances, fewer than three no angles; samples are
    compared within a part of the batch where `train.accumulate` cuts it. The defaults are the 1 : 2 of the authors'
    published command; their code takes the mean over all pairs and triples, those of a sample with itself included, so
    that of 16 samples its distances count 0.94 and its angles 0.82 of ours.

    Args:
        loss_weight (float): The factor of this term.
        distance_weight (float): Of distances; 0 leaves them out.
        angle_weight (float): Of angles; 0 leaves them out.

    Examples:
        >>> student, teacher = torch.arange(3.0).view(3, 1, 1, 1), torch.eye(3).view(3, 3, 1, 1)  # a line, a triangle
        >>> RKDLoss(angle_weight=0)([student], [teacher])
        tensor(0.0625)
        >>> RKDLoss(angle_weight=0)([student], [10 * student])
        tensor(0.)
    """

    same_width = False

    def __init__(self, loss_weight: float = 1.0, distance_weight: float = 1.0, angle_weight: float = 2.0) -> None:
        super().__init__(loss_weight)
        self.distance_weight, self.angle_weight = distance_weight, angle_weight

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """As FeatureLoss, of maps as they are: relations have no size to be resized to."""
        terms = [self.compare(s, t.detach()) for s, t in zip(student, teacher, strict=True)]
        return self.loss_weight * torch.stack(terms).sum()

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss of the relations between the samples of (B, C, H, W) and of (B, C', H', W')."""
        s, t = square_distances(student), square_distances(teacher)
        loss = 0 * student.sum()
        if self.distance_weight and len(s) > 1:
            loss = loss + self.distance_weight * F.smooth_l1_loss(scale_distances(s), scale_distances(t))
        if self.angle_weight and len(s) > 2:
            loss = loss + self.angle_weight * F.smooth_l1_loss(measure_angles(s), measure_angles(t))
        return loss


def square_distances(features: Tensor) -> Tensor:
    """||x_i - x_j||^2 between the flattened samples of (B, C, H, W): (B, B), symmetric, 0 on the diagonal."""
    points = features.flatten(1)
    points = points - points.mean(0)  # distances stay, and what they are differences of becomes small
    products = points @ points.T
    squares = products.diagonal()
    return (squares[:, None] + squares[None, :] - products - products.T).clamp_min(0)


def scale_distances(squares: Tensor) -> Tensor:
    """Distances between different samples over their mean: (B, B) squared ones to (B * (B - 1),)."""
    far = _take_root(squares)[_mask_different(squares)]
    return far / far.mean().clamp_min(_EPS)


def measure_angles(squares: Tensor) -> Tensor:
    """Cosines at j between i and k of all triples of different samples: (B, B) squared distances to a vector.

    By the law of cosines, so that no difference of two samples is ever kept: (d_ij^2 + d_jk^2 - d_ik^2) / 2 d_ij d_jk.
    """
    lengths = _take_root(squares)
    products = squares[:, :, None] + squares[None, :, :] - squares[:, None, :]
    cosines = products / (2 * lengths[:, :, None] * lengths[None, :, :])
    different = _mask_different(squares)
    return cosines[different[:, :, None] & different[None, :, :] & different[:, None, :]]


def _take_root(squares: Tensor) -> Tensor:
    """Square roots whose gradient stays finite at 0."""
    return squares.clamp_min(_EPS).sqrt()


def _mask_different(squares: Tensor) -> Tensor:
    return ~torch.eye(len(squares), dtype=torch.bool, device=squares.device)
