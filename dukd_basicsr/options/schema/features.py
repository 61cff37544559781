"""The keys of `train.feature_opt`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from dukd_basicsr.options.schema.fields import key

DUKD_LOSS = 'DUKDLoss'
"""The loss that `train.dukd_opt` is; any other type there is that of its criterion."""


@dataclass(frozen=True, kw_only=True)
class TapPaths:
    """Modules of each network by their dotted names, in pairs."""

    student: list[str] = key("modules of network_g, e.g. ['body.10', 'body.21', 'body.31']")
    teacher: list[str] = key('modules of network_t, as many')


@dataclass(frozen=True, kw_only=True)
class FeatureTerm:
    """A registered loss of features or outputs; other keys are its arguments."""

    OPEN: ClassVar[bool] = True
    type: str = key('the loss, e.g. FAKDLoss')
    loss_weight: float = key('the factor of this term', default=1.0, least=0)
    taps: TapPaths | None = key('where features are read, ~ for both bodies at 1/3, 2/3 and their end', default=None)
