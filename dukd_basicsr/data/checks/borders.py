"""Is a test image larger than the borders that the metrics leave out? Told before the first iteration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image

from dukd_basicsr.data.checks.images import Size
from dukd_basicsr.options.report import Report


def check_borders(
    images: Mapping[Any, object], metrics: Mapping[str, Mapping[str, Any]], scale: int, report: Report
) -> None:
    """Report a metric whose `crop_border` leaves nothing of an image.

    Args:
        images (Mapping): HR images by their path or key: (height, width) where it is known. Validation cuts them to a
            multiple of the scale.
        metrics (Mapping): `val.metrics`.
        scale (int): HR size over LR size.
        report (Report): Collects the errors.
    """
    for metric, opt in metrics.items():
        border = opt.get('crop_border') or 0
        for image, known in images.items() if border else ():
            size = known if isinstance(known, tuple) else _read_size(image)
            if size is not None and 2 * border >= min(side // scale * scale for side in size):
                report.error(
                    f'val.metrics.{metric}.crop_border',
                    f'{border} leaves nothing of {image} with {size[0]}x{size[1]} pixels; write a smaller one, or '
                    'leave the image out.',
                )
                break


def _read_size(path: Path) -> Size | None:
    """Height and width from the header of a JPEG, WebP or TIFF; None where Pillow cannot read it."""
    try:
        with Image.open(path) as image:
            return image.height, image.width
    except Exception:  # a file of anyone's, on which its decoder raises what it likes
        return None
