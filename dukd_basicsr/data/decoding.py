"""From the bytes of an image file to its pixels, for uncompressed ones without touching more of them than is used."""

from __future__ import annotations

import struct

import cv2
import numpy as np

from dukd_basicsr.errors import UnreadableImageError

_BMP_HEADER = struct.Struct('<2x8xIIiiHHI')  # behind 'BM': start of the pixels, header's size, width, height, ...


def decode(data: bytes | memoryview, name: str) -> np.ndarray:
    """The pixels of an image file as BasicSR decodes them: OpenCV's IMREAD_COLOR.

    Args:
        data (bytes | memoryview): The file.
        name (str): What to call it.

    Returns:
        np.ndarray: Shape (H, W, 3), BGR, uint8. Of a 24-bit BMP a read-only view of `data`, of which a crop reads only
            its own rows: it must not be used after a memoryview's memory is gone.

    Raises:
        UnreadableImageError: OpenCV cannot decode it.
    """
    image = _view_bmp(data)
    if image is None:
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        except (cv2.error, ValueError):  # no byte, more pixels than OpenCV accepts
            image = None
    if image is None:
        raise UnreadableImageError(
            f'{name} is not an image that OpenCV can read ({len(data)} bytes): mend or remove it, or make the data '
            'again with basicsr prepare.'
        )
    return image


def _view_bmp(data: bytes | memoryview) -> np.ndarray | None:
    """A view of an uncompressed 24-bit BMP; None for everything else, also for one that is cut off."""
    if bytes(data[:2]) != b'BM' or len(data) < 2 + _BMP_HEADER.size:
        return None
    start, header, width, height, planes, bits, compression = _BMP_HEADER.unpack_from(data)
    stride = (3 * width + 3) // 4 * 4
    rows = abs(height)
    if (header, planes, bits, compression) != (40, 1, 24, 0) or width < 1 or not rows:
        return None
    if len(data) < start + rows * stride:
        return None
    lines = np.frombuffer(data, np.uint8, rows * stride, start).reshape(rows, stride)
    image = lines[:, : 3 * width].reshape(rows, width, 3) if stride == 3 * width else _strip_padding(lines, rows, width)
    return image[::-1] if height > 0 else image  # the usual BMP begins with the last row


def _strip_padding(lines: np.ndarray, rows: int, width: int) -> np.ndarray:
    """Rows without the bytes that fill them up to a multiple of four, still a view."""
    return np.lib.stride_tricks.as_strided(lines, (rows, width, 3), (lines.strides[0], 3, 1), writeable=False)
