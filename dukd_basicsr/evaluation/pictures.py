"""Comparison pictures: what each network made of an image, and a magnified crop where they differ most."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

CROP = 64
"""Side of the crop in HR pixels."""
MAGNIFICATION = 4
MARGIN = 16
"""Pixels of white around and between panels."""
LABEL_HEIGHT = 52
FRAME = (0, 0, 255)
FONT = cv2.FONT_HERSHEY_SIMPLEX


@dataclass(frozen=True)
class Panel:
    """One column of a comparison picture."""

    name: str
    image: np.ndarray
    """(H, W, 3) or (H, W), uint8, BGR."""
    psnr: float | None = None
    """dB; None for the ground truth."""


def find_most_different_crop(images: Sequence[np.ndarray], size: int) -> tuple[int, int]:
    """Where a square crop shows the largest mean absolute difference over all pairs of images.

    Args:
        images (Sequence[np.ndarray]): At least two of one shape (H, W, ...), uint8.
        size (int): Side of the crop, at most the shorter side of the images.

    Returns:
        tuple[int, int]: Top and left; the first in reading order where several are equal.

    Raises:
        ValueError: Fewer than two images, or a crop that is larger than they are.
    """
    height, width = images[0].shape[:2]
    if len(images) < 2 or not 0 < size <= min(height, width):
        raise ValueError(f'{len(images)} images of {width}x{height} have no most different crop of {size}x{size}.')
    signed = [image.reshape(height, width, -1).astype(np.int64) for image in images]
    difference = sum(np.abs(a - b).sum(axis=2) for a, b in itertools.combinations(signed, 2))
    # Sums over boxes by an integral image of integers: exact, so equal boxes compare equal.
    integral = np.pad(np.asarray(difference), ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    boxes = integral[size:, size:] - integral[:-size, size:] - integral[size:, :-size] + integral[:-size, :-size]
    top, left = np.unravel_index(int(boxes.argmax()), boxes.shape)
    return int(top), int(left)


def draw_side_by_side(panels: Sequence[Panel], corner: tuple[int, int], size: int = CROP) -> np.ndarray:
    """Draw panels side by side: name and PSNR, the whole image with the crop's frame, the crop magnified.

    Args:
        panels (Sequence[Panel]): Left to right, at least one; images of one height and width.
        corner (tuple[int, int]): Top and left of the crop in the images.
        size (int): Side of the crop; every column is 4 times as wide.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR, on white.
    """
    picture = put_side_by_side([_draw_column(panel, corner, size) for panel in panels])
    return np.pad(picture, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), constant_values=255)


def put_side_by_side(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Images of one height in a row, MARGIN pixels of white between them: (H, W, 3) each, uint8, to one of them."""
    gap = _make_white(columns[0].shape[0], MARGIN)
    return np.hstack([part for column in columns for part in (gap, column)][1:])


def magnify(image: np.ndarray, corner: tuple[int, int], size: int, times: int) -> np.ndarray:
    """A square crop with every pixel repeated, so that no interpolation smooths what is to be judged.

    Args:
        image (np.ndarray): (H, W, 3) or (H, W), uint8.
        corner (tuple[int, int]): Top and left of the crop.
        size (int): Its side.
        times (int): How often a pixel is repeated, in both directions.

    Returns:
        np.ndarray: (times * size, times * size, 3) uint8.
    """
    top, left = corner
    crop = _make_bgr(image)[top : top + size, left : left + size]
    return crop.repeat(times, axis=0).repeat(times, axis=1)


def encode_png(picture: np.ndarray) -> bytes:
    """The content of a PNG file, of (H, W, 3) BGR or (H, W) uint8."""
    return cv2.imencode('.png', picture)[1].tobytes()


def _draw_column(panel: Panel, corner: tuple[int, int], size: int) -> np.ndarray:
    """Label, whole image and crop, one under the other, all of one width."""
    image, width = _make_bgr(panel.image), size * MAGNIFICATION
    magnified = magnify(image, corner, size, MAGNIFICATION)
    cv2.rectangle(magnified, (0, 0), (width - 1, width - 1), FRAME, 2)
    gap = _make_white(MARGIN // 2, width)
    return np.vstack([_draw_label(panel, width), gap, _draw_whole(image, corner, size, width), gap, magnified])


def _draw_whole(image: np.ndarray, corner: tuple[int, int], size: int, width: int) -> np.ndarray:
    """The image fitted into the column, centred where its height limits it, with the crop's frame."""
    height = image.shape[0]
    factor = min(width / image.shape[1], 1.5 * width / height)
    shown = (round(image.shape[1] * factor), round(height * factor))
    small = cv2.resize(image, shown, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_NEAREST)
    top, left = (round(value * factor) for value in corner)
    side = round(size * factor)
    cv2.rectangle(small, (left, top), (min(left + side, shown[0]) - 1, min(top + side, shown[1]) - 1), FRAME, 2)
    cell = _make_white(shown[1], width)
    offset = (width - shown[0]) // 2
    cell[:, offset : offset + shown[0]] = small
    return cell


def _draw_label(panel: Panel, width: int) -> np.ndarray:
    """The name, and the PSNR under it."""
    label = _make_white(LABEL_HEIGHT, width)
    _write(label, panel.name, 20)
    if panel.psnr is not None:
        _write(label, f'{panel.psnr:.2f} dB', 44)
    return label


def _write(label: np.ndarray, text: str, baseline: int) -> None:
    """Centred text, smaller where it would not fit, shortened in the middle where it would be too small to read."""
    room = label.shape[1]

    def wide(text: str, scale: float) -> int:
        return cv2.getTextSize(text, FONT, scale, 1)[0][0]

    scale = next((scale for scale in (0.6, 0.55, 0.5, 0.45) if wide(text, scale) <= room), 0.45)
    halves = ((text[:kept], text[-kept:]) for kept in range(len(text) // 2 - 1, 0, -1))
    candidates = itertools.chain([text], (f'{start}...{end}' for start, end in halves), ['...'])
    shown = next((candidate for candidate in candidates if wide(candidate, scale) <= room), '')
    left = (room - wide(shown, scale)) // 2
    cv2.putText(label, shown, (left, baseline), FONT, scale, (0, 0, 0), 1, cv2.LINE_AA)


def _make_bgr(image: np.ndarray) -> np.ndarray:
    """Grey as three channels, others as they are."""
    return image if image.ndim == 3 else np.dstack([image] * 3)


def _make_white(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)
