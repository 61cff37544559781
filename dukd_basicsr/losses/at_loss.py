"""AT: where the student looks is where the teacher looks."""

from __future__ import annotations

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor
from torch.nn import functional as F

from dukd_basicsr.losses.feature_loss import FeatureLoss


@LOSS_REGISTRY.register()
class ATLoss(FeatureLoss):
    """Activation-based attention transfer (Zagoruyko & Komodakis, ICLR 2017, arXiv 1612.03928, Eq. 2).

    L = 1/2 sum_j || Q_S^j / ||Q_S^j||_2 - Q_T^j / ||Q_T^j||_2 ||^2 with the attention maps Q = vec(sum_c |A_c|^p) of
    the activations A, p = 2, averaged over samples; squared as in the authors' code, which also divides by the number
    of pixels. Widths need not agree. Between 0 and 1 for each tap: one minus the cosine of the two maps.

    Args:
        loss_weight (float): The factor of this term (beta in the paper).
        power (float): p.

    Examples:
        >>> import torch
        >>> student, teacher = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])  # they look at different pixels
        >>> ATLoss()([student.view(1, 1, 1, 2)], [teacher.view(1, 1, 1, 2)])
        tensor(1.)
    """

    same_width = False

    def __init__(self, loss_weight: float = 1.0, power: float = 2.0) -> None:
        super().__init__(loss_weight)
        self.power = power

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Half the squared distance of the attention maps of (B, C, H, W) and (B, C', H, W), mean over samples."""
        difference = map_attention(student, self.power) - map_attention(teacher, self.power)
        return difference.square().sum(1).mean() / 2


def map_attention(activations: Tensor, power: float = 2.0) -> Tensor:
    """The attention maps of (B, C, H, W), as vectors (B, H * W) of length 1; of length 0 where all is 0."""
    return F.normalize(activations.abs().pow(power).sum(1).flatten(1), dim=1)
