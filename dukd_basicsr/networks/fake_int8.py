"""A network computed as its int8 graph will be: rounded where that rounds, with gradients as if nothing were rounded.

What `basicsr export --precision int8` writes rounds the input and the output of every convolution to eight unsigned
bits of a fixed range, and its weights to eight signed bits of a scale for each output channel; everything else stays
float32. A network trained through the same roundings learns weights that survive them (quantisation-aware training,
Jacob et al., arXiv:1712.05877). Gradients pass a rounding unchanged (the straight-through estimator, Bengio et al.,
arXiv:1308.3432); they are zero where an activation lies beyond its range.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.build import count_input_channels
from dukd_basicsr.networks.deploy import deploy
from dukd_basicsr.networks.fit_ranges import fit_ranges
from dukd_basicsr.networks.onnx.graph import to_onnx
from dukd_basicsr.networks.onnx.precision import find_calibration, read_calibration, to_int8
from dukd_basicsr.networks.onnx.ranges import (
    LEVELS,
    LayerRanges,
    Range,
    Ranges,
    find_levels,
    find_ranges,
    find_values,
    read_ranges,
)
from dukd_basicsr.networks.onnx.session import require_packages
from dukd_basicsr.networks.onnx.weight_scales import LARGEST_PAIR, LARGEST_WEIGHT, STEP

KEY = 'train.int8_opt.calibrate:'
"""How the folder of images is asked for, in messages."""


def find_or_calibrate(net: nn.Module, opt: Mapping[str, Any]) -> dict[str, LayerRanges]:
    """The ranges for `train.int8_opt`: those of the checkpoint that the student starts from, else of its images.

    Args:
        net (nn.Module): The student with its weights; left unchanged.
        opt (Mapping): The checked options.

    Raises:
        UserError: onnxruntime is missing, there are no images, or the network has other layers than convolutions.
    """
    found = find_ranges(opt['path']['pretrain_network_g'])
    if found is not None:
        return _refuse_others(found, net, opt)
    require_packages('train.int8_opt')
    if deploy(net) is not net:
        raise UserError(
            f'train.int8_opt: {type(net).__name__} is folded when it is deployed, so that other weights would be '
            'rounded than are trained; leave int8_opt out.'
        )
    channels = count_input_channels(opt['network_g'])
    images = list(read_calibration(find_calibration(Path(opt['train']['int8_opt']['calibrate']), KEY), channels))
    copied = copy.deepcopy(net).cpu().float().eval()
    return fit_ranges(copied, read_ranges(to_int8(to_onnx(net, opt['scale'], channels), images)), images)


def _refuse_others(ranges: dict[str, LayerRanges], net: nn.Module, opt: Mapping[str, Any]) -> dict[str, LayerRanges]:
    layers = {name for name, module in net.named_modules() if isinstance(module, nn.Conv2d)}
    if layers != ranges.keys():
        raise UserError(
            f'path.pretrain_network_g: the int8 ranges of {opt["path"]["pretrain_network_g"]} are of another network '
            f'({sorted(layers ^ ranges.keys())[0]}); name a checkpoint of this one.'
        )
    return ranges


class FakeInt8:
    """Runs networks of one architecture as their int8 graph.

    Args:
        ranges (Ranges): Of every convolution.
        networks (nn.Module): Bare, e.g. the student and its average; each has the layers that `ranges` names. They
            stay as they are: what is rounded is what passes between their functions while they are asked through
            `wrap`.
    """

    def __init__(self, ranges: Ranges, *networks: nn.Module) -> None:
        self.ranges = ranges
        self.by_weight: dict[int, LayerRanges] = {}
        for network in networks:
            layers = dict(network.named_modules())
            self.by_weight |= {id(layers[name].weight): each for name, each in ranges.items()}

    def wrap(self, net: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """`net`, rounded; it may be wrapped for several devices."""

        def ask(x: Tensor) -> Tensor:
            with self.as_int8():
                return net(x)

        return ask

    def as_int8(self) -> AbstractContextManager[object]:
        """One forward pass of one of the networks is rounded in it."""
        return _Pass(self.by_weight)


class _Pass(TorchFunctionMode):
    """One forward pass. An activation that a convolution has rounded is rounded for whoever takes it afterwards too.

    The graph rounds a tensor where it is made, for all its readers: the skip connection of a residual block adds the
    values that the block's first convolution has seen.
    """

    def __init__(self, by_weight: Mapping[int, LayerRanges]) -> None:
        super().__init__()
        self.by_weight = by_weight
        self.rounded: dict[int, tuple[Tensor, Tensor]] = {}
        """By the id of a tensor: itself, so that the id stays its own, and what stands for it."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is torch.conv2d:
            return self._convolve(*args, **kwargs)
        return func(*map(self._stand_in, args), **{name: self._stand_in(value) for name, value in kwargs.items()})

    def _stand_in(self, value: Any) -> Any:
        if isinstance(value, (list, tuple)) and type(value) in (list, tuple):
            return type(value)(map(self._stand_in, value))
        return self.rounded[id(value)][1] if id(value) in self.rounded else value

    def _convolve(self, input: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **kwargs: Any) -> Tensor:
        layer = self.by_weight[id(weight)]
        seen = round_activation(self._stand_in(input), layer.input)
        self.rounded[id(input)] = (input, seen)
        weights, scales = round_weights(weight)
        biases = None if bias is None else _round_to(bias, scales * layer.input.scale)
        return round_activation(torch.conv2d(seen, weights, biases, *rest, **kwargs), layer.output)


def round_activation(x: Tensor, to: Range) -> Tensor:
    """The nearest value of a range, ties to even as onnxruntime has them.

    Args:
        x (Tensor): Of any shape, float32.
        to (Range): Values beyond it become its ends, and have no gradient.
    """
    return _ToRange.apply(x, to)


def round_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Signed integers times a scale for each output channel, as `weight_scales.fit_pairs` scales them.

    Args:
        weight (Tensor): (N, ...) float32, an output channel first.

    Returns:
        tuple[Tensor, Tensor]: Of its shape, and the scales, (N,), which have no gradient.
    """
    scales = fit_pairs(weight.detach().flatten(1))
    return _round_to(weight, scales.reshape(-1, *[1] * (weight.ndim - 1))), scales


def fit_pairs(weights: Tensor) -> Tensor:
    """`weight_scales.fit_pairs` on any device, to the bit.

    Args:
        weights (Tensor): (N, K) float32.

    Returns:
        Tensor: (N,), above 0.
    """
    largest = weights.abs().amax(1)
    usable = largest > LARGEST_WEIGHT * torch.finfo(torch.float32).tiny
    coarsest = torch.where(usable, largest / (LARGEST_PAIR // 2), 1.0)
    finest = torch.maximum(_largest_pair(weights) / LARGEST_PAIR, largest / LARGEST_WEIGHT)
    scales = torch.where(usable, torch.minimum(finest, coarsest), 1.0)
    while (beyond := _largest_pair(torch.round(weights / scales[:, None])) > LARGEST_PAIR).any():
        scales = torch.where(beyond, torch.minimum(scales * STEP, coarsest), scales)
    return scales


def _largest_pair(weights: Tensor) -> Tensor:
    signed = torch.stack([weights, -weights]).clamp(min=0)
    return signed.topk(min(2, weights.shape[1]), dim=2).values.sum(2).amax(0)


def _round_to(values: Tensor, scales: Tensor) -> Tensor:
    return _ToMultiples.apply(values, scales)


class _ToRange(torch.autograd.Function):
    """See `round_activation`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, to: Range) -> Tensor:
        levels = find_levels(x, to)
        ctx.save_for_backward((levels >= 0) & (levels <= LEVELS))
        return find_values(levels, to)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (inside,) = ctx.saved_tensors
        return gradients[0] * inside, None


class _ToMultiples(torch.autograd.Function):
    """The nearest multiple of a scale; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, scales: Tensor) -> Tensor:
        return torch.round(values / scales) * scales

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0], None
