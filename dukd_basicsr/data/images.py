"""Image files of 8 bits: found in a folder, and read whole or refused."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dukd_basicsr.data.checks.images import CutOffError, DamagedImageError, inspect

SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp', '.bmp', '.tif', '.tiff')


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
    try:
        inspect(data, data, len(data))
    except CutOffError:  # OpenCV 4 fills the rest with grey and says nothing
        raise UnusableImageError('the file is cut off') from None
    except DamagedImageError:  # empty, or of another format, which OpenCV may know
        pass
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
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
