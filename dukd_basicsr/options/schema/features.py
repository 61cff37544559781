"""The keys of `train.feature_opt`, as schema.py has those of the other sections, and what must agree between them."""

# ruff: noqa: RUF009  `key` makes a dataclasses.field

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from dukd_basicsr.options.report import Report
from dukd_basicsr.options.rules.components import check_component
from dukd_basicsr.options.schema.fields import key

TERMS = ('pix', 'kd', 'zoom_in', 'zoom_out_kd', 'zoom_out_pix')
"""Names of the other losses in logs, after 'l_'."""
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


def check_feature_losses(train: Mapping[str, Any], report: Report) -> None:
    """Names that can be logged, losses that are registered, with known arguments.

    Args:
        train (Mapping): `train` of the file.
        report (Report): Collects the errors.
    """
    given = train.get('feature_opt')
    for name, one in given.items() if isinstance(given, Mapping) else ():
        where = f'train.feature_opt.{name}'
        if not isinstance(name, str) or not name.isidentifier():
            report.error(where, 'a name is letters, digits and _, as in the log: l_NAME.')
        elif name in TERMS:
            report.error(where, f'l_{name} is logged already; write another name.')
        if isinstance(one, Mapping) and one.get('type') == DUKD_LOSS:
            report.error(f'{where}.type', 'DUKDLoss compares upcycled inputs; write it as train.dukd_opt.')
        elif isinstance(one, Mapping):
            check_component('loss', one, where, report, known=('taps',))


def check_relations(train: Any, batch_size: int | None, report: Report) -> None:
    """As many samples at once as a loss of their relations needs.

    Args:
        train (Any): `train` of the file, checked.
        batch_size (int | None): `datasets.train.batch_size_per_gpu`.
        report (Report): Collects the errors.
    """
    accumulate = train.get('accumulate') or 1 if isinstance(train, Mapping) else 1
    if not isinstance(train, Mapping) or not batch_size or not isinstance(accumulate, int):
        return
    given = train.get('feature_opt')
    for name, one in given.items() if isinstance(given, Mapping) else ():
        if not isinstance(one, Mapping) or one.get('type') != 'RKDLoss':
            continue
        least, together = 2 if one.get('angle_weight') == 0 else 3, batch_size // accumulate
        if together < least:
            report.error(f'train.feature_opt.{name}', f'RKDLoss relates {least} samples or more, but {together} of '
                         f'batch_size_per_gpu: {batch_size} are together with accumulate: {accumulate}; write a larger '
                         'batch or a smaller accumulate.')  # fmt: skip
