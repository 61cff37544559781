"""Does the exported graph compute what the torch network computes, at sizes that were not traced?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from dukd_basicsr.errors import RunError
from dukd_basicsr.networks.build import describe
from dukd_basicsr.networks.padding import find_size_requirement, super_resolve

TOLERANCE = 1e-4
"""Of float32, in units of the value range [0, 1]: a fortieth of an 8-bit level."""
LOOSE_TOLERANCE = 1.0
"""Of fewer bits: beyond it nothing of the picture is left, as where float16 overflows."""
SMALLEST_UNIT = 8


@dataclass(frozen=True)
class Difference:
    """What two networks make of one input."""

    size: str
    """Of the input, e.g. '2x3x19x37'."""
    largest: float
    """Absolute difference, in units of the value range [0, 1]; infinite where the sizes differ."""


def draw_images(net: nn.Module, channels: int) -> list[Tensor]:
    """Three inputs: one that windows divide, a batch of two that they do not, and one narrower than a window.

    Args:
        net (nn.Module): Asked for its windows.
        channels (int): Of its input.

    Returns:
        list[Tensor]: (B, channels, H, W) in [0, 1], the same every time.
    """
    unit = max(SMALLEST_UNIT, find_size_requirement(net).padded(1))
    sizes = [(1, 3 * unit, 4 * unit), (2, 2 * unit + 3, 4 * unit + 5), (1, unit - 3, unit)]
    generator = torch.Generator().manual_seed(0)
    return [torch.rand(batch, channels, *size, generator=generator) for batch, *size in sizes]


def compare(net: nn.Module, exported: nn.Module, images: Sequence[Tensor]) -> list[Difference]:
    """Ask both networks for every image.

    Args:
        net (nn.Module): On the CPU, in eval mode.
        exported (nn.Module): What stands for it.
        images (Sequence[Tensor]): Each (B, C, H, W) in [0, 1].

    Raises:
        RunError: One of them does not take an image of such a size.
    """
    found = []
    for lq in tqdm(images, desc='check', unit='size', leave=False, dynamic_ncols=True):
        try:
            expected, got = super_resolve(net, lq), super_resolve(exported, lq)
        except RunError:
            raise
        except Exception as error:  # a network of anyone's, which raises what it likes
            raise RunError(f'{type(net).__name__} takes no input of {_size(lq.shape)} ({describe(error)}).') from error
        found.append(Difference(_size(lq.shape), _largest(expected, got)))
    return found


def require_equal(differences: Sequence[Difference], tolerance: float = TOLERANCE) -> None:
    """Refuse a graph that is another function than the network.

    Raises:
        RunError: A difference above `tolerance`, or one that is no number.
    """
    worst = max(differences, key=lambda each: each.largest)
    if worst.largest > tolerance:
        raise RunError(
            f'the exported graph differs from torch by {worst.largest:.1e} on an input of {worst.size}, more than '
            f'{tolerance:.0e}; nothing was written.'
        )


def _size(shape: Iterable[int]) -> str:
    return 'x'.join(map(str, shape))


def _largest(expected: Tensor, got: Tensor) -> float:
    if expected.shape != got.shape:
        return float('inf')
    difference = (expected - got).abs().max().item()
    return difference if difference == difference else float('inf')
