"""Single images: finding, reading, cropping and shrinking them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from dukd_basicsr.resize import imresize

SUFFIXES = ('.png', '.jpg', '.jpeg', '.bmp', '.webp', '.tif', '.tiff')


class UnusableImageError(ValueError):
    """A file that cannot serve as 8-bit RGB data; the message is the reason."""


def find_images(folder: Path) -> list[Path]:
    """The images directly inside `folder`, sorted by name; hidden files (macOS's `._0001.png`) are none."""
    if not folder.is_dir():
        return []
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and not path.name.startswith('.') and path.is_file()
    )


def safe_names(paths: Sequence[Path]) -> list[str]:
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


def read_image(path: Path) -> np.ndarray:
    """Read an image as (H, W, 3) BGR uint8, also from paths that cv2.imread cannot open (non-ASCII on Windows).

    Raises:
        UnusableImageError: Not an image, cut off, not 8 bit, or with transparent pixels.
        OSError: The file cannot be read.
    """
    return decode_image(path.read_bytes())


def decode_image(data: bytes) -> np.ndarray:
    """Decode a file's bytes to (H, W, 3) BGR uint8; grey becomes three channels, opaque alpha is dropped.

    Raises:
        UnusableImageError: See `read_image`.
    """
    if _cut_off(data):
        raise UnusableImageError('the file is cut off')
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED) if data else None
    except cv2.error:  # e.g. more pixels than OpenCV accepts
        image = None
    if image is None:
        raise UnusableImageError('not an image that OpenCV can read')
    if image.dtype != np.uint8:
        raise UnusableImageError(f'not 8 bit but {image.dtype}')
    if image.ndim == 2:
        image = cv2.cvtColor(image, cv2.COLOR_GRAY2BGR)
    if image.shape[2] == 4:
        # What lies under transparent pixels is arbitrary, and blending invents edges that no camera saw.
        if image[..., 3].min() < 255:
            raise UnusableImageError('it has transparent pixels')
        image = image[..., :3]
    return np.ascontiguousarray(image)


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


def _cut_off(data: bytes) -> bool:
    """Whether the end of a PNG or JPEG is missing: OpenCV 4 fills the rest with grey and says nothing."""
    if data.startswith(b'\x89PNG'):
        return b'IEND' not in data
    if data.startswith(b'\xff\xd8'):
        # Start of scan after the last end of image; a thumbnail in the header ends before the main scan starts.
        return data.rfind(b'\xff\xd9') < data.rfind(b'\xff\xda')
    return False
