"""Is an encoded image whole? Its first and last bytes tell, without decoding it."""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable
from pathlib import Path

HEAD = 32
"""Bytes that are read at the start of an image."""
TAIL = 4096
"""Bytes that are read at its end; some programs write something behind the image."""
Size = tuple[int, int]
"""Height and width."""


class DamagedImageError(ValueError):
    """What is wrong with an image, in a few words."""


class CutOffError(DamagedImageError):
    """The end of an image is missing.

    Args:
        length (int): The bytes that are there.
    """

    def __init__(self, length: int) -> None:
        super().__init__(f'is cut off after {length} bytes')


def inspect(head: bytes, tail: bytes, length: int) -> Size | None:
    """Check that an encoded image is whole.

    Args:
        head (bytes): Its first HEAD bytes.
        tail (bytes): Its last TAIL bytes.
        length (int): Its bytes.

    Returns:
        Size | None: Height and width where they stand at the start (PNG and BMP), else None.

    Raises:
        DamagedImageError: Empty, cut off, or no PNG, JPEG, WebP, BMP or TIFF.
    """
    if not length:
        raise DamagedImageError('is empty')
    for start, look in _FORMATS:
        if head.startswith(start):
            try:
                return look(head, tail, length)
            except struct.error:
                raise CutOffError(length) from None
    raise DamagedImageError('is no PNG, JPEG, WebP, BMP or TIFF')


def inspect_file(path: Path) -> Size | None:
    """As `inspect`, for a file.

    Raises:
        DamagedImageError: As there, or the file cannot be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a FIFO waits for its writer for ever
            raise DamagedImageError('is no regular file')
        with path.open('rb') as file:
            head = file.read(HEAD)
            length = file.seek(0, 2)
            file.seek(max(0, length - TAIL))
            return inspect(head, file.read(TAIL), length)
    except OSError as error:
        raise DamagedImageError(f'cannot be read ({error.strerror})') from None


def _png(head: bytes, tail: bytes, length: int) -> Size:
    width, height = struct.unpack_from('>II', head, 16)
    _expect(head[12:16] == b'IHDR' and b'IEND\xaeB`\x82' in tail, length)
    return height, width


def _jpeg(head: bytes, tail: bytes, length: int) -> None:
    # Neither marker is in entropy-coded data; a thumbnail in the header ends before the main scan starts.
    _expect(tail.rfind(b'\xff\xd9') > tail.rfind(b'\xff\xda'), length)


def _webp(head: bytes, tail: bytes, length: int) -> None:
    _expect(head[8:12] == b'WEBP' and length >= struct.unpack_from('<I', head, 4)[0] + 8, length)


def _bmp(head: bytes, tail: bytes, length: int) -> Size:
    width, height = struct.unpack_from('<ii', head, 18)
    _expect(length >= struct.unpack_from('<I', head, 2)[0], length)
    return abs(height), width  # negative where the first row is on top


def _tiff(head: bytes, tail: bytes, length: int) -> None:
    order = '<' if head.startswith(b'II') else '>'
    _expect(length > struct.unpack_from(f'{order}I', head, 4)[0], length)


def _expect(whole: bool, length: int) -> None:
    if not whole:
        raise CutOffError(length)


_FORMATS: tuple[tuple[bytes, Callable[[bytes, bytes, int], Size | None]], ...] = (
    (b'\x89PNG\r\n\x1a\n', _png),
    (b'\xff\xd8\xff', _jpeg),
    (b'RIFF', _webp),
    (b'BM', _bmp),
    (b'II*\0', _tiff),
    (b'MM\0*', _tiff),
)
