"""The ranges of activations in an int8 graph: read from one, kept in a checkpoint, and written into another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dukd_basicsr.errors import UserError

KEY = 'int8'
"""Of a checkpoint, beside 'params' and 'params_ema': layer to a tensor of four numbers, see `to_tensors`."""
LEVELS = 255
"""The largest number of eight unsigned bits."""
_PREFIX, _SUFFIX = 'net.', '.weight'
"""What a trace puts around the name of a layer where it names its weight."""


@dataclass(frozen=True)
class Range:
    """What eight unsigned bits stand for: (q - zero) * scale, q in 0..255."""

    scale: float
    """A float32 number."""
    zero: int


def find_levels(x: Tensor, to: Range) -> Tensor:
    """The whole numbers nearest to values, ties to even as onnxruntime has them; below 0 or above LEVELS beyond it."""
    return torch.round(x / to.scale) + to.zero


def find_values(levels: Tensor, to: Range) -> Tensor:
    """What whole numbers stand for; those beyond a range for its ends."""
    return (levels.clamp(0, LEVELS) - to.zero) * to.scale


@dataclass(frozen=True)
class LayerRanges:
    """Of one convolution."""

    input: Range
    output: Range


Ranges = Mapping[str, LayerRanges]
"""By the name of the layer in its network, e.g. 'body.0.conv1'."""


def read_ranges(model: Any) -> dict[str, LayerRanges]:
    """The ranges that calibration has given a graph.

    Args:
        model (onnx.ModelProto): From `precision.to_int8`, of a network whose weights have their names.

    Raises:
        UserError: A layer is quantised that is no convolution with weights of its own.
    """
    from onnx import numpy_helper

    values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    made_by = {name: node for node in model.graph.node for name in node.output}
    quantised_by = {node.input[0]: node for node in model.graph.node if node.op_type == 'QuantizeLinear'}

    def read(node: Any) -> Range:
        return Range(float(values[node.input[1]]), int(values[node.input[2]]))

    found = {}
    for node in _list_quantised(model, made_by):
        weight = made_by[node.input[1]].input[0].removesuffix('_quantized')
        if node.op_type != 'Conv' or not (weight.startswith(_PREFIX) and weight.endswith(_SUFFIX)):
            raise UserError(
                f'train.int8_opt: the layer {node.name} is no convolution with weights of its own; only networks whose '
                'layers all are can be trained for int8 (EDSR, RCAN, SRVGGNetCompact, MSRResNet, RRDBNet): leave '
                'int8_opt out.'
            )
        found[_name_layer(weight)] = LayerRanges(read(made_by[node.input[0]]), read(quantised_by[node.output[0]]))
    return found


def override_ranges(model: Any, ranges: Ranges) -> dict[str, list[dict[str, Any]]]:
    """Ranges as onnxruntime's quantiser takes them (its option TensorQuantOverrides), in place of calibrated ones.

    Args:
        model (onnx.ModelProto): float32, of the same network.
        ranges (Ranges): Of each of its convolutions.

    Raises:
        UserError: A convolution of the graph has none, or the other way round.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    layers = {_name_layer(node.input[1]): node for node in model.graph.node if node.op_type == 'Conv'}
    if layers.keys() != ranges.keys():
        other = sorted(layers.keys() ^ ranges.keys())[0]
        raise UserError(
            f'the ranges of the file are not those of this network: they differ in {other}; export the network that '
            'was trained with train.int8_opt, or a file without ranges.'
        )
    for layer, node in layers.items():
        for name, one in ((node.input[0], ranges[layer].input), (node.output[0], ranges[layer].output)):
            found[name] = [{'scale': np.array(one.scale, np.float32), 'zero_point': np.array(one.zero, np.uint8)}]
    return found


def to_tensors(ranges: Ranges) -> dict[str, Tensor]:
    """For a checkpoint: layer to scale and zero of its input, then of its output, (4,) float64."""
    return {
        name: torch.tensor([*astuple(each.input), *astuple(each.output)], dtype=torch.float64)
        for name, each in ranges.items()
    }


def from_tensors(tensors: Mapping[str, Tensor]) -> dict[str, LayerRanges]:
    """The inverse of `to_tensors`.

    Raises:
        ValueError: Not four numbers, a scale that is not above 0, or a zero beyond 0..255.
    """
    found = {}
    for name, tensor in tensors.items():
        first, first_zero, second, second_zero = tensor.double().tolist()
        each = LayerRanges(Range(first, int(first_zero)), Range(second, int(second_zero)))
        if not all(one.scale > 0 and 0 <= one.zero <= LEVELS for one in (each.input, each.output)):
            raise ValueError(name)
        found[name] = each
    return found


def find_ranges(path: Path | str) -> dict[str, LayerRanges] | None:
    """The ranges in a checkpoint; None where it has none, and where it cannot be read, which others say better.

    Args:
        path (Path | str): .pth; loading it runs no code.

    Raises:
        UserError: Its ranges are damaged.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
        tensors = content.get(KEY)
    except Exception:  # a dozen kinds, and no checkpoint of ours in any case
        return None
    if not isinstance(tensors, dict) or not tensors:
        return None
    try:
        return from_tensors(tensors)
    except (AttributeError, TypeError, ValueError) as error:
        raise UserError(f'{path}: its ranges for int8 are damaged ({error}); use another checkpoint.') from None


def _name_layer(weight: str) -> str:
    return weight.removeprefix(_PREFIX).removesuffix(_SUFFIX)


def _list_quantised(model: Any, made_by: Mapping[str, Any]) -> Iterator[Any]:
    """The nodes that compute in eight bits: activations and weights both come from DequantizeLinear."""
    for node in model.graph.node:
        pair = [made_by.get(name) for name in node.input[:2]]
        is_integer = all(each is not None and each.op_type == 'DequantizeLinear' for each in pair)
        if node.op_type in ('Conv', 'Gemm', 'MatMul') and is_integer:
            yield node
