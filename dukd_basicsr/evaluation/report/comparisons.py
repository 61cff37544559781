"""What several networks made of one picture, as a section of the page that its script turns into a slider."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from dukd_basicsr.data.images import UnusableImageError, read_image
from dukd_basicsr.errors import RunError
from dukd_basicsr.evaluation.pictures import find_most_different_crop
from dukd_basicsr.evaluation.report.content import Comparison, Image
from dukd_basicsr.pages.markup import escape, inline_image

PIXELS = 6_000_000
"""Of all pictures of a page together: about 13 MB of photographs, which a telephone still opens."""
LEAST = 192
"""Side of the smallest crop, however many pictures there are."""
LENS = 64
"""Side, in pixels, of the part that the page magnifies first."""


def format_comparisons(comparisons: Mapping[str, Comparison]) -> str:
    """A section for each picture.

    Args:
        comparisons (Mapping[str, Comparison]): Picture to what each network made of it.

    Raises:
        ValueError: Fewer than two images of a picture, or of several sizes.
        RunError: A file that cannot be read.
    """
    count = sum(len(comparison) for comparison in comparisons.values())
    return ''.join(_format(name, images, PIXELS // max(count, 1)) for name, images in comparisons.items())


def _format(name: str, comparison: Comparison, share: int) -> str:
    images = {key: _read(image) for key, image in comparison.items()}
    shapes = {image.shape for image in images.values()}
    if len(images) < 2 or len(shapes) > 1:
        sizes = ', '.join(f'{key} {image.shape[1]}x{image.shape[0]}' for key, image in images.items())
        raise ValueError(f'{name}: two or more images of one size are compared, not: {sizes}.')
    (whole,) = shapes
    images = _crop(images, share)
    height, width = next(iter(images.values())).shape[:2]
    note = f'{width}x{height} pixels'
    if (height, width) != whole[:2]:
        note = f'The {note} of {whole[1]}x{whole[0]} where they differ most: the page has no room for more.'
    top, left = find_most_different_crop(list(images.values()), min(LENS, height, width))
    first = ''.join(f' data-{side}="{escape(wanted)}"' for side, wanted in _find_pair(images).items())
    figures = ''.join(
        f'<figure><img src="{inline_image(image)}" width="{width}" height="{height}" alt="{escape(f"{name}, {key}")}">'
        f'<figcaption>{escape(key)}</figcaption></figure>'
        for key, image in images.items()
    )
    return (
        f'<section class="compare" data-crop="{left},{top}"{first}><h3>{escape(name)}</h3>'
        f'<p class="note">{note}</p><div class="figures">{figures}</div></section>\n'
    )


def _read(image: Image) -> np.ndarray:
    """(H, W, 3) RGB."""
    if isinstance(image, Path):
        try:
            return cv2.cvtColor(read_image(image), cv2.COLOR_BGR2RGB)
        except (OSError, UnusableImageError) as error:
            raise RunError(f'{image}: it cannot be shown in the report ({error}).') from None
    return image if image.ndim == 3 else np.dstack([image] * 3)


def _crop(images: Mapping[str, np.ndarray], share: int) -> dict[str, np.ndarray]:
    """The images whole if none has more pixels than `share`; else the square where they differ most."""
    height, width = next(iter(images.values())).shape[:2]
    if height * width <= max(share, LEAST**2):
        return dict(images)
    side = min(max(math.isqrt(share), LEAST), height, width)
    top, left = find_most_different_crop(list(images.values()), side)
    return {key: image[top : top + side, left : left + side] for key, image in images.items()}


def _find_pair(images: Mapping[str, np.ndarray]) -> dict[str, str]:
    """Which two are shown first: the student beside bicubic if they are there, else the first two."""
    wanted = ('bicubic', 'student')
    return dict(zip(('left', 'right'), wanted if set(wanted) <= set(images) else images, strict=False))
