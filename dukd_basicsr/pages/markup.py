"""Text and pictures as a page for a browser can hold them, with nothing left to fetch."""

from __future__ import annotations

import base64
import html
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

_CONTROLS = re.compile(r'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]')
"""What HTML allows nowhere; tabs and ends of lines stay."""


def escape(text: object) -> str:
    """Text that a browser shows as it is, inside an element or a quoted attribute.

    Args:
        text (object): Taken as `str`. Control characters, and bytes of file names that are no UTF-8 (lone surrogates
            in Python), become U+FFFD.

    Example:
        >>> escape('<b>"5" & 6')
        '&lt;b&gt;&quot;5&quot; &amp; 6'
    """
    readable = str(text).encode('utf-8', 'surrogatepass').decode('utf-8', 'replace')
    return html.escape(_CONTROLS.sub('\ufffd', readable))


def read_asset(name: str) -> str:
    """A style sheet or script of this folder, e.g. 'slider.js'."""
    return (Path(__file__).parent / name).read_text('utf-8')


def inline_image(pixels: np.ndarray) -> str:
    """A picture as a data URI, without loss: WebP, which is about a quarter smaller than PNG.

    Args:
        pixels (np.ndarray): (H, W, 3) RGB, uint8, at most 16383 on a side.
    """
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, 'WEBP', lossless=True, exact=True, method=4)
    return f'data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}'
