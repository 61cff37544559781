"""CrossKD: the teacher goes on from the student's features to the image that it makes itself."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor

from dukd_basicsr.losses.feature_loss import Going, TappedLoss


@LOSS_REGISTRY.register()
class CrossKDLoss(TappedLoss):
    """Cross-head distillation (CrossKD, Wang et al., CVPR 2024, arXiv 2306.11369), for images.

    L = sum over the taps l of ||T_l(a_l(f_l^S)) - T(x)||_1, the mean over pixels: the student's features f_l, adapted
    in width by a 1x1 convolution a_l where widths differ, go through T_l, the rest of the frozen teacher, and the image
    that comes out is compared with the teacher's own. Gradients pass through that rest to the student's body, so that
    its tail learns from ground truth alone, which is the method's point: leave `train.kd_opt` out.
    The paper is about detectors, whose heads it cuts; tables of super-resolution list it without saying where they cut.
    Our reading: one tap, at the end of both bodies, so that the teacher's head is what makes an image out of features.
    Taps nearer to the input are allowed, and cost as much of the teacher as lies behind them, forward and backward.

    Args:
        loss_weight (float): The factor of this term.

    Examples:
        >>> features, image = torch.ones(1, 2, 4, 4), torch.zeros(1, 3, 8, 8)
        >>> CrossKDLoss()([features], [features], label=image, teacher_from=lambda place, features: image + 0.5)
        tensor(0.5000)
    """

    default_taps = 1
    needs = ('label', 'teacher_from')

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)

    def forward(
        self, student: Sequence[Tensor], teacher: Sequence[Tensor], *, label: Tensor, teacher_from: Going
    ) -> Tensor:
        """The weighted loss.

        Args:
            student (Sequence[Tensor]): (B, C_l, H_l, W_l) for each tap l, with its graph.
            teacher (Sequence[Tensor]): As many, of the same sizes.
            label (Tensor): The teacher's image, (B, C, s * H, s * W).
            teacher_from (Going): The rest of the teacher.

        Returns:
            Tensor: A scalar.
        """
        terms = [
            (teacher_from(place, adapt(s)) - label.detach()).abs().mean()
            for place, (adapt, s, _) in enumerate(self.match(student, teacher))
        ]
        return self.loss_weight * torch.stack(terms).sum()
