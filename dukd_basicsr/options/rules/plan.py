"""What must agree for `train.dukd_opt.schedule` and `in_batch` to do what they say."""

from __future__ import annotations

import math

from dukd_basicsr.options.report import Report
from dukd_basicsr.options.schema.train import DukdLoss, Train

BETWEEN_IMAGES = ('pixel_opt', 'kd_opt', 'dukd_opt', 'fft_opt', 'ldl_opt')
"""Keys of `train` with a loss that takes two images and nothing else."""
_IN_BATCH = 'train.dukd_opt.in_batch'
_RELATED = 3
"""Samples that make an angle."""


def check_plan(dukd: DukdLoss, report: Report) -> None:
    """What agrees or not within `train.dukd_opt` itself.

    Args:
        dukd (DukdLoss): The section; what could not be read in it is None.
        report (Report): Collects the errors.
    """
    span = dukd.schedule
    if span and span.start is not None and span.end is not None and span.end < span.start:
        report.error(
            'train.dukd_opt.schedule.end',
            f'{span.end:g} is before start: {span.start:g}; write a later iteration, or leave it out for all at once.',
        )
    if dukd.in_batch is None or not 0 < dukd.in_batch < 1:  # out of bounds, or no number: said of the key itself
        return
    if not (dukd.zoom_in or dukd.zoom_out):
        report.error(_IN_BATCH, 'zoom_in and zoom_out are both ~, so there is nothing to upcycle; leave in_batch out.')
    if dukd.zoom_in and (dukd.zoom_in.num or 1) > 1:
        report.error(
            'train.dukd_opt.zoom_in.num',
            f'{dukd.zoom_in.num}, but with in_batch a sample makes way for one '
            'crop; write num: 1 and a larger in_batch.',
        )


def check_in_run(train: Train, batch_size: int | None, report: Report) -> None:
    """What agrees or not between `train.dukd_opt` and the rest of a run.

    Args:
        train (Train): The section; what could not be read in it is None.
        batch_size (int | None): `datasets.train.batch_size_per_gpu`.
        report (Report): Collects the errors.
    """
    dukd = train.dukd_opt
    if dukd is None:
        return
    start = dukd.schedule.start if dukd.schedule else None
    if start is not None and train.total_iter and start >= train.total_iter:
        report.error(
            'train.dukd_opt.schedule.start',
            f'{start:g} is not before the end, total_iter: {train.total_iter:g}; write an earlier iteration.',
        )
    if dukd.in_batch is None or not 0 < dukd.in_batch < 1:  # out of bounds, or no number: said of the key itself
        return
    for name in BETWEEN_IMAGES:
        loss = getattr(train, name)
        if loss and loss.reduction == 'sum':
            report.error(
                f'train.{name}.reduction',
                'a sum grows with its samples, of which in_batch takes some away; write reduction: mean.',
            )
    if batch_size and train.accumulate and batch_size % train.accumulate == 0:
        _check_share(dukd, batch_size, train.accumulate, report)
        plain = batch_size // train.accumulate * (1 - dukd.in_batch)
        for name, term in (train.feature_opt or {}).items():
            if term and term.type == 'RKDLoss' and math.ceil(plain - 0.5) < _RELATED:
                report.error(
                    f'train.feature_opt.{name}',
                    f'RKDLoss relates {_RELATED} samples or more, but in_batch: '
                    f'{dukd.in_batch:g} leaves fewer plain ones together; write a smaller share or a larger '
                    'batch_size_per_gpu.',
                )


def _check_share(dukd: DukdLoss, batch_size: int, accumulate: int, report: Report) -> None:
    """At least one sample of each part, and one plain one, in each part that a batch is trained on in."""
    share, parts, samples = dukd.in_batch, bool(dukd.zoom_in) + bool(dukd.zoom_out), batch_size // accumulate
    if share is None or not parts:
        return
    batch = f'batch_size_per_gpu: {batch_size}' + (f' in accumulate: {accumulate} parts' if accumulate > 1 else '')
    upcycled = 'one for each of zoom_in and zoom_out' if parts == 2 else 'an upcycled one'
    if samples <= parts:
        report.error(
            _IN_BATCH,
            f'{batch} has not enough samples for a plain one and {upcycled}; write '
            f'batch_size_per_gpu: {(parts + 1) * accumulate} or more.',
        )
    elif not parts <= math.floor(share * samples + 0.5) < samples:
        report.error(
            _IN_BATCH,
            f'{share:g} of {batch} does not leave a plain sample and {upcycled}; write '
            f'{parts / samples:g} to {(samples - 1) / samples:g}.',
        )
