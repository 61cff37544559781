"""HR images at several sizes, cut into sub-images: what Real-ESRGAN trains on."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from datasets_prep.subimages import Item, Job, Made, TooSmallError, cut_items, find_windows, run_guarded
from dukd_basicsr.data.images import decode_image

FACTORS = (0.75, 0.5, 1 / 3)


def cut_multiscale(job: Job) -> Made:
    """Sub-images of an image and of its smaller versions: `outputs` is one list.

    The versions are those of Real-ESRGAN's scripts/generate_multiscale_DF2K.py (0.75, 0.5 and 1/3 of the sides, and
    the shorter side of `job.size`, by Pillow's Lanczos), named `<name>T0_s001` and so on; the image itself is
    `<name>_s001`. What would be enlarged, or shorter than `job.size`, is left out: the former is no HR image, and the
    training set mirrors the latter to that size.
    """
    return run_guarded(job, lambda job, files: (list(_cut_versions(job, files[0])),))


def make_versions(image: np.ndarray, shortest: int) -> Iterator[tuple[str, np.ndarray]]:
    """The image and its smaller versions, with what each adds to the name.

    Args:
        image (np.ndarray): (H, W, 3) uint8.
        shortest (int): The least length of a version's shorter side.
    """
    yield '', image
    height, width = image.shape[:2]
    short = min(height, width)
    sizes = [(int(width * factor), int(height * factor)) for factor in FACTORS]
    sizes.append(
        (shortest, int(shortest * height / width)) if width < height else (int(shortest * width / height), shortest)
    )
    for number, size in enumerate(sizes):
        if shortest <= min(size) < short:
            resized = Image.fromarray(image).resize(size, Image.Resampling.LANCZOS)
            yield f'T{number}', np.asarray(resized)


def _cut_versions(job: Job, data: bytes) -> Iterator[Item]:
    whole = decode_image(data)
    if min(whole.shape[:2]) < job.min_size:
        raise TooSmallError(min(whole.shape[:2]))
    for suffix, image in make_versions(whole, job.size):
        rows, columns = (find_windows(side, job.size, job.step) for side in image.shape[:2])
        places = [(top, left) for top in rows for left in columns]
        yield from cut_items(image, job.name + suffix, job, places)
