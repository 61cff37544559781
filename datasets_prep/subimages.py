"""From one source image to what every target stores of it: the work of one thread."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datasets_prep.codecs import Codec, encode
from datasets_prep.images import mod_crop, shrink
from dukd_basicsr.data.images import UnusableImageError, decode_image


class Item(NamedTuple):
    """One image of a target: its key, the encoded bytes and (height, width, channels)."""

    key: str
    data: bytes
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Job:
    """One image and what to make of it."""

    source: Path
    name: str
    scales: tuple[int, ...]
    multiple: int = 1
    """HR sides are cropped to a multiple of this."""
    size: int = 0
    step: int = 0
    min_size: int = 0
    lr_sources: tuple[Path | None, ...] = ()
    """Where a scale's LR is at hand already: one path or None a scale; empty: all are computed."""
    codec: Codec = 'png'
    """How sub-images are encoded; whole images are PNGs."""


@dataclass(frozen=True)
class Made:
    """What came of a job: `outputs` has one list of items a target; `problem` or `too_small` says why none."""

    source: Path
    digest: str
    outputs: tuple[list[Item], ...] = ()
    problem: str = ''
    too_small: int | None = None
    """The image's shorter side, where that is the reason."""


class TooSmallError(Exception):
    """An image with a shorter side than asked for.

    Args:
        side (int): Its length.
    """

    def __init__(self, side: int) -> None:
        super().__init__(side)
        self.side = side


def find_windows(length: int, size: int, step: int) -> list[int]:
    """Starts of the windows along one side, as BasicSR's extract_subimages (threshold 0).

    The last window ends at the image's end; a side shorter than `size` is one window.
    """
    if length <= size:
        return [0]
    starts = list(range(0, length - size + 1, step))
    if starts[-1] + size < length:
        starts.append(length - size)
    return starts


def digest(*files: bytes) -> str:
    """Fingerprint of the contents of one job's files."""
    return '+'.join(hashlib.blake2b(data, digest_size=16).hexdigest() for data in files)


def cut(job: Job) -> Made:
    """Sub-images of the HR image and of its LR at every scale: `outputs` is HR, then one list a scale.

    LR is made of the whole image and cut afterwards, so that sub-images carry no border of the resize.
    """
    return run_guarded(job, _cut)


def make_pairs(job: Job) -> Made:
    """The whole image, cropped to a multiple of each scale, and its LR: `outputs` is HR, LR, HR, LR, ... by scale."""
    return run_guarded(job, _make_pairs)


def run_guarded(job: Job, make: Callable[[Job, Sequence[bytes]], tuple[list[Item], ...]]) -> Made:
    """Run `make` on the bytes of a job's files, with every reason for which there is no result turned into words."""
    try:
        files = [path.read_bytes() for path in (job.source, *job.lr_sources) if path]
    except OSError as error:
        return Made(job.source, '', problem=error.strerror or str(error))
    fingerprint = digest(*files)
    try:
        outputs = make(job, files)
    except TooSmallError as error:
        return Made(job.source, fingerprint, too_small=error.side)
    except UnusableImageError as error:
        return Made(job.source, fingerprint, problem=str(error))
    return Made(job.source, fingerprint, outputs)


def _cut(job: Job, files: Sequence[bytes]) -> tuple[list[Item], ...]:
    whole = decode_image(files[0])
    image = mod_crop(whole, job.multiple)
    if min(image.shape[:2]) < max(job.min_size, job.multiple):
        raise TooSmallError(min(image.shape[:2]))
    rest = iter(files[1:])
    sources = job.lr_sources or (None,) * len(job.scales)
    places = [
        (top, left)
        for top in find_windows(image.shape[0], job.size, job.step)
        for left in find_windows(image.shape[1], job.size, job.step)
    ]
    outputs = [cut_items(image, job.name, job, places)]
    for scale, source in zip(job.scales, sources, strict=True):
        low = shrink(image, scale) if source is None else _decode_official(next(rest), source, whole, scale)
        low = low[: image.shape[0] // scale, : image.shape[1] // scale]
        outputs.append(cut_items(low, job.name, job, places, scale))
    return tuple(outputs)


def cut_items(image: np.ndarray, name: str, job: Job, places: Sequence[tuple[int, int]], scale: int = 1) -> list[Item]:
    """Sub-images of an (H, W, 3) image, `<name>_s001` and so on.

    Args:
        image (np.ndarray): BGR, uint8.
        name (str): The name of the image, which its keys begin with.
        job (Job): Its size and codec.
        places (Sequence[tuple[int, int]]): Top and left of each, at scale 1.
        scale (int): What the image has been shrunk by.
    """
    parts = []
    for number, (top, left) in enumerate(places, 1):
        top, left, size = top // scale, left // scale, job.size // scale
        part = np.ascontiguousarray(image[top : top + size, left : left + size])
        parts.append(Item(f'{name}_s{number:03d}', encode(part, job.codec), _get_shape(part)))
    return parts


def _decode_official(data: bytes, source: Path, whole: np.ndarray, scale: int) -> np.ndarray:
    """The LR image that came with the data set, if it fits its HR image."""
    try:
        low = decode_image(data)
    except UnusableImageError as error:
        raise UnusableImageError(f'its LR {source}: {error}') from None
    if any(abs(small * scale - large) >= scale for small, large in zip(low.shape[:2], whole.shape[:2], strict=True)):
        sizes = [f'{image.shape[1]} x {image.shape[0]}' for image in (low, whole)]
        raise UnusableImageError(f'its LR {source} is {sizes[0]}, which is not 1/{scale} of {sizes[1]}')
    return low


def _make_pairs(job: Job, files: Sequence[bytes]) -> tuple[list[Item], ...]:
    whole = decode_image(files[0])
    outputs = []
    for scale in job.scales:
        image = mod_crop(whole, scale)
        if not image.size:
            raise UnusableImageError(f'smaller than {scale} pixels')
        outputs += [[Item(job.name, encode(part), _get_shape(part))] for part in (image, shrink(image, scale))]
    return tuple(outputs)


def _get_shape(image: np.ndarray) -> tuple[int, int, int]:
    height, width, channels = image.shape
    return height, width, channels
