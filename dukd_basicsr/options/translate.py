"""Options files of the authors' code (github.com/yun224/DUKD), translated into ours.

Their three models are DUKD, BaseKD (logits) and FAKD (a loss between features). Whatever has no counterpart, or means
something else in their code than in ours, is a sentence.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from dukd_basicsr.options.report import OptionsError, Report, show

MODELS = {'DUKD': 'DUKDModel', 'BaseKD': 'DistillModel', 'FAKD': 'DistillModel'}
"""Their models and ours."""
_AFFINITIES = {'SA': 'spatial', 'CA': 'channel', 'IA': 'instance'}
_LOSSES = {'Fitnet': 'FitNetLoss', 'AT': 'ATLoss', 'FSP': 'FSPLoss'}
_UNREAD = ('suffix', 'crop_border', 'save_img')
"""Keys at the top of a file of BasicSR 1.0, which nothing has read since."""
_Options = dict[str, Any]


def is_authors(opt: Mapping[str, Any]) -> bool:
    """Whether the file is of one of their models."""
    return opt.get('model_type') in MODELS


def translate(opt: Mapping[str, Any]) -> tuple[_Options, list[str]]:
    """Translate an options file of the authors' code; one of SRModel only loses the keys that nothing reads.

    Args:
        opt (Mapping): As `options.load` returns it; left unchanged.

    Returns:
        tuple: Options of ours, and a sentence for each thing that has no counterpart or is something else here.

    Raises:
        OptionsError: What cannot be translated.
    """
    new: _Options = copy.deepcopy(dict(opt))
    said = Report()
    theirs = new.get('model_type')
    new['model_type'] = MODELS.get(str(theirs), theirs)
    for name in _UNREAD:
        if name in new:
            said.warn(name, f'{show(new.pop(name))} is left out: nothing reads it.')
    val = new.get('val')
    if isinstance(val, dict) and val.pop('self_ensemble', False):
        said.warn('val.self_ensemble', 'true is left out: BasicSR does not read it; basicsr benchmark --self_ensemble.')
    train = new.get('train')
    if isinstance(train, dict) and theirs in MODELS:
        if theirs == 'DUKD':
            _translate_dukd(new, train, said)
        elif theirs == 'FAKD':
            _translate_fakd(train, said)
        if 'swin' in str((new.get('network_t') or {}).get('type', '')).lower():
            said.warn('network_t', 'their teacher is in training mode, with random depth (drop_path); ours is not.')
    return new, said.finish()


def _translate_dukd(new: _Options, train: _Options, said: Report) -> None:
    """`dukd_opt: {n_gt_sub, zoom_out}` and `noisy`: their terms are those of pixel_opt and kd_opt."""
    given, noisy = train.pop('dukd_opt', None), train.pop('noisy', None)
    kd, pixel = train.get('kd_opt'), train.get('pixel_opt')
    if not isinstance(kd, Mapping) or not _number(kd.get('loss_weight', 1.0)) or kd.get('loss_weight', 1.0) <= 0:
        said.error('train.kd_opt', 'missing key, or weight 0: in their code it is the criterion of the zoom-in crops.')
        return
    given = given if isinstance(given, Mapping) else {}
    cells = given.get('n_gt_sub', [1])
    number = cells[0] if isinstance(cells, list) and cells else cells
    dukd: _Options = {**kd, 'zoom_in': {'num': number, 'crops': 'grid'}, 'zoom_out': None}
    if given.get('zoom_out', False):
        dukd['zoom_out'] = _translate_zoom_out(kd, pixel, said)
    dukd['consistency'] = _translate_noise(noisy, said)
    train['dukd_opt'] = dukd
    said.warn(
        'train.dukd_opt',
        'their code makes two optimizer steps an iteration, with the gradients of pixel_opt and kd_opt in both; here '
        'it is one step of all terms.',
    )
    said.warn('train.dukd_opt.zoom_in', 'their code draws one cell for a whole batch; here each sample has its own.')


def _translate_zoom_out(kd: Mapping[str, Any], pixel: Any, said: Report) -> _Options:
    if not isinstance(pixel, Mapping) or not _number(pixel.get('loss_weight', 1.0)):
        said.warn('train.dukd_opt.zoom_out', 'their code stops without pixel_opt; now the teacher alone labels it.')
        return {'gt': False}
    if pixel.get('type') != kd.get('type') or pixel.get('reduction') != kd.get('reduction'):
        said.warn(
            'train.dukd_opt.zoom_out',
            f'its ground truth is compared by {kd.get("type")} as the rest of dukd_opt, not by pixel_opt.',
        )
    weight = pixel.get('loss_weight', 1.0) / kd.get('loss_weight', 1.0)
    return {'weight_gt': weight} if weight > 0 else {'gt': False}


def _translate_noise(noisy: Any, said: Report) -> _Options | None:
    """`noisy: {prob}`: label consistency of the zoom-in crops alone."""
    prob = noisy.get('prob', 0.3) if isinstance(noisy, Mapping) else 0
    if not prob:
        return None
    said.warn(
        'train.dukd_opt.consistency',
        'their inverse is applied in the order of the operations, which turns one in eight outputs by 180 degrees '
        'where prob is 0.3; here it is the inverse.',
    )
    return {'prob': prob, 'views': ['zoom_in']}


def _translate_fakd(train: _Options, said: Report) -> None:
    """`feature_distillation: {positions, type}` and its criterion, `feature_opt`."""
    given, criterion = train.pop('feature_distillation', None), train.pop('feature_opt', None)
    if not isinstance(given, Mapping) or not isinstance(criterion, Mapping):
        said.error('train.feature_distillation', 'missing key, or feature_opt: their code reads both.')
        return
    kind = given.get('type')
    if kind not in (*_AFFINITIES, *_LOSSES):
        known = ', '.join((*_AFFINITIES, *_LOSSES))
        said.error('train.feature_distillation.type', f'{show(kind)} is unknown to their code too. Allowed: {known}.')
        return
    weight = {'loss_weight': criterion.get('loss_weight', 1.0)}
    term: _Options = {'type': _LOSSES.get(kind, 'FAKDLoss'), **weight}
    if kind in _AFFINITIES:
        term |= {'affinities': [_AFFINITIES[kind]]} | ({'largest_side': None} if kind == 'SA' else {})
    positions = given.get('positions')
    pair = positions if isinstance(positions, Mapping) else {'g': positions, 't': positions}
    term['taps'] = {name: [_name_module(each) for each in pair.get(key) or ()] for name, key in
                    (('student', 'g'), ('teacher', 't'))}  # fmt: skip
    train['feature_opt'] = {str(kind).lower(): term}
    said.warn(
        'train.feature_opt',
        'their code detaches this loss (torch.tensor of it), so that it trains nothing; here it does. Its weight of '
        f'{weight["loss_weight"]:g} is as it was; docs/losses.md has ours.',
    )
    if criterion.get('type', 'L1Loss') != 'L1Loss' and kind in _AFFINITIES:
        said.warn('train.feature_opt', f'affinities are compared by L1, not by {criterion["type"]}.')
    if 'conv_after_body' in (*term['taps']['student'], *term['taps']['teacher']):
        said.warn('train.feature_opt', "conv_after_body is that module's answer; in theirs the body's input is added.")


def _name_module(position: Any) -> str:
    return f'body.{position}' if str(position).isdigit() else str(position)


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def refuse_others(opt: Mapping[str, Any], file: object) -> None:
    """Refuse a file that there is nothing to translate in.

    Raises:
        OptionsError: It is of another model than theirs or BasicSR's SRModel.
    """
    if not is_authors(opt) and opt.get('model_type') not in ('SRModel', 'SwinIRModel'):
        raise OptionsError(
            f'{file}: model_type: {show(opt.get("model_type"))}: convert translates files of {", ".join(MODELS)} '
            '(github.com/yun224/DUKD); any other file is read as it is: basicsr train --check -opt FILE.'
        )
