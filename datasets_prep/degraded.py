"""A test set of degraded images that is the same wherever it is made: Real-ESRGAN's degradation from a seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from datasets_prep.codecs import encode
from datasets_prep.images import mod_crop
from datasets_prep.subimages import Item, Job, Made, run_guarded
from dukd_basicsr.data.degradation import Degradation, degradation_seed, draw_kernels, own_draws
from dukd_basicsr.data.degradation.settings import DEGRADATION, KERNELS
from dukd_basicsr.data.images import UnusableImageError, decode_image

_CPU = torch.device('cpu')


def make_degrader(seed: int) -> Callable[[Job], Made]:
    """The work that makes of an image, cropped to a multiple of its job's one scale, a GT and a degraded LR.

    Kernels and degradation are drawn with the settings of Real-ESRGAN's options files, from the seed and the image's
    name: other images beside it change nothing.

    Args:
        seed (int): Of the set, from 0 on.

    Returns:
        Callable: For `run.produce`; `outputs` is GT, LR.
    """
    degradation = Degradation(DEGRADATION)

    def pair(job: Job, files: Sequence[bytes]) -> tuple[list[Item], ...]:
        (scale,) = job.scales
        gt = np.ascontiguousarray(mod_crop(decode_image(files[0]), scale))
        # The first resize may leave 0.15 of a side, and the kernels of 21 mirror 10 pixels.
        least = int(11 / min(DEGRADATION['resize_range'])) + 1
        if min(gt.shape[:2]) < least:
            raise UnusableImageError(f'smaller than {least} pixels, which cannot be degraded')
        rgb = torch.from_numpy(gt[..., ::-1].transpose(2, 0, 1).astype(np.float32) / np.float32(255))[None]
        with own_draws(degradation_seed(seed, 0, _hash_name(job.name)), _CPU):
            lq = degradation(rgb, draw_kernels(KERNELS), scale)
        planes = (lq[0] * 255).round().to(torch.uint8).numpy()
        low = np.ascontiguousarray(planes.transpose(1, 2, 0)[..., ::-1])
        return tuple([Item(job.name, encode(image), (image.shape[0], image.shape[1], 3))] for image in (gt, low))

    return lambda job: run_guarded(job, pair)


def name_folders(home: Path, scale: int, seed: int) -> tuple[Path, Path]:
    """Where the GT and the LR images of such a set lie."""
    place = home / f'real_x{scale}_seed{seed}'
    return place / 'GT', place / 'LR'


def _hash_name(name: str) -> int:
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=4).digest(), 'little')
