"""Single images: their names in a data set, and how they are cropped and shrunk."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dukd_basicsr.resize import imresize


def make_names(paths: Sequence[Path]) -> list[str]:
    """One name for each path, made of its stem: ASCII, no dots or spaces, unique even where case does not count.

    BasicSR encodes LMDB keys as ASCII and cuts them at the first dot; `a.png` beside `a.jpg` would be one key.
    """
    names: list[str] = []
    used: set[str] = set()
    for path in paths:
        stem = re.sub(r'[^A-Za-z0-9_-]', '_', path.stem)[:200]  # an LMDB key has at most 511 bytes
        name, number = stem, 1
        while name.lower() in used:
            number += 1
            name = f'{stem}_{number}'
        used.add(name.lower())
        names.append(name)
    return names


def mod_crop(image: np.ndarray, multiple: int) -> np.ndarray:
    """The top left part of an (H, W, C) image whose sides are the largest multiples of `multiple`."""
    height, width = image.shape[:2]
    return image[: height - height % multiple, : width - width % multiple]


def shrink(image: np.ndarray, scale: int) -> np.ndarray:
    """MATLAB's `imresize(image, 1/scale, 'bicubic')` of an (H, W, 3) uint8 image, as uint8.

    In float64 on 0..255, then rounded half up and saturated, as MATLAB's uint8() does.
    """
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1))).double()
    small = (imresize(planes, 1 / scale) + 0.5).floor().clamp(0, 255).to(torch.uint8)
    return np.ascontiguousarray(small.numpy().transpose(1, 2, 0))
