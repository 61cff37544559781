"""Image files of every kind, read as they are seen."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np
from PIL import Image

KINDS = ('PNG', 'JPEG', 'WEBP', 'BMP', 'TIFF', 'GIF')
"""What Pillow is asked to read: for some of its other formats it starts programs of the system."""
_ORIENTATION = 0x0112
_BITS_PER_SAMPLE = 258
_MODES = {mode: mode for mode in ('L', 'LA', 'RGB', 'RGBA')} | {'1': 'L', 'RGBX': 'RGB', 'RGBa': 'RGBA', 'P': 'RGB'}
_MODES |= {'PA': 'RGBA', 'CMYK': 'RGB', 'YCbCr': 'RGB'}
"""Pillow's modes of 8 bits and what they are converted to."""
_PROFILES = {1: b'GRAY', 3: b'RGB '}
"""Colour space in the header of an ICC profile, by channels of the pixels."""


class UnusableImageError(ValueError):
    """A file that cannot be read, enlarged or written; the message is the reason."""


@dataclass(frozen=True)
class Picture:
    """An image as it is seen: turned as its EXIF tag says, without a palette."""

    pixels: np.ndarray
    """(H, W, 1) grey or (H, W, 3) RGB, uint8 or uint16."""
    alpha: np.ndarray | None = None
    """(H, W), of the same type."""
    profile: bytes | None = None
    """ICC profile, if it is for these channels."""
    notes: tuple[str, ...] = ()
    """What was lost, a clause each."""


def read_size(path: Path) -> tuple[int, int]:
    """Height and width by the file's header, before it is turned; (0, 0) where there is none."""
    try:
        with path.open('rb') as file, _open(file) as image:
            return image.height, image.width
    except Exception:  # whatever it is, `read` says it when the image's turn comes
        return 0, 0


def read(path: Path) -> Picture:
    """Read an image of any kind.

    16 bits stay 16 bits and grey stays grey; palettes and CMYK become RGB; of an animation the first frame is taken.

    Raises:
        UnusableImageError: No image, damaged, of more pixels than Pillow finds safe, or of 32-bit values.
    """
    try:
        data = path.read_bytes()
        with _open(io.BytesIO(data)) as image:
            return _make_picture(image, data)
    except UnusableImageError:
        raise
    except Image.DecompressionBombError:
        limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
        raise UnusableImageError(f'it claims more than {limit:,} pixels, too many to be safe to open') from None
    except Image.UnidentifiedImageError:
        raise UnusableImageError(f'no image, or its start is damaged; {", ".join(KINDS)} are read') from None
    except Exception as error:  # the decoders of half a dozen formats raise what they like on damaged files
        text = getattr(error, 'strerror', None) or str(error) or type(error).__name__
        raise UnusableImageError(f'it cannot be read ({" ".join(text.split()).rstrip(".")})') from None


def _open(file: BinaryIO) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', Image.DecompressionBombWarning)  # half the limit: cameras make such images
        return Image.open(file, formats=KINDS)


def _make_picture(image: Image.Image, data: bytes) -> Picture:
    notes = []
    frames, mode = getattr(image, 'n_frames', 1), image.mode
    if frames > 1 and image.format != 'MPO':  # where phones keep further views of a photograph
        notes.append(f'it has {frames} frames, and the first was taken')
    image.load()  # for 16 bits too, since OpenCV fills up what is cut off and says nothing
    if mode != 'CMYK' and _read_bits(image, data) == 16:
        values = _decode_16_bit(image, data)
    elif mode in _MODES:
        values = _decode(image)
    else:
        raise UnusableImageError(f"its values (Pillow's mode {mode}) are neither 8 nor 16 bits of grey or RGB")
    values = _turn(values, _read_orientation(image))
    colours = 1 if values.shape[2] < 3 else 3
    alpha = values[..., colours] if values.shape[2] > colours else None
    profile = image.info.get('icc_profile')
    if mode == 'CMYK' and profile:
        notes.append('its CMYK became RGB without its colour profile')
    keep = profile and mode != 'CMYK' and profile[16:20] == _PROFILES[colours]
    return Picture(values[..., :colours], alpha, profile if keep else None, tuple(notes))


def _decode(image: Image.Image) -> np.ndarray:
    """(H, W, C) uint8, alpha last."""
    mode = _MODES[image.mode]
    if 'transparency' in image.info and not mode.endswith('A'):
        mode += 'A'
    values = np.asarray(image.convert(mode))
    return values[..., None] if values.ndim == 2 else values


def _read_bits(image: Any, data: bytes) -> int:
    """Bits of a value in the file; Pillow itself keeps 16 for grey images only."""
    if image.format == 'PNG':
        return data[24]
    if image.format == 'TIFF':
        return int(np.max(image.tag_v2.get(_BITS_PER_SAMPLE, 1)))
    return 8


def _decode_16_bit(image: Image.Image, data: bytes) -> np.ndarray:
    """(H, W, C) uint16, alpha last."""
    values = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None or values.dtype != np.uint16:
        raise UnusableImageError('its 16-bit values are of a kind that OpenCV cannot read')
    values = values[..., None] if values.ndim == 2 else values
    if image.format == 'PNG' and data[25] == 4:  # grey with alpha, which OpenCV makes BGR with alpha
        return values[..., [0, 3]]
    clear = image.info.get('transparency')
    if values.shape[2] == 1 and clear is not None:  # the one value that is transparent; of RGB, OpenCV sees to it
        return np.dstack((values, np.where(values == clear, 0, 65535).astype(np.uint16)))
    return values[..., [2, 1, 0, 3][: values.shape[2]]] if values.shape[2] > 1 else values


def _read_orientation(image: Image.Image) -> int:
    """As EXIF has it; of a TIFF none is left, since both readers have turned it."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data make no damaged image
        return 1


def _turn(values: np.ndarray, orientation: int) -> np.ndarray:
    """As the camera was held: 2 to 4 are flips, 5 to 8 those of the transposed image."""
    if orientation in (5, 6, 7, 8):
        values = values.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        values = values[::-1]
    if orientation in (2, 3, 6, 7):
        values = values[:, ::-1]
    return np.ascontiguousarray(values)
