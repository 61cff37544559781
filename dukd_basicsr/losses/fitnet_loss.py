"""FitNet: the student regresses the teacher's features."""

from __future__ import annotations

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor

from dukd_basicsr.losses.feature_loss import FeatureLoss


@LOSS_REGISTRY.register()
class FitNetLoss(FeatureLoss):
    """Hint training of FitNets (Romero et al., ICLR 2015, arXiv 1412.6550, Eq. 3).

    L = 1/2 ||u_h(x) - r(v_g(x); W_r)||^2 for each pair of a hint u_h of the teacher and a guided layer v_g of the
    student; here the mean over all elements, so that it does not depend on sizes. The regressor r is the adapter: a
    1x1 convolution where widths differ, as in the paper, since equal widths need none. The paper trains on hints first;
    here, as in all later comparisons, beside the other losses.

    Args:
        loss_weight (float): The factor of this term.

    Examples:
        >>> import torch
        >>> FitNetLoss()([torch.ones(1, 2, 4, 4)], [torch.zeros(1, 2, 4, 4)])
        tensor(0.5000)
    """

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__(loss_weight)

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """Half the mean squared difference of (B, C, H, W)."""
        return (student - teacher).square().mean() / 2
