"""What a discriminator needs beside itself: `network_d`, `train.gan_opt` and `train.optim_d`, all of them or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dukd_basicsr.options.report import Report
from dukd_basicsr.options.rules.components import check_component, find_number
from dukd_basicsr.options.rules.steps import MODELS
from dukd_basicsr.options.schema.file import Options

_NEEDED = ('network_d', 'train.optim_d', 'path.pretrain_network_d')
"""Keys that make no sense without `train.gan_opt`."""
_COUNTS = ('train.net_d_iters', 'train.net_d_init_iters')
_SIDES = (128, 256)
"""Of the patches that VGGStyleDiscriminator takes."""
_HALVINGS = 8
"""UNetDiscriminatorSN halves a patch three times, and adds what it doubles again."""
_LOSS = 'train.gan_opt: {type: GANLoss, gan_type: vanilla}'


def check_adversary(o: Options, raw: Mapping[str, Any], gt_size: int | None, report: Report) -> None:
    """Check that the parts of an adversarial training are there, and fit each other and the patches.

    Args:
        o (Options): The typed options, of a training run.
        raw (Mapping): The whole file.
        gt_size (int | None): `datasets.train.gt_size`.
        report (Report): Collects the errors.
    """
    given = dict(_find_given(raw, ('train.gan_opt', *_NEEDED, *_COUNTS)))
    if o.model_type not in MODELS:
        for key in given:
            report.warn(
                key,
                f'{o.model_type} does not read it and trains without a discriminator; DistillModel and DUKDModel read '
                'it, and so does SRGANModel.',
            )
    elif 'train.gan_opt' in given:
        _check_parts(o, given['train.gan_opt'], report)
        if isinstance(o.network_d, Mapping):
            _check_channels(o.network_d, o.network_g, report)
            _check_patches(o.network_d, gt_size, report)
            if o.train and o.train.channels_last and o.network_d.get('type') == 'VGGStyleDiscriminator':
                text = 'VGGStyleDiscriminator flattens its features as they lie in memory; write channels_last: false.'
                report.error('train.channels_last', text)
    else:
        for key in given:
            if key in _COUNTS:
                report.warn(key, 'nothing reads it: there is no train.gan_opt.')
            else:
                report.error(key, f'no loss trains a discriminator; add {_LOSS}, or leave it out.')


def _check_parts(o: Options, loss: Any, report: Report) -> None:
    """A registered loss, a discriminator and its optimizer; a batch in one piece."""
    if isinstance(loss, Mapping):
        check_component('loss', loss, 'train.gan_opt', report)
    if o.network_d is None:
        example = '{type: UNetDiscriminatorSN, num_in_ch: 3}'
        report.error('network_d', f'missing key: train.gan_opt needs a discriminator, e.g. {example}.')
    if o.train and o.train.optim_d is None:
        report.error('train.optim_d', 'missing key: it trains network_d, e.g. {type: Adam, lr: !!float 1e-4}.')
    if o.train and o.train.accumulate and o.train.accumulate > 1:
        report.error(
            'train.accumulate',
            'norms of a discriminator see a batch as a whole, so that with train.gan_opt parts of it are another step; '
            'write accumulate: 1 and a smaller batch_size_per_gpu.',
        )


def _find_given(raw: Mapping[str, Any], keys: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Those of the dotted keys that have a value."""
    for key in keys:
        section, _, name = key.rpartition('.')
        owner = raw.get(section) if section else raw
        if isinstance(owner, Mapping) and owner.get(name) is not None:
            yield key, owner[name]


def _check_channels(discriminator: Mapping[str, Any], student: Mapping[str, Any] | None, report: Report) -> None:
    theirs = find_number(discriminator, ('num_in_ch', 'in_chans'))
    ours = find_number(student, ('num_out_ch', 'num_in_ch', 'in_chans'))
    if theirs and ours and theirs[1] != ours[1]:
        report.error(
            f'network_d.{theirs[0]}',
            f'{theirs[1]}, but the images of network_g have {ours[1]} channels; write {theirs[0]}: {ours[1]}.',
        )


def _check_patches(discriminator: Mapping[str, Any], gt_size: int | None, report: Report) -> None:
    """BasicSR's two discriminators take patches of some sizes; those of others are asked before the run."""
    kind = discriminator.get('type')
    if not gt_size:
        return
    if kind == 'UNetDiscriminatorSN' and gt_size % _HALVINGS:
        near = max(1, gt_size // _HALVINGS) * _HALVINGS
        report.error(
            'network_d',
            f'{kind} takes patches of a multiple of {_HALVINGS}, but datasets.train.gt_size: {gt_size}; write e.g. '
            f'gt_size: {near}.',
        )
    side = find_number(discriminator, ('input_size',)) if kind == 'VGGStyleDiscriminator' else None
    if side and side[1] not in _SIDES:
        report.error('network_d.input_size', f'{side[1]} is not possible; {kind} takes patches of 128 or 256.')
    elif side and side[1] != gt_size:
        how = '' if 'input_size' in discriminator else ' by default'
        advice = f'input_size: {gt_size}' if gt_size in _SIDES else f'gt_size: {side[1]}'
        report.error(
            'network_d.input_size',
            f'{side[1]}{how}, but datasets.train.gt_size: {gt_size}; write {advice}, or take UNetDiscriminatorSN.',
        )
