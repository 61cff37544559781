"""MATLAB's `imresize(image, scale, 'bicubic')` for batches of tensors, on the tensor's own device."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def imresize(x: Tensor, scale: float) -> Tensor:
    """Resize with MATLAB's antialiased bicubic kernel (a = -0.5, symmetric borders). Differentiable.

    MATLAB mirrors the border where torch renormalises the kernel, so the input is padded by mirrored pixels that
    the kernel of every kept output pixel reaches, resized by torch and cropped. No rounding, no clamping: values
    may leave [0, 1] by the kernel's overshoot, as in MATLAB on doubles.

    Args:
        x (Tensor): Images of shape (..., H, W), float32 or float64, any value range.
        scale (float): Output size over input size: a whole number, or 1 / a whole number.

    Returns:
        Tensor: Shape (..., ceil(H * scale), ceil(W * scale)).

    Raises:
        ValueError: Other scales; images without pixels; fewer than two dimensions.
        TypeError: Integer or half-precision images (MATLAB would round each its own way).

    Examples:
        >>> imresize(torch.rand(16, 3, 50, 30), 1 / 4).shape
        torch.Size([16, 3, 13, 8])
    """
    if x.dtype not in (torch.float32, torch.float64):
        raise TypeError(f'imresize needs float32 or float64 images, got {x.dtype}.')
    if x.dim() < 2 or x.numel() == 0:
        raise ValueError(f'imresize needs images of shape (..., H, W) with pixels, got {tuple(x.shape)}.')
    factor = round(scale if scale >= 1 else 1 / scale) if scale > 0 else 0
    if factor == 0 or not math.isclose(scale, factor if scale >= 1 else 1 / factor, rel_tol=1e-6):
        raise ValueError(f'imresize needs a scale that is a whole number or 1 / a whole number, got {scale}.')
    if factor == 1:
        return x.clone()
    shrink = scale < 1
    height, width = x.shape[-2:]
    out_h, out_w = (-(-n // factor) if shrink else n * factor for n in (height, width))

    # Shrinking: the kernel reaches two output pixels, that is 2 * factor input pixels. Enlarging: two input pixels.
    pad, crop = (2 * factor, 2) if shrink else (2, 2 * factor)
    # An odd last row needs a whole output pixel's worth of input behind it, since torch floors where MATLAB ceils.
    more_h, more_w = (out_h * factor - height, out_w * factor - width) if shrink else (0, 0)
    x4d = x.reshape(-1, 1, height, width)
    x4d = x4d.index_select(2, _mirror(height, pad, pad + more_h, x.device))
    columns = _mirror(width, pad, pad + more_w, x.device)
    # Gathering every column would cost more than the resize itself.
    x4d = torch.cat((x4d[..., columns[:pad]], x4d, x4d[..., columns[pad + width :]]), -1)
    # Enlarging steps by 1 / factor, whose float32 rounding adds up along a row (1e-4 at 600 pixels x3): float64 there.
    x4d = x4d if shrink else x4d.double()
    exact = 1 / factor if shrink else float(factor)
    out = F.interpolate(x4d, scale_factor=exact, mode='bicubic', align_corners=False, antialias=True)
    out = out[..., crop : crop + out_h, crop : crop + out_w]
    return out.reshape(*x.shape[:-2], out_h, out_w).to(x.dtype)


def _mirror(size: int, before: int, after: int, device: torch.device) -> Tensor:
    """Indices 0..size-1 with `before` and `after` mirrored ones around (edge pixel repeated, as often as needed)."""
    index = torch.arange(-before, size + after, device=device) % (2 * size)
    return torch.minimum(index, 2 * size - 1 - index)
