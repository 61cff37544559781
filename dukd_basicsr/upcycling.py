"""Data upcycling (AugKD section 3.3): new inputs for teacher and student out of a training pair.

Pure functions of tensors. Both commute with cropping: a crop of the result is the result of a larger crop.
"""

from __future__ import annotations

import torch
from torch import Tensor

from dukd_basicsr.resize import imresize


def zoom_in(
    gt: Tensor, size: int, num: int = 1, generator: torch.Generator | None = None, grid: bool = False
) -> Tensor:
    """Cut LR-sized inputs out of HR patches. They have no ground truth: the teacher is their only label.

    Every crop has its own position, uniform over all positions inside its patch, as the paper says. The authors' code
    draws one cell of a grid for the whole batch; `grid` draws different cells of it for each sample.

    Args:
        gt (Tensor): HR patches of shape (B, C, H, W).
        size (int): Side of a crop in pixels, at most min(H, W).
        num (int): Crops of each sample.
        generator (torch.Generator | None): Source of the positions; None for the default one of gt's device.
        grid (bool): Whether crops are cells of the grid of whole crops in the patch, no cell twice for a sample.

    Returns:
        Tensor: (B * num, C, size, size); sample b's crops stand at b * num ... b * num + num - 1.

    Raises:
        ValueError: The crop is larger than the patch, size or num is below 1, or num above the cells of the grid.

    Examples:
        >>> zoom_in(torch.rand(2, 3, 192, 192), size=48, num=4).shape
        torch.Size([8, 3, 48, 48])
    """
    batch, _, height, width = gt.shape
    if not 1 <= size <= min(height, width):
        raise ValueError(
            f'zoom_in needs 1 <= size <= {min(height, width)} for patches of {height}x{width}, got {size}.'
        )
    if num < 1:
        raise ValueError(f'zoom_in needs num >= 1, got {num}.')
    device = gt.device if generator is None else generator.device
    if grid:
        rows, columns = height // size, width // size
        if num > rows * columns:
            raise ValueError(f'zoom_in needs num <= {rows * columns}, the cells of a patch, got {num}.')
        cell = torch.rand(batch, rows * columns, generator=generator, device=device).argsort(1)[:, :num].flatten()
        top, left = cell // columns * size, cell % columns * size
    else:
        top = torch.randint(height - size + 1, (batch * num,), generator=generator, device=device)
        left = torch.randint(width - size + 1, (batch * num,), generator=generator, device=device)
    sample = torch.arange(batch, device=gt.device).repeat_interleave(num)
    windows = gt.unfold(2, size, 1).unfold(3, size, 1)  # a view: (B, C, top, left, size, size)
    return windows[sample, :, top.to(gt.device), left.to(gt.device)]


def zoom_out(lq: Tensor, scale: int) -> Tensor:
    """Shrink LR patches once more by the scale: inputs whose ground truth is the LR patch itself.

    MATLAB's antialiased bicubic, the degradation that made the LR patch; like it in floating point, without
    rounding or clamping.

    Args:
        lq (Tensor): LR patches of shape (B, C, H, W), float32 or float64.
        scale (int): The super-resolution scale; H and W must be multiples of it, or the student's output of the
            result would not have the size of `lq`.

    Returns:
        Tensor: (B, C, H / scale, W / scale).

    Raises:
        ValueError: The scale is below 1, or H or W is not a multiple of it.

    Examples:
        >>> zoom_out(torch.rand(2, 3, 48, 48), scale=4).shape
        torch.Size([2, 3, 12, 12])
    """
    if scale < 1:
        raise ValueError(f'zoom_out needs scale >= 1, got {scale}.')
    height, width = lq.shape[-2:]
    if height % scale or width % scale:
        raise ValueError(f'zoom_out by {scale} needs sides that are multiples of {scale}, got {height}x{width}.')
    return imresize(lq, 1 / scale)
