"""Validation images that share a batch: neighbours of one size, where it pays and nobody counts on the last bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from basicsr.models.sr_model import SRModel

Sample = dict[str, Any]
"""As a loader of single images yields it: tensors of (1, C, H, W), and lists of one."""

BATCH_PIXELS = 256 * 256
"""LR pixels that images of one size fill together on CUDA: a batch needs no more memory than one such image."""


def batch_pixels(model: SRModel) -> int:
    """LR pixels that a batch may have; 0 for one image at a time.

    On the CPU oneDNN rounds the last bit of a float by the batch size, and photographs gain or lose time by network;
    on CUDA cuDNN may round so too, so deterministic runs go image by image. So do models with methods of their own,
    written for one image.
    """
    deterministic = torch.are_deterministic_algorithms_enabled() or torch.backends.cudnn.deterministic
    if model.device.type != 'cuda' or deterministic:
        return 0
    methods = (getattr(type(model), name) for name in ('feed_data', 'test', 'get_current_visuals'))
    known = all(method.__module__.startswith(('basicsr.', 'dukd_basicsr.')) for method in methods)
    return BATCH_PIXELS if known else 0


def grouped(samples: Iterable[Sample], pixels: int) -> Iterator[list[Sample]]:
    """Neighbours of equal shapes together, as long as their LR images have at most so many pixels."""
    group: list[Sample] = []
    for sample in samples:
        lq = sample['lq']
        if group and (len(lq) > 1 or _shapes(sample) != _shapes(group[0])):
            yield group
            group = []
        group.append(sample)
        if (len(group) + 1) * lq[0, 0].numel() > pixels:
            yield group
            group = []
    if group:
        yield group


def _shapes(sample: Sample) -> dict[str, torch.Size]:
    return {key: value.shape for key, value in sample.items() if isinstance(value, Tensor)}


def merged(group: list[Sample]) -> Sample:
    """One batch of the tensors; BasicSR's and our `feed_data` read nothing else."""
    if len(group) == 1:
        return group[0]
    return {key: torch.cat([sample[key] for sample in group]) for key in _shapes(group[0])}
