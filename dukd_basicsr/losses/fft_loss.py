"""The Fourier loss of MIMO-UNet and SAFMN: an L1 loss between spectra."""

from __future__ import annotations

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn


@LOSS_REGISTRY.register()
class FFTLoss(nn.Module):
    """L1 between the real and imaginary parts of two spectra (Cho et al., MIMO-UNet, ICCV 2021; Sun et al., SAFMN).

    L = |Re F(x) - Re F(y)| + |Im F(x) - Im F(y)|, the mean or sum over all numbers of the half spectrum that a real
    image has (torch.fft.rfft2, not normalised). F is linear: one transform of the difference is enough. SAFMN's options
    weigh it 0.05 beside an L1 loss of 1, as `train.fft_opt`; it may stand wherever L1Loss does.

    Args:
        loss_weight (float): The factor of this term.
        reduction (str): 'mean' or 'sum', over the numbers of the spectrum.

    Examples:
        >>> FFTLoss(reduction='sum')(torch.ones(1, 1, 4, 4), torch.zeros(1, 1, 4, 4))  # the sum of 16 pixels
        tensor(16.)
    """

    def __init__(self, loss_weight: float = 1.0, reduction: str = 'mean') -> None:
        super().__init__()
        if reduction not in ('mean', 'sum'):
            raise ValueError(f'reduction: {reduction} is neither mean nor sum')
        self.loss_weight, self.reduction = loss_weight, reduction

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The weighted loss of (B, C, H, W) against a target of the same shape, as a scalar."""
        spectrum = torch.view_as_real(torch.fft.rfft2(output - target.detach())).abs()
        return self.loss_weight * (spectrum.mean() if self.reduction == 'mean' else spectrum.sum())
