"""EDSR-PyTorch's names (head, body, tail), which RCAN's authors have taken over: EDSR and RCAN."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.layouts import basicsr_names
from dukd_basicsr.networks.layouts.layout import Guess, Recognised

_ENDS = (
    (r'head\.0\.(\w+)', r'conv_first.\1'),
    (r'body\.\d+\.(weight|bias)', r'conv_after_body.\1'),
    (r'tail\.0\.(\d+\.\w+)', r'upsample.\1'),
    (r'tail\.1\.(\w+)', r'conv_last.\1'),
)
_EDSR = (
    (r'body\.(\d+)\.body\.0\.(\w+)', r'body.\1.conv1.\2'),
    (r'body\.(\d+)\.body\.2\.(\w+)', r'body.\1.conv2.\2'),
    *_ENDS,
)
_RCAN = (
    (r'body\.(\d+)\.body\.(\d+)\.body\.([02]\.\w+)', r'body.\1.residual_group.\2.rcab.\3'),
    (r'body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.0\.(\w+)', r'body.\1.residual_group.\2.rcab.3.attention.1.\3'),
    (r'body\.(\d+)\.body\.(\d+)\.body\.3\.conv_du\.2\.(\w+)', r'body.\1.residual_group.\2.rcab.3.attention.3.\3'),
    (r'body\.(\d+)\.body\.\d+\.(weight|bias)', r'body.\1.conv.\2'),
    *_ENDS,
)
_SHIFTS = ('sub_mean.weight', 'sub_mean.bias', 'add_mean.weight', 'add_mean.bias')


def recognise_edsr(weights: Mapping[str, Tensor]) -> Recognised | None:
    """EDSR of EDSR-PyTorch.

    Raises:
        UserError: Its MeanShift convolutions are not what BasicSR's EDSR computes.
    """
    return _recognise(weights, 'body.0.body.0.weight', _EDSR, basicsr_names.recognise_edsr)


def recognise_rcan(weights: Mapping[str, Tensor]) -> Recognised | None:
    """RCAN of EDSR-PyTorch and of its authors; neither scales its residuals.

    Raises:
        UserError: As for `recognise_edsr`.
    """
    layout = _recognise(weights, 'body.0.body.0.body.3.conv_du.0.weight', _RCAN, basicsr_names.recognise_rcan)
    return layout and _drop_assumptions(layout, 'res_scale')


def _recognise(
    weights: Mapping[str, Tensor], mark: str, rules: tuple[tuple[str, str], ...], infer: Guess
) -> Recognised | None:
    if mark not in weights or 'head.0.weight' not in weights:
        return None
    shifts = {name: weights[name] for name in _SHIFTS if name in weights}
    renamed = {_rename(name, rules): tensor for name, tensor in weights.items() if name not in shifts}
    if len(renamed) + len(shifts) != len(weights):
        return None
    layout = infer(renamed)
    if layout is None:
        return None
    layout = replace(layout, name='EDSR-PyTorch')
    if not shifts:
        return layout
    if len(shifts) < len(_SHIFTS):
        raise UserError(
            f'of the MeanShift convolutions only {", ".join(shifts)} are there; all of '
            f'{", ".join(_SHIFTS)} are needed, or none.'
        )
    return _fold(layout, **{name.replace('.', '_'): tensor.float() for name, tensor in shifts.items()})


def _rename(name: str, rules: tuple[tuple[str, str], ...]) -> str:
    """BasicSR's name; a name that no rule knows stays, and does not fit later."""
    for pattern, replacement in rules:
        if match := re.fullmatch(pattern, name):
            return match.expand(replacement)
    return name


def _fold(
    layout: Recognised, sub_mean_weight: Tensor, sub_mean_bias: Tensor, add_mean_weight: Tensor, add_mean_bias: Tensor
) -> Recognised:
    """Express the MeanShift convolutions as img_range and rgb_mean.

    With inputs X = R x for x in [0, 1], they are X a + b before and Z c + d after the network; BasicSR computes
    (x - mean) img_range before and z / img_range + mean after it. So img_range = R a and mean = -b / (R a), and the
    second must undo the first: c = 1 / a, d = -b / a. R is 255, EDSR-PyTorch's default, or 1: the one that puts the
    mean into [0, 1].
    """
    scale = _read_factor('sub_mean', sub_mean_weight)
    undone = _read_factor('add_mean', add_mean_weight)
    mean = -sub_mean_bias / scale
    if abs(undone * scale - 1) > 1e-4 or not torch.allclose(add_mean_bias, mean, rtol=1e-4, atol=1e-6):
        raise UserError(
            "add_mean does not undo sub_mean (std is not 1?), as BasicSR's networks would; it cannot be converted."
        )
    whole = 1.0 if 0 < mean.abs().max() <= 1 else 255.0
    if mean.min() < 0 or mean.max() > whole:
        raise UserError(
            f'sub_mean subtracts {[round(float(value), 3) for value in mean]}, which is the mean of '
            'images neither in 0..255 nor in 0..1; it cannot be converted.'
        )
    arguments = {
        'img_range': round(whole * scale, 6),
        'rgb_mean': [round(float(value) / whole, 7) for value in mean],
    }
    layout = _drop_assumptions(replace(layout, network={**layout.network, **arguments}), *arguments)
    if mean.any():
        return layout
    note = 'img_range cannot be told from a mean of zero: 255 is assumed.'
    return replace(layout, notes=(*layout.notes, note), assumed=(*layout.assumed, 'img_range'))


def _drop_assumptions(layout: Recognised, *known: str) -> Recognised:
    """The layout after some of its assumptions have turned out to be known."""
    notes = tuple(note for note in layout.notes if not note.startswith(known))
    return replace(layout, notes=notes, assumed=tuple(name for name in layout.assumed if name not in known))


def _read_factor(name: str, weight: Tensor) -> float:
    """The factor of a scaled identity."""
    matrix = weight.flatten(1)
    factor = float(matrix[0, 0])
    expected = factor * torch.eye(3)
    if matrix.shape != expected.shape or factor <= 0 or not torch.allclose(matrix, expected, rtol=1e-4, atol=1e-6):
        raise UserError(
            f'{name}.weight is no scaled identity (it mixes or weighs the colours), which the networks of '
            'BasicSR cannot express; it cannot be converted.'
        )
    return factor
