"""SwinIR: its authors' files and BasicSR's have the same names."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from dukd_basicsr.networks.layouts.layout import Recognised, count_numbers, read_scale

USUAL_IMG_SIZE = 48
JPEG_WINDOW = 7
"""window_size of the published networks against JPEG artefacts, the only ones with img_range 255."""


def recognise_swinir(weights: Mapping[str, Tensor]) -> Recognised | None:
    """SwinIR with any of its four heads."""
    block = 'layers.{}.residual_group.blocks.0.'
    if block.format(0) + 'attn.relative_position_bias_table' not in weights:
        return None
    layers = range(count_numbers(weights, r'layers\.(\d+)\.residual_group\..*'))
    embed_dim, channels = weights['conv_first.weight'].shape[:2]
    tables = [weights[block.format(layer) + 'attn.relative_position_bias_table'].shape for layer in layers]
    window = (math.isqrt(tables[0][0]) + 1) // 2
    depths = [count_numbers(weights, rf'layers\.{layer}\.residual_group\.blocks\.(\d+)\..*') for layer in layers]
    network: dict[str, Any] = {
        'type': 'SwinIR',
        'in_chans': channels,
        'upscale': 1,
        'img_size': _read_img_size(weights, window, depths),
        'window_size': window,
        'img_range': 255.0 if window == JPEG_WINDOW else 1.0,
        'depths': depths,
        'embed_dim': embed_dim,
        'num_heads': [heads for _, heads in tables],
        'mlp_ratio': _read_mlp_ratio(weights[block.format(0) + 'mlp.fc1.weight'].shape[0], embed_dim),
        'resi_connection': '1conv' if 'conv_after_body.weight' in weights else '3conv',
    }
    network |= _read_head(weights, channels) | _read_unusual(weights, block.format(0))
    assumed = f'{network["img_range"]:g} is assumed, as the published networks with this window_size have it.'
    return Recognised('SwinIR', network, weights, (f'img_range is not in the file: {assumed}',), ('img_range',))


def _read_img_size(weights: Mapping[str, Tensor], window: int, depths: list[int]) -> int:
    """The training size, which only the number of windows in the masks of shifted blocks shows."""
    if 'absolute_pos_embed' in weights:
        return math.isqrt(weights['absolute_pos_embed'].shape[1])
    masks = [tensor for name, tensor in weights.items() if name.endswith('.attn_mask')]
    if masks:
        return math.isqrt(masks[0].shape[0]) * window
    # Blocks that should be shifted and are not: the image was one window.
    return window if max(depths) > 1 else max(USUAL_IMG_SIZE, window)


def _read_mlp_ratio(hidden: int, embed_dim: int) -> float:
    """The roundest ratio for which SwinIR's int(embed_dim * ratio) is `hidden`."""
    ratio = hidden / embed_dim
    rounded = [math.ceil(ratio * 10**digits) / 10**digits for digits in range(6)]
    return next(value for value in [*rounded, ratio, ratio + 1e-6] if int(embed_dim * value) == hidden)


def _read_head(weights: Mapping[str, Tensor], channels: int) -> dict[str, Any]:
    if 'conv_up1.weight' in weights:
        return {'upsampler': 'nearest+conv', 'upscale': 4}
    if 'conv_before_upsample.0.weight' in weights:
        return {'upsampler': 'pixelshuffle', 'upscale': read_scale(weights)}
    if 'upsample.0.weight' in weights:
        return {'upsampler': 'pixelshuffledirect', 'upscale': math.isqrt(len(weights['upsample.0.weight']) // channels)}
    return {'upsampler': ''}


def _read_unusual(weights: Mapping[str, Tensor], block: str) -> dict[str, Any]:
    """Arguments that are only worth a line where they are not the defaults."""
    found = {
        'qkv_bias': block + 'attn.qkv.bias' in weights,
        'ape': 'absolute_pos_embed' in weights,
        'patch_norm': 'patch_embed.norm.weight' in weights,
    }
    defaults = {'qkv_bias': True, 'ape': False, 'patch_norm': True}
    return {name: value for name, value in found.items() if value != defaults[name]}
