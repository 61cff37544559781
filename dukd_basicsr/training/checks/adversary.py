"""The discriminator and its loss asked once, before BasicSR creates anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.acceleration import lay_out_channels_last
from dukd_basicsr.networks.build import build, count_input_channels, describe, load_network
from dukd_basicsr.options.rules.steps import MODELS


def check_adversary(opt: Mapping[str, Any]) -> nn.Module | None:
    """Build `network_d`, load its pretrained weights, and ask it and `train.gan_opt` about one patch.

    Args:
        opt (Mapping): The checked options.

    Returns:
        nn.Module | None: The discriminator, on the CPU; None where the options have none, or the model is another's.

    Raises:
        UserError: Arguments that make no network, weights that do not fit, no scores of a patch, a loss that takes no
            scores.
    """
    if opt['model_type'] not in MODELS or not opt['train'].get('gan_opt'):
        return None
    given, paths = opt['network_d'], opt['path']
    path = paths.get('pretrain_network_d')
    if path is None:
        net = build(given, 'network_d')
    else:
        key, strict = paths.get('param_key_d', 'params'), paths.get('strict_load_d', True)
        net = load_network(given, path, key, strict, 'path.pretrain_network_d')
    if opt['train'].get('channels_last'):
        lay_out_channels_last(net)  # not every one can be
    side, channels = opt['datasets']['train']['gt_size'], count_input_channels(opt['network_g'])
    _ask_loss(opt['train']['gan_opt'], _ask(net.eval(), given['type'], torch.zeros(1, channels, side, side)))
    return net


@torch.no_grad()
def _ask(net: nn.Module, name: str, patch: Tensor) -> Tensor:
    size = 'x'.join(map(str, patch.shape[2:]))
    try:
        scores = net(patch)
    except Exception as error:  # a class of anyone's, which raises what it likes
        raise UserError(
            f'network_d: {name} does not take patches of {size} with {patch.shape[1]} channels ({describe(error)}); '
            'write another gt_size, or e.g. type: UNetDiscriminatorSN.'
        ) from error
    if not isinstance(scores, Tensor):
        raise UserError(
            f'network_d: {name} answers with a {type(scores).__name__}, but train.gan_opt takes one tensor of scores; '
            'write e.g. type: UNetDiscriminatorSN.'
        )
    return scores


def _ask_loss(given: Mapping[str, Any], scores: Tensor) -> None:
    arguments = dict(given)
    name = arguments.pop('type')
    try:
        values = [LOSS_REGISTRY.get(name)(**arguments)(scores, True, is_disc=known) for known in (False, True)]
        numbers = [value.numel() for value in values]
    except Exception as error:  # as above
        raise UserError(
            f'train.gan_opt: {name} does not judge scores ({describe(error)}); write e.g. type: GANLoss, gan_type: '
            'vanilla.'
        ) from error
    if numbers != [1, 1]:
        raise UserError(f'train.gan_opt: {name} gives {numbers[0]} numbers, but a loss is one; write type: GANLoss.')
