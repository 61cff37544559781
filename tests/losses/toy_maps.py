"""Random feature maps, and a loss connected to their widths."""

from __future__ import annotations

import torch


def maps(*shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]


def connected(loss, student, teacher, seed=0):
    """The loss with adapters for these maps, in double."""
    widths = [[each.shape[1] for each in side] for side in (student, teacher)]
    loss.connect(*widths, torch.Generator().manual_seed(seed))
    return loss.double()
