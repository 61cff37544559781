"""How images lie in an LMDB: small or quick to read, and always the same pixels."""

from __future__ import annotations

import io
from typing import Literal, get_args

import cv2
import numpy as np
from PIL import Image

from dukd_basicsr.data.images import UnusableImageError

Codec = Literal['png', 'webp', 'bmp']
CODECS: tuple[Codec, ...] = get_args(Codec)
LEVEL = 1  # the last number of a line of meta_info.txt, as BasicSR writes it

# Runs instead of matches, and one filter for all rows: on photographs as small as OpenCV's own choice at this level,
# written twice and read 1.5 times as fast. Drawings that repeat themselves grow: those are for webp.
_PNG = [cv2.IMWRITE_PNG_COMPRESSION, LEVEL, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
if hasattr(cv2, 'IMWRITE_PNG_FILTER'):  # before OpenCV 4.12 there is no choice
    _PNG += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_AVG]


def encode(image: np.ndarray, codec: Codec = 'png') -> bytes:
    """An image as the bytes of a file from which BasicSR decodes the same pixels.

    Args:
        image (np.ndarray): Shape (H, W, 3), BGR, uint8.
        codec (Codec): png; webp (lossless), four fifths of its size; bmp (uncompressed), of which a crop is read
            without the rest.

    Returns:
        bytes: The file.

    Raises:
        UnusableImageError: The format cannot hold it.
    """
    if codec == 'webp':
        return _encode_webp(image)
    try:
        done, data = cv2.imencode(f'.{codec}', image, _PNG if codec == 'png' else [])
    except cv2.error:
        done = False
    if not done:
        raise UnusableImageError(f'it cannot be written as {codec}')
    return data.tobytes()


def _encode_webp(image: np.ndarray) -> bytes:
    """By Pillow: OpenCV has no say in the effort, which is 13 times the time for 7 % of the size."""
    file = io.BytesIO()
    try:
        Image.fromarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB)).save(file, 'WEBP', lossless=True, method=0, quality=0)
    except (OSError, ValueError) as error:  # more than 16383 pixels a side; a Pillow without WebP
        raise UnusableImageError(f'it cannot be written as webp ({error})') from error
    return file.getvalue()
