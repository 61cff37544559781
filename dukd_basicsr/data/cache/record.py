"""One record of an upcycled cache: everything that the teacher said about one sub-image, readable in any part.

A label pixel is one 32-bit word: red in the lowest 11 bits, green in the next 11, blue in the highest 10, over
[-0.25, 1.25], since teachers overshoot [0, 1] a little and the student is to learn what they say; what is beyond
that becomes the nearest value. Words are not compressed, so that a crop is a slice of the file and costs no
decoding: a third more bytes than a PNG of 10 bits, a fiftieth of its time (benchmarks/speed/cache.py).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LOW, HIGH = -0.25, 1.25
"""Values that can be stored; beyond them the nearest one is."""
BITS = (11, 11, 10)
"""Bits of red, green and blue in a word."""
_SHIFTS = (0, 11, 22)
_LEVELS = tuple(2**bits - 1 for bits in BITS)
_STEPS = np.array([(HIGH - LOW) / levels for levels in _LEVELS], np.float32).reshape(3, 1, 1)
_INPUT_LEVELS = 2**16 - 1
_WORD, _PLACE, _INPUT = np.dtype('<u4'), np.dtype('<i4'), np.dtype('<u2')


@dataclass(frozen=True)
class Layout:
    """What the records of a cache hold; sizes follow from the sub-image, so that a record needs no header."""

    scale: int
    size: int
    """Side of a zoom-in crop in pixels."""
    per_image: int
    """Zoom-in crops of each sub-image."""
    parts: tuple[str, ...]
    """Which of 'lq', 'zoom_in' and 'zoom_out' are there."""

    def fields(self, height: int, width: int) -> dict[str, tuple[np.dtype, tuple[int, ...]]]:
        """Type and shape of each field, in order, for an LR sub-image of height x width.

        lq_label: words (s * h, s * w). zoom_in_at: top and left of each crop in the HR sub-image, (n, 2).
        zoom_in_label: words (n, s * size, s * size). zoom_out_label: words (h // s * s, w // s * s).
        zoom_out: the LR sub-image shrunk, 16 bit, (h // s, w // s, 3).
        """
        s, n = self.scale, self.per_image
        of_part: dict[str, dict[str, tuple[np.dtype, tuple[int, ...]]]] = {
            'lq': {'lq_label': (_WORD, (s * height, s * width))},
            'zoom_in': {'zoom_in_at': (_PLACE, (n, 2)), 'zoom_in_label': (_WORD, (n, s * self.size, s * self.size))},
            'zoom_out': {
                'zoom_out_label': (_WORD, (height // s * s, width // s * s)),
                'zoom_out': (_INPUT, (height // s, width // s, 3)),
            },
        }
        return {name: field for part in self.parts for name, field in of_part[part].items()}

    def nbytes(self, height: int, width: int) -> int:
        """How many bytes a record has."""
        return sum(dtype.itemsize * math.prod(shape) for dtype, shape in self.fields(height, width).values())

    def read(self, record: bytes | memoryview, height: int, width: int) -> dict[str, np.ndarray]:
        """The fields of a record as views of it: nothing is copied, only what is looked at is read.

        Raises:
            ValueError: It is not of this layout.
        """
        if len(record) != self.nbytes(height, width):
            raise ValueError(f'{len(record)} bytes instead of {self.nbytes(height, width)}')
        fields, offset = {}, 0
        for name, (dtype, shape) in self.fields(height, width).items():
            count = math.prod(shape)
            fields[name] = np.frombuffer(record, dtype, count, offset).reshape(shape)
            offset += count * dtype.itemsize
        return fields

    def write(self, fields: dict[str, np.ndarray], height: int, width: int) -> bytes:
        """A record of these fields."""
        return b''.join(
            np.ascontiguousarray(fields[name], dtype).tobytes()
            for name, (dtype, _) in self.fields(height, width).items()
        )


def pack(labels: Tensor) -> np.ndarray:
    """Labels (..., 3, H, W), RGB, on any device, as words (..., H, W)."""
    words = torch.zeros_like(labels.select(-3, 0), dtype=torch.int32)
    for channel, levels, shift in zip(labels.unbind(-3), _LEVELS, _SHIFTS, strict=True):
        level = ((channel - LOW) * (levels / (HIGH - LOW))).round_().clamp_(0, levels)
        words |= level.to(torch.int32) << shift
    return words.cpu().numpy().view(np.uint32)


def unpack(words: np.ndarray) -> np.ndarray:
    """Words (..., H, W) as float32 labels (..., 3, H, W)."""
    planes = [words >> shift & levels for shift, levels in zip(_SHIFTS, _LEVELS, strict=True)]
    labels = np.stack(planes, axis=-3).astype(np.float32)
    labels *= _STEPS
    labels += np.float32(LOW)
    return labels


def pack_input(images: Tensor) -> np.ndarray:
    """Images (B, 3, H, W), RGB, as 16-bit numbers (B, H, W, 3)."""
    levels = ((images - LOW) * (_INPUT_LEVELS / (HIGH - LOW))).round_().clamp_(0, _INPUT_LEVELS)
    return levels.permute(0, 2, 3, 1).cpu().numpy().astype(_INPUT)


def unpack_input(levels: np.ndarray) -> np.ndarray:
    """16-bit numbers (..., H, W, 3) as float32 images (..., 3, H, W)."""
    images = np.ascontiguousarray(np.moveaxis(levels, -1, -3)).astype(np.float32)
    return images * np.float32((HIGH - LOW) / _INPUT_LEVELS) + np.float32(LOW)


def draw_positions(seed: int, key: str, num: int, size: int, shape: Sequence[int]) -> np.ndarray:
    """Top and left of the zoom-in crops of one sub-image, (num, 2), uniform over all that fit.

    Args:
        seed (int): The cache's manual_seed.
        key (str): The key of the sub-image: every process and every repetition draws the same.
        num (int): How many crops to place.
        size (int): Side of a crop.
        shape (Sequence[int]): Height and width of the HR sub-image.
    """
    rng = np.random.default_rng([seed, zlib.crc32(key.encode())])
    return rng.integers(0, np.array(shape[:2]) - size + 1, (num, 2), dtype=np.int32)
