"""Student and losses asked once, before BasicSR creates anything: do they take and give images of the task?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn

from dukd_basicsr.distillation.features import FeatureTerms
from dukd_basicsr.distillation.ground_truth import GroundTruthTerms
from dukd_basicsr.distillation.teacher import PROBE_SIZE
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.build import build, count_input_channels, describe, load_network
from dukd_basicsr.networks.fake_int8 import find_or_calibrate
from dukd_basicsr.options import dukd_options
from dukd_basicsr.options.rules.losses import DUKD_MODELS
from dukd_basicsr.options.rules.plan import BETWEEN_IMAGES
from dukd_basicsr.options.rules.runs import STRICT_MODELS

_LARGER_PROBE = 64
"""For networks that need more than PROBE_SIZE."""


def check_losses(opt: Mapping[str, Any]) -> None:
    """Ask the losses between two images once: BasicSR registers others, with other arguments, beside them.

    Raises:
        UserError: One cannot be built or does not compare two images.
    """
    for key in BETWEEN_IMAGES if opt['model_type'] in STRICT_MODELS else ():
        given = opt['train'].get(key)
        if given:
            arguments = dict(dukd_options(given).loss if key == 'dukd_opt' else given)
            name = arguments.pop('type')
            try:
                number = LOSS_REGISTRY.get(name)(**arguments)(*torch.zeros(2, 1, 3, 8, 8)).numel()
            except Exception as error:  # a class of anyone's, which raises what it likes
                raise UserError(
                    f'train.{key}: {name} does not compare two images ({describe(error)}); write e.g. type: L1Loss.'
                ) from error
            if number != 1:
                raise UserError(
                    f'train.{key}: {name} gives {number} numbers, but a loss is one; write e.g. type: L1Loss.'
                )


@torch.no_grad()
def check_ground_truth(opt: Mapping[str, Any]) -> None:
    """Build the losses against ground truth once, with VGG's weights, and ask them.

    Raises:
        UserError: VGG's weights are not there, or arguments that make no loss.
    """
    if opt['model_type'] not in STRICT_MODELS:
        return
    try:
        terms = GroundTruthTerms(opt['train'])
        values = terms(*torch.zeros(3, 1, 3, _LARGER_PROBE, _LARGER_PROBE))
        if not all(isinstance(value, Tensor) for value in values.values()):
            raise ValueError('layer_weights names no layer')
    except UserError:
        raise
    except Exception as error:  # classes of anyone's, which raise what they like
        raise UserError(
            f'train.perceptual_opt: it cannot be built or does not compare two images ({describe(error)}); write e.g. '
            '{type: PerceptualLoss, layer_weights: {conv5_4: 1.0}}.'
        ) from error


def check_student(opt: Mapping[str, Any]) -> nn.Module:
    """Build the student, load its pretrained weights, and ask it once.

    Raises:
        UserError: Its arguments make no network, weights that do not fit, an answer of another scale or channels.
    """
    path_opt = opt['path']
    path = path_opt.get('pretrain_network_g')
    if path is None:
        net = build(opt['network_g'])
    else:
        key, strict = path_opt.get('param_key_g', 'params'), path_opt.get('strict_load_g', True)
        net = load_network(opt['network_g'], path, key, strict, 'path.pretrain_network_g')
    if opt['model_type'] in STRICT_MODELS:
        _check_answer(net, opt)
        check_zoomed_out(_pad_for(net), opt, 'network_g')
    return net


def _check_answer(net: nn.Module, opt: Mapping[str, Any]) -> None:
    channels, scale, name = count_input_channels(opt['network_g']), opt['scale'], opt['network_g']['type']
    try:
        side, shape = PROBE_SIZE, _shape_of_answer(_pad_for(net), channels, PROBE_SIZE)
    except Exception:  # a class of anyone's, which may need more
        try:
            side, shape = _LARGER_PROBE, _shape_of_answer(_pad_for(net), channels, _LARGER_PROBE)
        except Exception as error:
            raise UserError(
                f'network_g: {name} does not take {channels}-channel images ({describe(error)}); write a network for '
                'super-resolution.'
            ) from error
    wanted = (1, channels, side * scale, side * scale)
    if shape != wanted:
        raise UserError(
            f'network_g: {name} turns (1, {channels}, {side}, {side}) into {shape}, but scale: {scale} needs {wanted}; '
            'write a network of that scale.'
        )


def check_zoomed_out(net: Callable[[Tensor], Tensor], opt: Mapping[str, Any], what: str) -> None:
    """Ask a network for the smallest input of its training, a zoomed-out patch; without zoom-out nothing is asked.

    Args:
        net (Callable): Maps (B, C, H, W) to (B, C, s * H, s * W), padding what it must.
        opt (Mapping): The checked options.
        what (str): 'network_g' or 'network_t'.

    Raises:
        UserError: It does not take it.
    """
    dukd = (opt.get('train') or {}).get('dukd_opt')
    if opt['model_type'] not in DUKD_MODELS or not dukd or dukd_options(dukd).zoom_out is None:
        return
    scale = opt['scale']
    side = opt['datasets']['train']['gt_size'] // scale**2
    try:
        _shape_of_answer(net, count_input_channels(opt['network_g']), side)
    except Exception as error:
        raise UserError(
            f'train.dukd_opt.zoom_out: {what} does not take a zoomed-out patch of {side}x{side} ({describe(error)}); '
            'write a larger gt_size, or zoom_out: ~.'
        ) from error


def check_int8(opt: Mapping[str, Any], student: nn.Module) -> None:
    """Find the ranges of `train.int8_opt` once, as the model will: seconds, for what would fail after its folders.

    Args:
        opt (Mapping): The checked options.
        student (nn.Module): On the CPU, with the weights that it starts from.

    Raises:
        UserError: What a model with these options would raise.
    """
    if opt['model_type'] in STRICT_MODELS and opt['train'].get('int8_opt'):
        find_or_calibrate(student, opt)


def check_features(opt: Mapping[str, Any], student: nn.Module, teachers: Sequence[Any]) -> None:
    """Build the losses of `train.feature_opt` once, with their taps in both networks, which keep the hooks.

    Args:
        opt (Mapping): The checked options.
        student (nn.Module): On the CPU.
        teachers (Sequence): The `Teacher`s.

    Raises:
        UserError: What a model with these options would raise.
    """
    given = opt['train'].get('feature_opt') if opt['model_type'] in STRICT_MODELS else None
    if given:
        FeatureTerms(given, student, [each.net for each in teachers], count_input_channels(opt['network_g']), seed=0)


def _pad_for(net: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda lq: padding.forward(net.eval(), lq, padding.find_size_requirement(net))


@torch.no_grad()
def _shape_of_answer(net: Callable[[Tensor], Tensor], channels: int, side: int) -> tuple[int, ...]:
    return tuple(net(torch.zeros(1, channels, side, side)).shape)
