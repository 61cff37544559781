"""Attention masks of shifted windows, made on their device and once for each size, not in every block of a forward."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

SIZES = 8
"""How many masks are kept at once. Training needs two, a test set's sizes come and go."""
NEVER = -100.0
"""Added to the attention between pixels that are no neighbours."""


def make_window_mask(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    """What SwinIR adds to the attention inside the windows of an image that is rolled by `shift` (Liu et al. 2021).

    Args:
        height (int): Of the image, a multiple of `window`.
        width (int): Of the image, a multiple of `window`.
        window (int): Side of a window.
        shift (int): Pixels by which the image is rolled up and left; below `window`, may be 0.
        device (torch.device): Where the mask is needed.

    Returns:
        Tensor: (height * width / window^2, window^2, window^2), 0 or NEVER; not to be changed.
    """
    # A compiler traces through caches, and fuses the few operations into what uses them; a tracer must not leave its
    # tensors in one.
    make = _make if torch.compiler.is_compiling() or torch.jit.is_tracing() else _make_once
    return make(height, width, window, shift, device)


def _make(height: int, width: int, window: int, shift: int, device: torch.device) -> Tensor:
    rows, columns = (_number_regions(side, window, shift, device) for side in (height, width))
    region = 3 * rows[:, None] + columns
    region = region.view(height // window, window, width // window, window).transpose(1, 2).reshape(-1, window**2)
    return torch.where(region[:, None] == region[:, :, None], 0.0, NEVER)


_make_once = lru_cache(SIZES)(_make)
forget = _make_once.cache_clear
"""Make all masks anew."""


def _number_regions(side: int, window: int, shift: int, device: torch.device) -> Tensor:
    """0 before the last window, in it 1, and 2 where the other edge has been rolled to."""
    place = torch.arange(side, device=device)
    return (place >= side - window).long() + (place >= side - shift) if shift else torch.zeros_like(place)
