"""How a step is computed: what the device, the batch and the model allow."""

from __future__ import annotations

from dukd_basicsr.options.report import Report
from dukd_basicsr.options.rules.losses import DUKD_MODELS
from dukd_basicsr.options.schema.file import Options
from dukd_basicsr.options.schema.optimizers import FUSED, Optimizer, Sgd
from dukd_basicsr.options.schema.train import Train

MODELS = ('DistillModel', *DUKD_MODELS)
"""Models that read these keys; BasicSR's own would pass over them without a word."""
_DEFAULTS = {'amp': None, 'tf32': None, 'channels_last': False, 'compile': False, 'accumulate': 1, 'int8_opt': None}


def check_step(o: Options, batch_size: int | None, report: Report) -> None:
    """Check `train.amp`, `tf32`, `channels_last`, `compile`, `accumulate`, `int8_opt` and `teacher_opt.precision`.

    Args:
        o (Options): The typed options, of a training run.
        batch_size (int | None): `datasets.train.batch_size_per_gpu`.
        report (Report): Collects the errors.
    """
    train = o.train
    if train is None:
        return
    if o.model_type not in MODELS:
        for name, default in _DEFAULTS.items():
            if getattr(train, name) not in (default, None):
                report.error(
                    f'train.{name}', f'{o.model_type} does not read it; {", ".join(MODELS[:-1])} and {MODELS[-1]} do.'
                )
        return
    _check_fp16(o.num_gpu, train, report)
    _check_int8(o, train, report)
    if batch_size and train.accumulate and batch_size % train.accumulate:
        fits = max(parts for parts in range(1, train.accumulate + 1) if batch_size % parts == 0)
        report.error(
            'train.accumulate',
            f'{train.accumulate} does not divide batch_size_per_gpu: {batch_size}; write e.g. {fits}.',
        )


def _check_fp16(num_gpu: object, train: Train, report: Report) -> None:
    teacher = train.teacher_opt.precision if train.teacher_opt else None
    if train.amp == 'fp16' and not all(map(_is_fused, (train.optim_g, train.optim_d))):
        report.error(
            'train.amp',
            f'fp16 finds its scale by steps that are skipped, for which an optimizer must be fused: {", ".join(FUSED)} '
            'without dampening; write bf16, or one of these.',
        )
    for key, value in (('train.amp', train.amp), ('train.teacher_opt.precision', teacher)):
        if value == 'fp16' and num_gpu == 0:
            report.error(key, 'fp16 needs a GPU, but num_gpu: 0; write bf16 or leave it out.')


def _is_fused(optimizer: Optimizer | None) -> bool:
    if optimizer is None or not optimizer.type:  # not there, or said of the key itself
        return True
    return optimizer.type in FUSED and not (isinstance(optimizer, Sgd) and optimizer.dampening)


def _check_int8(o: Options, train: Train, report: Report) -> None:
    """Rounding is defined for float32, by networks that run as they are written."""
    if train.int8_opt is None:
        return
    if o.path is None or o.path.pretrain_network_g is None:
        report.error(
            'path.pretrain_network_g', 'missing key: train.int8_opt refines a trained student; name its checkpoint.'
        )
    for name, without in (('amp', '~'), ('compile', 'false'), ('feature_opt', '~')):
        if getattr(train, name):
            report.error(f'train.{name}', f'it does not go together with train.int8_opt; write {name}: {without}.')
