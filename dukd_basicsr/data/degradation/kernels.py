"""The kernels of one image's degradation, for images that no RealESRGANDataset has loaded."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from basicsr.data.degradations import circular_lowpass_kernel, random_mixed_kernels
from torch import Tensor

_SIDES = tuple(range(7, 22, 2))  # as basicsr/data/realesrgan_dataset.py:76, which does not read blur_kernel_size
_SIDE = 21


class Kernels(NamedTuple):
    """Kernels of a batch, (B, 21, 21) each: what RealESRGANDataset calls kernel1, kernel2 and sinc_kernel."""

    first: Tensor
    second: Tensor
    sinc: Tensor

    def to(self, device: torch.device) -> Kernels:
        """The same on another device."""
        return Kernels(*(kernel.to(device, non_blocking=True) for kernel in self))


def draw_kernels(opt: Mapping[str, Any]) -> Kernels:
    """Draw the kernels of one image from the global generators, in the order of RealESRGANDataset.__getitem__.

    There they cannot be had without its crop of 400x400.

    Args:
        opt (Mapping): The kernels' keys of `datasets.train`: kernel_list, kernel_prob, blur_sigma, betag_range,
            betap_range, sinc_prob, the same with 2 at the end, and final_sinc_prob.

    Returns:
        Kernels: For a batch of one.
    """
    # BasicSR divides by 0 at the middle of a sinc, and lets numpy be silent in the main thread only.
    with np.errstate(all='ignore'):
        return Kernels(*(torch.FloatTensor(kernel)[None] for kernel in _draw_arrays(opt)))


def _draw_arrays(opt: Mapping[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    first, second = _draw_blur(opt, ''), _draw_blur(opt, '2')
    if np.random.uniform() < opt['final_sinc_prob']:
        side = random.choice(_SIDES)
        sinc = circular_lowpass_kernel(np.random.uniform(np.pi / 3, np.pi), side, pad_to=_SIDE)
    else:
        sinc = np.zeros((_SIDE, _SIDE))
        sinc[_SIDE // 2, _SIDE // 2] = 1
    return first, second, sinc


def _draw_blur(opt: Mapping[str, Any], suffix: str) -> np.ndarray:
    side = random.choice(_SIDES)
    if np.random.uniform() < opt[f'sinc_prob{suffix}']:
        cutoff = np.random.uniform(np.pi / (3 if side < 13 else 5), np.pi)
        kernel = circular_lowpass_kernel(cutoff, side, pad_to=False)
    else:
        sigma = opt[f'blur_sigma{suffix}']
        kernel = random_mixed_kernels(
            opt[f'kernel_list{suffix}'],
            opt[f'kernel_prob{suffix}'],
            side,
            sigma,
            sigma,
            [-math.pi, math.pi],
            opt[f'betag_range{suffix}'],
            opt[f'betap_range{suffix}'],
            noise_range=None,
        )
    return np.pad(kernel, (_SIDE - side) // 2)
