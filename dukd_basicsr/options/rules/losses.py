"""Which losses and networks each model needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dukd_basicsr.options.report import Report
from dukd_basicsr.options.rules.components import check_component
from dukd_basicsr.options.rules.plan import BETWEEN_IMAGES, check_plan
from dukd_basicsr.options.rules.teacher import asks_teacher, is_cached
from dukd_basicsr.options.schema.features import DUKD_LOSS
from dukd_basicsr.options.schema.file import Options
from dukd_basicsr.options.schema.train import DukdLoss

_LOSSES = (*BETWEEN_IMAGES, 'perceptual_opt')
DUKD_MODELS = ('DUKDModel', 'DUKDRealModel')
"""Those that read `train.dukd_opt`."""
TERMS = (
    'pix',
    'kd',
    'zoom_in',
    'zoom_out_kd',
    'zoom_out_pix',
    'percep',
    'style',
    'fft',
    'ldl',
    'g_gan',
    'd_real',
    'd_fake',
)
"""Names of the other losses in logs, after 'l_'."""
DUKD_KEYS = ('zoom_in', 'zoom_out', 'consistency', 'schedule', 'in_batch')
"""Keys of `train.dukd_opt` that are not its criterion's."""


def check_losses(o: Options, raw: Mapping[str, Any], report: Report) -> None:
    """Every loss registered, with known arguments; those of the model there, others not."""
    train = raw.get('train')
    if o.train is None or not isinstance(train, Mapping):
        return
    for name in _LOSSES:
        if isinstance(train.get(name), Mapping):
            known = DUKD_KEYS if name == 'dukd_opt' else ()
            check_component('loss', train[name], f'train.{name}', report, known=known)
    _check_criterion(train.get('dukd_opt'), report)
    _check_features(train, report)
    rules = dict.fromkeys(('SRModel', 'SwinIRModel'), _check_sr) | dict.fromkeys(DUKD_MODELS, _check_dukd)
    rules['DistillModel'] = _check_distill
    if o.model_type in rules:
        rules[o.model_type](o, train, report)


def _check_criterion(dukd: Any, report: Report) -> None:
    """Check the criterion inside `type: DUKDLoss`; the weights of its terms are written with the views."""
    if not isinstance(dukd, Mapping) or dukd.get('type') != DUKD_LOSS:
        return
    if 'weights' in dukd:
        report.error(
            'train.dukd_opt.weights',
            'weights stand with the views: write zoom_in: {weight: 1} and zoom_out: {weight_teacher: 1, weight_gt: 1}.',
        )
    if isinstance(dukd.get('criterion'), Mapping):
        check_component('loss', dukd['criterion'], 'train.dukd_opt.criterion', report)
    elif dukd.get('criterion') is not None:
        report.error('train.dukd_opt.criterion', 'a criterion is a section; write e.g. {type: L1Loss}.')


def _check_features(train: Mapping[str, Any], report: Report) -> None:
    """Names that can be logged, losses that are registered, with known arguments."""
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
            report.error(
                f'train.feature_opt.{name}',
                f'RKDLoss relates {least} samples or more, but {together} of '
                f'batch_size_per_gpu: {batch_size} are together with accumulate: {accumulate}; write a larger '
                'batch or a smaller accumulate.',
            )


def _check_sr(o: Options, train: Mapping[str, Any], report: Report) -> None:
    losses = {f'train.{name}': train.get(name) for name in ('kd_opt', 'feature_opt')}
    for key, value in {'network_t': o.network_t, **losses}.items():
        if value is not None:
            report.error(key, f'{o.model_type} has no teacher; write model_type: DistillModel.')
    if train.get('dukd_opt') is not None:
        report.error('train.dukd_opt', f'{o.model_type} has no teacher; write model_type: DUKDModel.')
    for name in ('fft_opt', 'ldl_opt'):
        if train.get(name) is not None:
            report.warn(
                f'train.{name}',
                f'{o.model_type} does not read it and trains without this loss; DistillModel and DUKDModel read it.',
            )
    if not (train.get('pixel_opt') or train.get('perceptual_opt')):
        report.error('train.pixel_opt', f'missing key: {o.model_type} needs this loss (or perceptual_opt).')


def _check_distill(o: Options, train: Mapping[str, Any], report: Report) -> None:
    _check_teacher(o, train, report)
    if train.get('dukd_opt') is not None:
        report.error('train.dukd_opt', 'DistillModel does not read it; write model_type: DUKDModel.')
    elif not (train.get('kd_opt') or train.get('feature_opt')):
        report.error('train.kd_opt', 'missing key: DistillModel needs this loss; without teacher: model_type: SRModel.')


def _check_dukd(o: Options, train: Mapping[str, Any], report: Report) -> None:
    _check_teacher(o, train, report)
    if not train.get('dukd_opt'):
        report.error(
            'train.dukd_opt', f'missing key: {o.model_type} needs this loss; without it: model_type: DistillModel.'
        )
    elif o.train and o.train.dukd_opt:
        _check_dukd_parts(o, o.train.dukd_opt, report)


def _check_dukd_parts(o: Options, dukd: DukdLoss, report: Report) -> None:
    """Parts that are on, and can be together."""
    check_plan(dukd, report)
    zoom_in, zoom_out = dukd.zoom_in, dukd.zoom_out
    turned = dukd.consistency.views or () if dukd.consistency else ()
    if not (zoom_in or zoom_out or 'lq' in turned):
        report.error(
            'train.dukd_opt.zoom_in',
            'zoom_in and zoom_out are both ~, which leaves nothing; leave one out '
            'for its default, or write model_type: DistillModel.',
        )
    if zoom_out and zoom_out.gt is False and zoom_out.teacher is False:
        report.error(
            'train.dukd_opt.zoom_out',
            'gt and teacher are both false, which leaves it no label; write zoom_out: ~ to switch it off.',
        )
    if zoom_in and zoom_in.crops == 'grid':
        cells = o.scale**2 if o.scale else zoom_in.num
        if is_cached({'datasets': o.datasets}):
            report.error(
                'train.dukd_opt.zoom_in.crops',
                'a cache has crops from anywhere; write crops: random, or datasets.train.type: PairedImageDataset.',
            )
        elif zoom_in.num and cells and zoom_in.num > cells:
            report.error(
                'train.dukd_opt.zoom_in.num',
                f'an HR patch has {cells} cells of an LR patch, not '
                f'{zoom_in.num}; write {cells} or less, or crops: random.',
            )
    if 'lq' in turned and o.train and o.train.feature_opt:
        report.error(
            'train.dukd_opt.consistency.views',
            'with lq the student sees the plain pair turned and the '
            'teacher does not, so train.feature_opt would compare other pixels; leave lq out.',
        )


def _check_teacher(o: Options, train: Mapping[str, Any], report: Report) -> None:
    asked = asks_teacher({'datasets': o.datasets, 'train': train})
    if o.network_t is None and asked:
        report.error('network_t', f'missing key: {o.model_type} needs a teacher, e.g. {{type: EDSR, ...}}.')
    if o.path and o.path.pretrain_network_t is None and asked:
        report.error('path.pretrain_network_t', f"missing key: {o.model_type} needs the teacher's weights.")
    check_teachers(o, report)
    _check_ground_truth(train, report)


def _check_ground_truth(train: Mapping[str, Any], report: Report) -> None:
    """What the losses against ground truth need beside themselves."""
    perceptual = train.get('perceptual_opt')
    parts = train.get('accumulate')
    if (
        isinstance(perceptual, Mapping)
        and perceptual.get('criterion') == 'fro'
        and isinstance(parts, int)
        and parts > 1
    ):
        report.error(
            'train.perceptual_opt.criterion',
            f'fro is a norm of the whole batch, which accumulate: {parts} takes apart; write criterion: l1.',
        )
    if train.get('ldl_opt') and not train.get('ema_decay'):
        report.error('train.ldl_opt', 'it compares the student with its EMA; write e.g. ema_decay: 0.999.')


def check_teachers(o: Options, report: Report) -> None:
    """Check that there are as many checkpoints as teachers."""
    networks, paths = o.network_t, o.path.pretrain_network_t if o.path else None
    several = [isinstance(value, list) for value in (networks, paths)]
    if paths is None or not any(several):
        return
    counts = [len(value) if isinstance(value, list) else 1 for value in (networks, paths)]
    if counts[0] != counts[1] or not all(several):
        report.error(
            'path.pretrain_network_t',
            f'{counts[1]} checkpoints for {counts[0]} networks of network_t; write two lists of the same length.',
        )
