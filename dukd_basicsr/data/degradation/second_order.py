"""High-order degradation: blur, resize, noise and JPEG twice, then a sinc filter (Real-ESRGAN section 3.2-3.3)."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from basicsr.data.degradations import random_add_gaussian_noise_pt, random_add_poisson_noise_pt
from basicsr.utils import DiffJPEG
from basicsr.utils.img_process_util import filter2D
from torch import Tensor, nn
from torch.nn.functional import interpolate

from dukd_basicsr.data.degradation.kernels import Kernels

_MODES = ('area', 'bilinear', 'bicubic')


@dataclass(frozen=True)
class Order:
    """What one of the two rounds draws from; the keys of BasicSR's options file without their 2."""

    resize_prob: Sequence[float]
    """How probable it is to enlarge, to shrink and to keep the size."""
    resize_range: Sequence[float]
    gaussian_noise_prob: float
    """How probable Gaussian noise is; otherwise the noise is Poisson's."""
    noise_range: Sequence[float]
    poisson_scale_range: Sequence[float]
    gray_noise_prob: float
    jpeg_range: Sequence[float]

    @classmethod
    def read(cls, opt: Mapping[str, Any], suffix: str) -> Order:
        """The round of an options file whose keys end in '' or '2'."""
        return cls(**{name: opt[f'{name}{suffix}'] for name in cls.__dataclass_fields__})


class Degradation(nn.Module):
    """LR images out of HR images, by BasicSR's operations in the order of basicsr/models/realesrnet_model.py:70-169.

    Stock builds what it needs on CUDA; this is a module, which goes to any device. From the same state of the global
    generators it gives the bits of stock (so call it under `own_draws`): draws that concern the whole batch (resize
    factors and modes, which noise, the place of the last JPEG) come from Python's and numpy's generator, those of a
    sample (strengths, qualities) and of a pixel from torch's on the device.

    BasicSR's DiffJPEG divides by zero at a quality of 100; and it keeps its tables in parameters that all its instances
    share, so that in one process it works on one device at a time.

    Args:
        opt (Mapping): The keys of BasicSR's options file: resize_prob, resize_range, gaussian_noise_prob, noise_range,
            poisson_scale_range, gray_noise_prob, jpeg_range, the same with 2 at the end, and second_blur_prob.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        super().__init__()
        self.first, self.second = Order.read(opt, ''), Order.read(opt, '2')
        self.second_blur_prob = opt['second_blur_prob']
        self.jpeg = DiffJPEG(differentiable=False).requires_grad_(False)

    @torch.no_grad()
    def forward(self, gt: Tensor, kernels: Kernels, scale: int) -> Tensor:
        """Degrade a batch.

        Args:
            gt (Tensor): (B, 3, H, W), RGB in [0, 1]; after the smallest factor of the first resize more than 10 pixels
                a side must be left, over which the kernels mirror.
            kernels (Kernels): One of each for a sample.
            scale (int): 1 leaves the size as it is and does all the rest.

        Returns:
            Tensor: (B, 3, H // scale, W // scale), multiples of 1/255 in [0, 1].
        """
        height, width = gt.shape[-2:]
        final = height // scale, width // scale
        out = _filter(gt, kernels.first)
        out = interpolate(out, scale_factor=_draw_factor(self.first), mode=_draw_mode())
        out = self._compress(_add_noise(out, self.first), self.first)
        if np.random.uniform() < self.second_blur_prob:
            out = _filter(out, kernels.second)
        factor = _draw_factor(self.second)
        out = interpolate(out, (int(height / scale * factor), int(width / scale * factor)), mode=_draw_mode())
        out = _add_noise(out, self.second)
        if np.random.uniform() < 0.5:
            out = _filter(interpolate(out, final, mode=_draw_mode()), kernels.sinc)
            out = self._compress(out, self.second)
        else:
            out = self._compress(out, self.second)
            out = _filter(interpolate(out, final, mode=_draw_mode()), kernels.sinc)
        return torch.clamp((out * 255).round(), 0, 255) / 255

    def _compress(self, image: Tensor, order: Order) -> Tensor:
        quality = image.new_zeros(image.shape[0]).uniform_(*order.jpeg_range)
        return self.jpeg(torch.clamp(image, 0, 1), quality=quality)


def _draw_factor(order: Order) -> float:
    way = random.choices(('up', 'down', 'keep'), order.resize_prob)[0]
    least, most = order.resize_range
    if way == 'keep':
        return 1
    return np.random.uniform(*((1, most) if way == 'up' else (least, 1)))


def _draw_mode() -> str:
    return random.choice(_MODES)


def _filter(image: Tensor, kernel: Tensor) -> Tensor:
    # DiffJPEG leaves channels last, which `pad` keeps in today's torch, and filter2D's `view` cannot take.
    return filter2D(image.contiguous(), kernel)


def _add_noise(image: Tensor, order: Order) -> Tensor:
    if np.random.uniform() < order.gaussian_noise_prob:
        return random_add_gaussian_noise_pt(image, order.noise_range, order.gray_noise_prob)
    return random_add_poisson_noise_pt(image, order.poisson_scale_range, order.gray_noise_prob)
