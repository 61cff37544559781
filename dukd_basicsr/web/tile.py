"""How large the tiles are that a browser computes at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from dukd_basicsr.networks.cost import count_bytes, count_macs
from dukd_basicsr.networks.padding import find_size_requirement, super_resolve
from dukd_basicsr.networks.tiling import WORKSPACE, find_alignment, find_overlap

MEMORY = 2**29
"""Bytes of a tile's forward: WebAssembly can have 4 GiB at most, telephones give it less."""
MACS = 4 * 10**9
"""Of a tile: about a second on one thread, so that the progress bar moves."""
LARGEST, LEAST = 256, 32
"""Sides without overlap."""
_PROBE = 32


def find_web_overlap(net: nn.Module) -> int:
    """LR pixels around a tile: what the network sees, and the two that bicubic beside it sees."""
    align = find_alignment(net)
    return max(find_overlap(net), -(-2 // align) * align)


def find_tile(net: nn.Module, channels: int) -> int:
    """The side of a tile in LR pixels, without its overlap; a multiple of what tiles start at.

    Args:
        net (nn.Module): On the CPU; asked once, with a small image of zeros.
        channels (int): Of its input.
    """
    side = find_size_requirement(net).padded(_PROBE)
    answers: list[Tensor] = []
    living = count_bytes(lambda: answers.append(super_resolve(net, torch.zeros(1, channels, side, side))))
    bytes_a_pixel = WORKSPACE * max(living, 2 * answers[0].nbytes) / side**2
    macs_a_pixel = max(count_macs(net, side, side, channels), 1) / side**2
    whole = math.sqrt(min(MEMORY / bytes_a_pixel, MACS / macs_a_pixel))
    overlap, align = find_web_overlap(net), find_alignment(net)
    # Where the overlap leaves no room, tiles of its size: smaller ones would be overlap almost alone.
    tile = min(max(whole - 2 * overlap, overlap, LEAST), LARGEST)
    return max(int(tile) // align, 1) * align
