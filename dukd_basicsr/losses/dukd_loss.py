"""The loss of upcycled data with label consistency, as a function of tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from basicsr.losses import build_loss
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn

from dukd_basicsr.consistency import InvertibleTransform

TERMS = ('zoom_in', 'zoom_out_kd', 'zoom_out_pix')
"""The terms of the loss: the teacher's word on either view, and the ground truth of the zoomed-out one."""


class Answer(NamedTuple):
    """What a student said of one upcycled input u, and what it should have said."""

    output: Tensor
    """S(F(u)), (B, C, s * H, s * W): the student's output as it is."""
    label: Tensor | None = None
    """T(u) of the same shape, where the teacher has a say."""
    gt: Tensor | None = None
    """The ground truth of u, of the same shape, where it has one."""
    transform: InvertibleTransform | None = None
    """F; None where the student has seen u itself."""


@LOSS_REGISTRY.register()
class DUKDLoss(nn.Module):
    """L_dukd: what a student says of upcycled inputs against its teacher and their ground truth.

    ||F^-1(S(F(u_zi))) - T(u_zi)||  +  ||F^-1(S(F(u_zo))) - T(u_zo)||  +  ||F^-1(S(F(u_zo))) - x||

    for the zoom-in crops u_zi of the HR patch and the zoomed-out LR patch u_zo (AugKD section 3.3), whose ground truth
    is the LR patch x; F is the label consistency of section 3.4, Eqs. 5 and 6. This is the last term of AugKD Eq. 4.
    Each of the three has a weight: the authors' EDSR files have 1, 1 and 5.

    In an options file: `train.dukd_opt`, where `type: L1Loss` with its arguments is short for
    `type: DUKDLoss, criterion: {type: L1Loss, ...}`, and weights stand with the views. In a model of one's own:
    `build_loss({'type': 'DUKDLoss'})`.

    Args:
        loss_weight (float): The factor of the whole loss.
        criterion (Mapping | None): Compares two images: a registered loss and its arguments; None for L1Loss.
        weights (Mapping | None): The factor of each term by its name in TERMS, at least 0; one left out is 1.

    Raises:
        ValueError: A weight of no term, or a negative one.

    Examples:
        >>> import torch
        >>> output, label = torch.ones(1, 3, 8, 8), torch.zeros(1, 3, 8, 8)
        >>> loss = DUKDLoss(weights={'zoom_out_pix': 5.0})
        >>> loss(zoom_in=Answer(output, label))
        {'zoom_in': tensor(1.)}
        >>> loss(zoom_out=Answer(output, label, gt=label + 0.5))
        {'zoom_out_kd': tensor(1.), 'zoom_out_pix': tensor(2.5000)}
    """

    def __init__(
        self,
        loss_weight: float = 1.0,
        criterion: Mapping[str, Any] | None = None,
        weights: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__()
        given = dict(weights or {})
        wrong = [name for name, weight in given.items() if name not in TERMS or weight < 0]
        if wrong:
            raise ValueError(f'weights of {wrong}; allowed are numbers from 0 on for {", ".join(TERMS)}.')
        self.criterion: nn.Module = build_loss(dict(criterion or {'type': 'L1Loss'}))
        self.weights = {name: loss_weight * given.get(name, 1.0) for name in TERMS}

    @property
    def reduction(self) -> str:
        """Of the criterion: 'mean' or 'sum'."""
        return getattr(self.criterion, 'reduction', 'mean')

    def forward(self, zoom_in: Answer | None = None, zoom_out: Answer | None = None) -> dict[str, Tensor]:
        """The weighted terms by name, scalars; a term without its input or its target is left out.

        Args:
            zoom_in (Answer | None): For the crops of the HR patch, which have no ground truth.
            zoom_out (Answer | None): For the LR patch shrunk.
        """
        terms = {} if zoom_in is None else self._compare(zoom_in, {'zoom_in': zoom_in.label})
        if zoom_out is not None:
            terms |= self._compare(zoom_out, {'zoom_out_kd': zoom_out.label, 'zoom_out_pix': zoom_out.gt})
        return terms

    def _compare(self, answer: Answer, targets: Mapping[str, Tensor | None]) -> dict[str, Tensor]:
        """F^-1(S(F(u))) against each target that is there."""
        output = answer.output if answer.transform is None else answer.transform.inverse(answer.output)
        return {
            name: self.weights[name] * self.criterion(output, target)
            for name, target in targets.items()
            if target is not None
        }
