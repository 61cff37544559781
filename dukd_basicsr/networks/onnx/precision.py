"""The checked float32 graph in half the bits, and in a quarter."""

from __future__ import annotations

import copy
import logging
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
from tqdm import tqdm

from dukd_basicsr.data.images import UnusableImageError, find_images, read_image
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.onnx.graph import INPUT
from dukd_basicsr.networks.onnx.ranges import Ranges, override_ranges
from dukd_basicsr.networks.onnx.weight_scales import override_scales

CALIBRATION_SIDE = 128
"""Pixels; larger images are cut in their middle. Ranges need no more; features at HR size would fill the memory."""
QUANTISED = ('Conv', 'Gemm', 'MatMul')
"""Where the time goes. Sums, normalisations and the mean image stay float32: they cost little and lose the most."""


def to_fp16(model: Any) -> Any:
    """Weights and arithmetic in float16; input and output stay float32, so that nothing around the network changes.

    Args:
        model (onnx.ModelProto): float32; left unchanged.
    """
    from onnxruntime.transformers.float16 import convert_float_to_float16

    return convert_float_to_float16(copy.deepcopy(model), keep_io_types=True)


@dataclass(frozen=True)
class Int8Form:
    """Which 8 bits a quantised graph computes in. What `basicsr export` writes is `PORTABLE`, what each form costs
    stands in docs/export.md. Types are spelled as onnxruntime's `QuantType`.
    """

    activations: str = 'QUInt8'
    weights: str = 'QInt8'
    weight_range: Literal['pairs', '7 bits', '8 bits'] = 'pairs'
    """Up to which magnitude weights are stretched: as far as any two of an output channel fit into 16 bits together
    (`weight_scales`), 64, or 127."""
    scale_per_channel: bool = True
    """A scale for each output channel of a layer; otherwise one for the whole layer."""
    layout: str = 'QDQ'
    """'QDQ': float operators between QuantizeLinear and DequantizeLinear, or 'QOperator': integer operators."""


PORTABLE = Int8Form()
"""The same picture on every CPU: where pairs of products are added in 16 bits, they fit."""


def to_int8(model: Any, images: Iterable[np.ndarray], form: Int8Form = PORTABLE, ranges: Ranges | None = None) -> Any:
    """Convolutions and products with weights in 8 bits, with ranges of activations from the smallest and largest values
    that `images` cause.

    The first and the last layer are quantised too: left out, they give 0.01 dB and take four times as long (EDSR 24x4).

    Args:
        model (onnx.ModelProto): float32; left unchanged.
        images (Iterable[np.ndarray]): (1, C, H, W) float32 in [0, 1], as the network will see; at least one.
        form (Int8Form): Other than the default only to measure what it costs.
        ranges (Ranges | None): Those that the network was trained with, in place of what `images` cause.
    """
    import onnx
    from onnxruntime import quantization

    class Reader(quantization.CalibrationDataReader):
        """onnxruntime's way of iterating."""

        rest = iter(images)

        def get_next(self) -> dict[str, np.ndarray] | None:
            image = next(self.rest, None)
            return None if image is None else {INPUT: image}

    options: dict[str, Any] = {'WeightSymmetric': True}
    if form.weight_range == 'pairs':
        options['TensorQuantOverrides'] = override_scales(model, QUANTISED, form.scale_per_channel)
    if ranges is not None:
        options['TensorQuantOverrides'] = {**options.get('TensorQuantOverrides', {}), **override_ranges(model, ranges)}
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / 'float.onnx', Path(folder) / 'int8.onnx'
        onnx.save(model, source)
        quantization.quantize_static(
            source,
            target,
            Reader(),
            quant_format=quantization.QuantFormat[form.layout],
            op_types_to_quantize=list(QUANTISED),
            per_channel=form.scale_per_channel,
            reduce_range=form.weight_range == '7 bits',
            activation_type=quantization.QuantType[form.activations],
            weight_type=quantization.QuantType[form.weights],
            nodes_to_exclude=_products_of_activations(model),
            extra_options=options,
        )
        return onnx.load(target)


def _products_of_activations(model: Any) -> list[str]:
    """Names of the nodes that multiply two activations, as attention does; onnxruntime's own option for it,
    MatMulConstBOnly, is heeded in no QDQ graph.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    return [node.name for node in model.graph.node if node.op_type == 'MatMul' and node.input[1] not in constants]


def find_calibration(folder: Path, key: str = '--calibrate') -> Sequence[Path]:
    """The images of a folder.

    Args:
        folder (Path): Where they are.
        key (str): What named it, for the message.

    Raises:
        UserError: There are none.
    """
    paths = find_images(folder)
    if not paths:
        raise UserError(
            f'{key} {folder}: there is no image in it; give a folder of some 16 to 100 images as the network '
            'will see them (LR images, not test images).'
        )
    return paths


def read_calibration(paths: Sequence[Path], channels: int) -> Iterator[np.ndarray]:
    """The images, one by one, as a network of so many channels sees them; progress goes to stderr.

    Args:
        paths (Sequence[Path]): From `find_calibration`.
        channels (int): 3 (RGB) or 1 (grey).

    Yields:
        np.ndarray: (1, channels, H, W) float32 in [0, 1], no side longer than CALIBRATION_SIDE.

    Raises:
        UserError: An image that cannot be read.
    """
    for path in tqdm(paths, desc='calibrate', unit='image', leave=False, dynamic_ncols=True):
        try:
            image = read_image(path)
        except (OSError, UnusableImageError) as error:
            raise UserError(f'{path}: {error}; mend or remove it.') from None
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGR2GRAY)
        top, left = (max(side - CALIBRATION_SIDE, 0) // 2 for side in image.shape[:2])
        image = image[top : top + CALIBRATION_SIDE, left : left + CALIBRATION_SIDE]
        yield np.ascontiguousarray(image.reshape(*image.shape[:2], channels).transpose(2, 0, 1)[None] / np.float32(255))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the advice to prepare classifiers that onnxruntime logs: no one here can act on it."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
