"""The wavelet loss of MTKD: an L1 loss in which every octave of detail has its own mean."""

from __future__ import annotations

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F


@LOSS_REGISTRY.register()
class WaveletLoss(nn.Module):
    """L1 between Haar coefficients (MTKD, Jiang et al., ECCV 2024, arXiv 2404.09571).

    L = ||LL_J(x) - LL_J(y)|| + sum_{j=1..J} ||H_j(x) - H_j(y)||, means over the coarsest approximation and over the
    three details H_j = (LH, HL, HH)_j of each level; Haar and J = 4 as in the authors' code. It compares two images, so
    it may stand wherever L1Loss does: in kd_opt, pixel_opt, dukd_opt, or in feature_opt beside them.

    Args:
        loss_weight (float): The factor of this term.
        levels (int): J.

    Examples:
        >>> import torch
        >>> WaveletLoss()(torch.ones(1, 3, 16, 16), torch.zeros(1, 3, 16, 16))  # four times twice the difference
        tensor(16.)
    """

    def __init__(self, loss_weight: float = 1.0, levels: int = 4) -> None:
        super().__init__()
        self.loss_weight, self.levels = loss_weight, levels

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The weighted loss of the student's (B, C, H, W) against a target of the same shape, as a scalar."""
        rest = output - target.detach()  # the transform is linear: one of the difference is enough
        loss = output.new_zeros(())
        for _ in range(self.levels):
            rest, *details = transform_haar(rest)
            loss = loss + sum(detail.abs().mean() for detail in details) / 3
        return self.loss_weight * (loss + rest.abs().mean())


def transform_haar(image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """One level of the orthonormal Haar transform of (B, C, H, W): LL, LH, HL, HH of half the sides.

    Odd sides are continued by a zero, as in the authors' code.
    """
    image = F.pad(image, (0, image.shape[-1] % 2, 0, image.shape[-2] % 2))
    top, bottom = image[..., ::2, :], image[..., 1::2, :]
    low, high = top + bottom, top - bottom
    return (
        (low[..., ::2] + low[..., 1::2]) / 2,
        (high[..., ::2] + high[..., 1::2]) / 2,
        (low[..., ::2] - low[..., 1::2]) / 2,
        (high[..., ::2] - high[..., 1::2]) / 2,
    )
