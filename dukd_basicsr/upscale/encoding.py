"""Pixels to the content of an image file."""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import replace

import numpy as np
from PIL import Image

from dukd_basicsr.upscale.images import Picture, UnusableImageError

FORMATS = {'png': 'PNG', 'jpg': 'JPEG', 'webp': 'WEBP'}
"""Suffixes of results and what Pillow calls them."""
_SETTINGS = {'png': {}, 'jpg': {'quality': 95, 'subsampling': 0}, 'webp': {'quality': 95}}
_PIECE = 2**30
"""The most bytes that are put into one IDAT chunk; the format allows 2^31 - 1."""


def encode(picture: Picture, kind: str) -> bytes:
    """The content of an image file.

    Args:
        picture (Picture): As `fit_to_format` leaves it.
        kind (str): One of `FORMATS`.

    Raises:
        UnusableImageError: The format has no images of this size.
    """
    planes = picture.pixels if picture.alpha is None else np.dstack((picture.pixels, picture.alpha))
    if planes.dtype == np.uint16:
        return _encode_png_16_bit(planes, picture.profile)
    image, buffer = Image.fromarray(planes[..., 0] if planes.shape[2] == 1 else planes), io.BytesIO()
    try:
        image.save(buffer, FORMATS[kind], icc_profile=picture.profile, **_SETTINGS[kind])
    except (OSError, ValueError) as error:
        raise UnusableImageError(
            f'{kind} cannot hold its {image.width}x{image.height} pixels ({error}); write --format png'
        ) from None
    return buffer.getvalue()


def fit_to_format(picture: Picture, kind: str) -> Picture:
    """What of an image the format can hold; what it cannot is noted.

    JPEG and WebP have 8 bits, and JPEG no transparency: such an image is put on white. WebP stores grey as RGB, which
    a profile of grey does not fit.
    """
    if kind == 'webp' and picture.pixels.shape[2] == 1:
        picture = replace(picture, profile=None)
    if kind != 'png' and picture.pixels.dtype == np.uint16:
        alpha = None if picture.alpha is None else to_8_bit(picture.alpha)
        notes = (*picture.notes, f'its 16 bits became 8, since {kind} has no more')
        picture = replace(picture, pixels=to_8_bit(picture.pixels), alpha=alpha, notes=notes)
    if kind == 'jpg' and picture.alpha is not None:
        opaque = picture.alpha[..., None] / 255
        pixels = (picture.pixels * opaque + 255 * (1 - opaque)).round().astype(np.uint8)
        notes = (*picture.notes, 'it was put on white, since jpg has no transparency')
        picture = replace(picture, pixels=pixels, alpha=None, notes=notes)
    return picture


def to_8_bit(values: np.ndarray) -> np.ndarray:
    """0..65535 to 0..255, rounded; uint8 as it is."""
    return values if values.dtype == np.uint8 else (values / 257).round().astype(np.uint8)


def _encode_png_16_bit(planes: np.ndarray, profile: bytes | None) -> bytes:
    """(H, W, 1 to 4) uint16 to a PNG: Pillow writes 16 bits of grey only, OpenCV neither grey with alpha nor profiles.

    PNG specification, third edition; every row is stored as its difference to the one above (filter 2).
    """
    height, width, channels = planes.shape
    rows = planes.astype('>u2').view(np.uint8).reshape(height, -1)
    rows[1:] -= rows[:-1].copy()  # modulo 256, as the filter wants it
    data = zlib.compress(np.insert(rows, 0, 2, axis=1).tobytes())
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    chunks = [_make_chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 16, colour_type, 0, 0, 0))]
    if profile:
        chunks.append(_make_chunk(b'iCCP', b'ICC profile\0\0' + zlib.compress(profile)))
    chunks += [_make_chunk(b'IDAT', data[start : start + _PIECE]) for start in range(0, len(data), _PIECE)]
    return b''.join([b'\x89PNG\r\n\x1a\n', *chunks, _make_chunk(b'IEND', b'')])


def _make_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))
