"""How finely 8-bit weights may be scaled so that no CPU saturates their products."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

LARGEST_WEIGHT, LARGEST_PAIR = 127, 128
"""Of the magnitudes of signed weights, and of the sum of two of them. x86 CPUs without VNNI multiply unsigned by signed
bytes in pairs and saturate the sum of a pair at 32767 (pmaddubsw): 255 * 128 = 32640 fits, 255 * 129 does not. Weights
of unlike signs do not add up, so only pairs of one sign count."""
STEP = 1 + 2.0**-18
"""By which a scale grows until rounding has put no pair beyond its end. A few times the spacing of float32."""


def fit_pairs(weights: np.ndarray) -> np.ndarray:
    """The finest scale of each row for which any two of its weights can meet in one instruction.

    It lies between those of eight and of seven bits: at seven all weights are at most 64, so that every pair fits, but
    a row with one outstanding weight, or with outstanding weights of unlike signs, does not need so much room.

    Args:
        weights (np.ndarray): (N, K) float, a row an output channel. Any two of a row may meet: which ones do depends on
            how the CPU's kernel packs them.

    Returns:
        np.ndarray: (N,) float32, above 0. The integers are `rint(weights / scale)`; a row of zeros, or of values too
            small for a scale that float32 holds exactly, has a scale of 1.
    """
    largest = np.abs(weights).max(1)
    usable = largest > LARGEST_WEIGHT * np.finfo(np.float32).tiny
    coarsest = np.where(usable, largest / (LARGEST_PAIR // 2), 1).astype(np.float32)
    finest = np.maximum(_largest_pair(weights) / LARGEST_PAIR, largest / LARGEST_WEIGHT)
    scales = np.where(usable, np.minimum(finest, coarsest), 1).astype(np.float32)
    while (beyond := _largest_pair(np.rint(weights / scales[:, None])) > LARGEST_PAIR).any():
        scales = np.where(beyond, np.minimum(scales * np.float32(STEP), coarsest), scales)
    return scales


def override_scales(model: Any, operators: tuple[str, ...], per_channel: bool) -> dict[str, list[dict[str, Any]]]:
    """`fit_pairs` for every constant weight, as onnxruntime's quantiser takes them (its option TensorQuantOverrides).

    Args:
        model (onnx.ModelProto): float32.
        operators (tuple[str, ...]): Types of the nodes whose weights are meant, among Conv, Gemm and MatMul.
        per_channel (bool): A scale for each output channel; otherwise the coarsest of them for the whole layer.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for name, weights, axis in _constant_weights(model, operators):
        rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1)
        scales = fit_pairs(rows)
        if per_channel:
            found[name] = [{'axis': axis, 'scale': scale, 'zero_point': 0} for scale in scales]
        else:
            used = scales[rows.any(1)]
            found[name] = [{'scale': used.max() if len(used) else np.float32(1), 'zero_point': 0}]
    return found


def _largest_pair(weights: np.ndarray) -> np.ndarray:
    """The largest sum of the magnitudes of two weights of one sign, for each row; of one, where a row has no two."""
    signed = np.stack([weights, -weights]).clip(min=0)
    return np.sort(signed, axis=2)[..., -2:].sum(2).max(0)


def _constant_weights(model: Any, operators: tuple[str, ...]) -> Iterator[tuple[str, np.ndarray, int]]:
    """Name, values and the axis of output channels of each weight that is stored in the graph."""
    from onnx import numpy_helper

    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type in operators and node.input[1] in constants:
            transposed = any(attribute.name == 'transB' and attribute.i for attribute in node.attribute)
            axis = 0 if node.op_type == 'Conv' or transposed else 1
            yield node.input[1], numpy_helper.to_array(constants[node.input[1]]), axis
