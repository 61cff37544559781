"""`basicsr train --check` for a model of anybody's: its networks are built, and network_g is asked and trained once.

What such a model does with its networks, data and losses only that model knows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dukd_basicsr.data.paths import find_file
from dukd_basicsr.errors import UserError, format_count
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.build import build, count_input_channels, describe, load_network
from dukd_basicsr.networks.cost import count_macs, count_parameters

PATCH = 48
"""Side of the LR patch that network_g is asked for, where that of the run is larger or not given."""


@dataclass(frozen=True)
class DryNetwork:
    """What one pass forth and back has shown."""

    network: str
    parameters: int
    macs: int
    """Multiply-accumulates of the patch."""
    patch: int
    """Side of the LR patch."""
    shape: tuple[int, ...]
    """Of the answer to one patch."""
    seconds: float
    """Of the pass forth and back with one patch."""
    others: dict[str, int]
    """Parameters of the other networks of the file, by their keys."""


def run(opt: Mapping[str, Any]) -> DryNetwork:
    """Build the networks of an options file, ask and train network_g once, and write the report.

    Args:
        opt (Mapping): Options that `options.check` has passed; left unchanged.

    Raises:
        UserError: Arguments that make no network, weights that do not fit, or a network that takes no images.
    """
    found = measure(opt)
    lines = [
        f'{opt["name"]}: {opt["model_type"]}, of which --check runs network_g alone, on random images',
        f'  network_g: {found.network}, {format_count(found.parameters)} parameters, {format_count(found.macs)} '
        f'multiply-accumulates for an LR patch of {found.patch}x{found.patch}',
        f'  its answer to one such patch: {" x ".join(map(str, found.shape))}; forth and back: {found.seconds:.3g} s',
        *(f'  {key}: {format_count(number)} parameters' for key, number in found.others.items()),
    ]
    sys.stdout.write('\n'.join(lines) + '\n')
    return found


def measure(opt: Mapping[str, Any]) -> DryNetwork:
    """As `run`, without the report."""
    given, paths = opt['network_g'], opt.get('path') or {}
    file = find_file(paths.get('pretrain_network_g'))
    if file is None:
        net = build(given)
    else:
        key, strict = paths.get('param_key_g', 'params'), paths.get('strict_load_g', True)
        net = load_network(given, file, key, strict, 'path.pretrain_network_g')
    others = {
        key: count_parameters(build(value, key))
        for key, value in opt.items()
        if str(key).startswith('network_') and key != 'network_g' and isinstance(value, Mapping)
    }
    side, channels = _find_patch(opt), count_input_channels(given)
    try:
        shape, seconds = _train_once(net, torch.rand(1, channels, side, side))
    except Exception as error:  # a class of anyone's, which raises what it likes
        raise UserError(
            f'network_g: {given["type"]} does not take {channels}-channel images of {side}x{side} '
            f'({describe(error)}); it is a network for something else, or its arguments are.'
        ) from error
    macs = count_macs(net, side, side, channels)
    return DryNetwork(type(net).__name__, count_parameters(net), macs, side, shape, seconds, others)


def _find_patch(opt: Mapping[str, Any]) -> int:
    """The run's own LR patch where the file names one of at most PATCH."""
    train, scale = (opt.get('datasets') or {}).get('train') or {}, opt.get('scale')
    size = train.get('gt_size') if isinstance(train, Mapping) else None
    real = size // scale if isinstance(size, int) and isinstance(scale, int) and scale > 0 else PATCH
    return min(max(real, 1), PATCH)


def _train_once(net: nn.Module, lq: torch.Tensor) -> tuple[tuple[int, ...], float]:
    started = time.perf_counter()
    answer = padding.forward(net.train(), lq, padding.find_size_requirement(net))
    answer.mean().backward()
    return tuple(answer.shape), time.perf_counter() - started
