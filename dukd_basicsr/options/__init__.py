"""Option files: read them, override them, and say everything that is wrong before anything is created.

Light on purpose: neither torch nor basicsr is imported.
`schema` has the keys and their documentation, `rules` what must agree between them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dukd_basicsr.errors import UserError
from dukd_basicsr.options.components import list_components
from dukd_basicsr.options.foreign import find_misspelt
from dukd_basicsr.options.overrides import force_yml as _force
from dukd_basicsr.options.report import OptionsError, Report, show
from dukd_basicsr.options.rules.adversarial import check_adversary
from dukd_basicsr.options.rules.components import advise_name, check_networks
from dukd_basicsr.options.rules.losses import DUKD_KEYS, check_losses, check_relations
from dukd_basicsr.options.rules.patches import check_patches
from dukd_basicsr.options.rules.plan import check_in_run, check_plan
from dukd_basicsr.options.rules.real import MODEL as REAL_MODEL
from dukd_basicsr.options.rules.real import check_pairs, check_real
from dukd_basicsr.options.rules.runs import (
    STRICT_MODELS,
    check_datasets,
    check_names,
    check_test,
    check_training,
    check_val,
    read_datasets,
)
from dukd_basicsr.options.rules.steps import check_step
from dukd_basicsr.options.schema.features import DUKD_LOSS
from dukd_basicsr.options.schema.fields import read_section
from dukd_basicsr.options.schema.file import Options
from dukd_basicsr.options.schema.real import RealOptions
from dukd_basicsr.options.schema.train import Consistency, DukdLoss, Schedule, ZoomIn, ZoomOut
from dukd_basicsr.options.yaml_file import load

__all__ = ['DUKDOptions', 'OptionsError', 'apply_overrides', 'check', 'dukd_options', 'load']

_MOVED = {
    'train.noisy': "this is the authors' key; write train.dukd_opt.consistency: {prob: 0.3}, or consistency: ~.",
    'train.dukd_opt.n_gt_sub': "this is the authors' key; write zoom_in: {num: 1}, or zoom_in: ~.",
    'train.dukd_opt.noisy': "this is the authors' key; write consistency: {prob: 0.3}, or consistency: ~.",
}
_MOVED_MODELS = {'DUKD': 'DUKDModel', 'BaseKD': 'DistillModel'}
_FOLDER_SAFE = ('strict_load', 'pretrain_network', 'resume', 'param_key', 'experiments_root', 'results_root')


@dataclass(frozen=True)
class DUKDOptions:
    """`train.dukd_opt` for the model; None is switched off."""

    zoom_in: ZoomIn | None
    zoom_out: ZoomOut | None
    consistency: Consistency | None
    schedule: Schedule | None
    in_batch: float | None
    loss: dict[str, Any]
    """The criterion: type, loss_weight, reduction and further arguments, for basicsr's build_loss."""

    @property
    def parts(self) -> list[str]:
        """The upcycled views that are on: of 'zoom_in' and 'zoom_out'."""
        return [name for name, part in (('zoom_in', self.zoom_in), ('zoom_out', self.zoom_out)) if part]

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each term that is on."""
        found = {} if self.zoom_in is None else {'zoom_in': self.zoom_in.weight}
        if self.zoom_out is not None:
            found |= {'zoom_out_kd': self.zoom_out.weight_teacher, 'zoom_out_pix': self.zoom_out.weight_gt}
        return found


def apply_overrides(opt: dict, force_yml: Sequence[str]) -> dict:
    """A copy of the options with BasicSR's `--force_yml` applied: literal values, nothing is executed.

    Args:
        opt (dict): Options.
        force_yml (Sequence[str]): `train:total_iter=1000` each.

    Raises:
        OptionsError: All entries that cannot be applied. A new key that nothing reads is found by `check`.
    """
    opt = copy.deepcopy(opt)
    errors: list[str] = []
    for entry in force_yml:
        try:
            _force(opt, [entry])
        except UserError as error:
            errors += error.messages
    if errors:
        raise OptionsError(*errors)
    return opt


def check(opt: dict, path: Path, is_train: bool) -> list[str]:
    """Check keys, types, values and names without looking at any file.

    Args:
        opt (dict): Options as `load` returns them; a number that YAML 1.1 takes for text, as `lr: 1e-4`, becomes one.
        path (Path): Their file, named in every sentence.
        is_train (bool): For `basicsr train`; else for `basicsr test`.

    Returns:
        list[str]: Warnings, one sentence each.

    Raises:
        OptionsError: Everything that is wrong.
    """
    model = opt.get('model_type')
    other = isinstance(model, str) and model not in STRICT_MODELS and not _find_meant(model)
    report = Report(path, strict=not other, moved=_MOVED)
    options = read_section(RealOptions if model == REAL_MODEL else Options, opt, '', report)
    _check_model(model, report)
    _check_path_keys(opt.get('path'), report)
    check_names(options, report)
    datasets = read_datasets(options, is_train, report)
    check_datasets(options, datasets, report)
    check_networks(opt, report.strict, report)
    check_val(options, opt, is_train, report)
    if not is_train:
        check_test(options, report)
    elif not other:
        check_training(options, report)
        if isinstance(options, RealOptions):
            check_real(options, datasets.get('train'), report)
        else:
            check_pairs(options, report)
        check_losses(options, opt, report)
        gt_size = getattr(datasets.get('train'), 'gt_size', None)
        check_patches(options, gt_size, report)
        check_adversary(options, opt, gt_size, report)
        batch_size = getattr(datasets.get('train'), 'batch_size_per_gpu', None)
        check_step(options, batch_size, report)
        check_relations(opt.get('train'), batch_size, report)
        if options.train:
            check_in_run(options.train, batch_size, report)
    return report.finish()


def dukd_options(dukd_opt: Mapping[str, Any]) -> DUKDOptions:
    """Read `train.dukd_opt`: a key left out has its default, `~` is off.

    Raises:
        OptionsError: Everything that is wrong in it.
    """
    report = Report(moved=_MOVED)
    section = read_section(DukdLoss, dukd_opt, 'train.dukd_opt', report)
    check_plan(section, report)
    report.finish()
    loss = {name: value for name, value in dukd_opt.items() if name not in DUKD_KEYS}
    if loss['type'] == DUKD_LOSS:
        criterion = loss.get('criterion') or {'type': 'L1Loss'}
        loss = {**criterion, 'loss_weight': section.loss_weight * criterion.get('loss_weight', 1.0)}
    return DUKDOptions(section.zoom_in, section.zoom_out, section.consistency, section.schedule, section.in_batch, loss)


def _check_model(model: Any, report: Report) -> None:
    if isinstance(model, str) and model not in list_components('model'):
        report.error('model_type', f'{show(model)} is not registered.{advise_name("model", _find_meant(model))}')


def _find_meant(model: str) -> str | None:
    """The model that an unregistered one was meant to be; None for a registered one, and for one of another's."""
    known = list_components('model')
    if model in known:
        return None
    return _MOVED_MODELS.get(model) or find_misspelt(model, known)


def _check_path_keys(paths: Any, report: Report) -> None:
    """BasicSR makes a folder of every other value (basicsr/utils/misc.py:45-49), for every model."""
    for name in paths if isinstance(paths, Mapping) else ():
        if not any(part in str(name) for part in _FOLDER_SAFE):
            report.error(f'path.{name}', 'unknown key; BasicSR would make a folder of its value.')
