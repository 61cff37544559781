"""BasicSR's own convolutional networks: their arguments from their weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dukd_basicsr.networks.layouts.layout import Recognised, count_numbers, read_scale

DIV2K_MEAN = (0.4488, 0.4371, 0.4040)
WIDE = 256
"""num_feat of EDSR-L, the one published EDSR with res_scale 0.1."""
RANGE_NOTE = (
    'img_range and rgb_mean are not in the file: the usual 255 and DIV2K mean are assumed; a network trained with '
    'others gives wrong pictures with these.'
)

ASSUMED = ('res_scale', 'img_range', 'rgb_mean')


def recognise_edsr(weights: Mapping[str, Tensor]) -> Recognised | None:
    """EDSR."""
    if 'body.0.conv1.weight' not in weights or 'conv_after_body.weight' not in weights:
        return None
    network = _read_ends('EDSR', weights) | {'num_block': count_numbers(weights, r'body\.(\d+)\.conv1\.weight')}
    wide = network['num_feat'] >= WIDE
    network |= {'upscale': read_scale(weights), 'res_scale': 0.1 if wide else 1.0} | _assume_range()
    note = 'res_scale is not in the file: ' + ('0.1 is assumed, as EDSR-L has it.' if wide else '1 is assumed.')
    return Recognised('BasicSR', network, weights, (note, RANGE_NOTE), ASSUMED)


def recognise_rcan(weights: Mapping[str, Tensor]) -> Recognised | None:
    """RCAN."""
    if 'body.0.residual_group.0.rcab.0.weight' not in weights:
        return None
    squeezed, features = weights['body.0.residual_group.0.rcab.3.attention.1.weight'].shape[:2]
    network = _read_ends('RCAN', weights) | {
        'num_group': count_numbers(weights, r'body\.(\d+)\.conv\.weight'),
        'num_block': count_numbers(weights, r'body\.0\.residual_group\.(\d+)\.rcab\.0\.weight'),
        'squeeze_factor': features // squeezed,
        'upscale': read_scale(weights),
        'res_scale': 1.0,
    }
    note = 'res_scale is not in the file: 1 is assumed.'
    return Recognised('BasicSR', network | _assume_range(), weights, (note, RANGE_NOTE), ASSUMED)


def recognise_msrresnet(weights: Mapping[str, Tensor]) -> Recognised | None:
    """MSRResNet, the modified SRResNet."""
    if 'upconv1.weight' not in weights:
        return None
    network = _read_ends('MSRResNet', weights) | {'num_block': count_numbers(weights, r'body\.(\d+)\.conv1\.weight')}
    outputs, inputs = weights['upconv1.weight'].shape[:2]
    upscale = 4 if 'upconv2.weight' in weights else math.isqrt(outputs // inputs)
    return Recognised('BasicSR', network | {'upscale': upscale}, weights)


def recognise_rrdbnet(weights: Mapping[str, Tensor]) -> Recognised | None:
    """RRDBNet of ESRGAN and Real-ESRGAN; x2 and x1 start with a pixel-unshuffle, which the first layer shows."""
    if 'body.0.rdb1.conv1.weight' not in weights:
        return None
    network = _read_ends('RRDBNet', weights)
    scale, shrink = {4: (2, 4), 16: (1, 16)}.get(network['num_in_ch'] / network['num_out_ch'], (4, 1))
    network |= {
        'num_in_ch': network['num_in_ch'] // shrink,
        'scale': scale,
        'num_block': count_numbers(weights, r'body\.(\d+)\.rdb1\.conv1\.weight'),
        'num_grow_ch': weights['body.0.rdb1.conv1.weight'].shape[0],
    }
    return Recognised('BasicSR', network, weights)


def recognise_srvggnet(weights: Mapping[str, Tensor]) -> Recognised | None:
    """SRVGGNetCompact: convolutions at the even places of `body`, PReLUs or nothing at the odd ones."""
    convolutions = [name for name, tensor in weights.items() if tensor.ndim == 4]
    if 'body.0.weight' not in convolutions:
        return None
    features, channels = weights['body.0.weight'].shape[:2]
    outputs = weights[f'body.{2 * len(convolutions) - 2}.weight'].shape[0]
    prelu = 'body.1.weight' in weights
    network = {
        'type': 'SRVGGNetCompact',
        'num_in_ch': channels,
        'num_out_ch': channels,
        'num_feat': features,
        'num_conv': len(convolutions) - 2,
        'upscale': math.isqrt(outputs // channels),
        'act_type': 'prelu' if prelu else 'relu',
    }
    if prelu:
        return Recognised('BasicSR', network, weights)
    note = 'act_type is not in the file: relu is assumed, where it could be leakyrelu.'
    return Recognised('BasicSR', network, weights, (note,), ('act_type',))


def recognise_ecbsr(weights: Mapping[str, Tensor]) -> Recognised | None:
    """ECBSR: edge-oriented blocks one after the other, the first and the last of them the ends."""
    if 'backbone.0.conv3x3.weight' not in weights:
        return None
    blocks = count_numbers(weights, r'backbone\.(\d+)\.conv3x3\.weight')
    features, channels = weights['backbone.0.conv3x3.weight'].shape[:2]
    outputs = weights[f'backbone.{blocks - 1}.conv3x3.weight'].shape[0]
    prelu = 'backbone.0.act.weight' in weights
    network = {
        'type': 'ECBSR',
        'num_in_ch': channels,
        'num_out_ch': channels,
        'num_block': blocks - 2,
        'num_channel': features,
        'with_idt': False,
        'act_type': 'prelu' if prelu else 'relu',
        'scale': math.isqrt(outputs // channels),
    }
    notes = ["with_idt is not in the file: false is assumed, as BasicSR's options have it."]
    if prelu:
        return Recognised('BasicSR', network, weights, tuple(notes), ('with_idt',))
    notes.append('act_type is not in the file: relu is assumed, where it could be another without weights.')
    return Recognised('BasicSR', network, weights, tuple(notes), ('with_idt', 'act_type'))


def _read_ends(kind: str, weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """What the first and the last convolution say."""
    features, channels = weights['conv_first.weight'].shape[:2]
    outputs = weights['conv_last.weight'].shape[0]
    return {'type': kind, 'num_in_ch': channels, 'num_out_ch': outputs, 'num_feat': features}


def _assume_range() -> dict[str, Any]:
    return {'img_range': 255.0, 'rgb_mean': list(DIV2K_MEAN)}
