"""Large images in tiles: each with so much of its neighbourhood that the result is that of the whole image.

Exact for networks of convolutions, whose answer depends on a bounded neighbourhood. Global pooling (RCAN) and long
chains of shifted windows (SwinIR) have no such bound: there the tiles differ a little from the whole, and `find_margin`
says so by None.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from dukd_basicsr.networks import padding
from dukd_basicsr.networks.cost import count_bytes, read_free_memory
from dukd_basicsr.networks.padding import PROBE_SIZE, SizeRequirement, super_resolve
from dukd_basicsr.networks.self_ensemble import SelfEnsemble

Progress = Callable[[int, int], object]
"""Called with the tiles done and all of them, after each."""

OVERLAP = 96
"""LR pixels around a tile where nothing bounds what the network sees, or where the bound is larger: Real-ESRGAN's
RRDBNet could see 351, but its tiles differ from the whole by 0.40 of 1/255 at most with 64, and by 0.007 with 96."""
SHARE = 0.5
"""Of the free memory that a forward may take."""
WORKSPACE = 2
"""What a forward takes, in units of its living tensors: convolutions may copy what they read and write."""
LEAST = 32
"""Side of the smallest tile: below, overlaps are all the work."""
_POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Identity, nn.PixelShuffle, nn.Dropout)


def find_margin(net: nn.Module) -> int | None:
    """How far, in LR pixels, a pixel of the output may see: the radii of all convolutions, one after the other.

    An upper bound, since convolutions on enlarged maps see less and parallel ones do not add up. Layers do not tell
    what a forward does between them (a mean over the image) or with them (one convolution ten times): it is tried.

    Args:
        net (nn.Module): Bare.

    Returns:
        int | None: None where a layer sees everything (pooling, attention) or is unknown, or the bound does not hold.
    """
    margin = _sum_radii(net)
    return margin if margin is not None and _holds(net, margin) else None


def _sum_radii(net: nn.Module) -> int | None:
    margin = 0
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            if set(module.stride) != {1} or module.padding_mode != 'zeros':
                return None
            margin += max((side - 1) // 2 * by for side, by in zip(module.kernel_size, module.dilation, strict=True))
        elif not list(module.children()) and not isinstance(module, _POINTWISE) and module is not net:
            return None
    return margin * find_alignment(net) if margin else None  # of folded pixels, each is so many


@torch.no_grad()
def _holds(net: nn.Module, margin: int) -> bool:
    """Whether a NaN in the first column of an image leaves what is further away than `margin` as it is.

    What reads a NaN becomes one, whatever the weights. In float64 on the CPU, where convolutions compute pixel by
    pixel: those of GPUs (Winograd) would spread it over blocks.
    """
    align = find_alignment(net)
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    width = -(-(margin + 2) // align) * align
    lq = torch.zeros(1, first.in_channels // align**2, align, width, dtype=torch.float64)
    lq[..., 0] = torch.nan
    try:
        answer = copy.deepcopy(net).cpu().double()(lq)
    except Exception:  # a network of anyone's, which raises what it likes: nothing is known of it
        return False
    return not bool(answer[..., (margin + 1) * answer.shape[-1] // width :].isnan().any())


def find_alignment(net: nn.Module) -> int:
    """What tiles start at multiples of: windows, and pixels that a network folds into channels first."""
    return padding.find_size_requirement(net).multiple


def find_overlap(net: nn.Module) -> int:
    """LR pixels around a tile, a multiple of the alignment."""
    align, margin = find_alignment(net), find_margin(net)
    return -(-min(OVERLAP if margin is None else margin, OVERLAP) // align) * align


def is_exact(net: nn.Module) -> bool:
    """Whether tiles give the whole image's result, up to rounding."""
    margin = find_margin(net)
    return margin is not None and margin <= OVERLAP


@torch.no_grad()
def fit_tile(net: nn.Module, channels: int, device: torch.device) -> int:
    """The side of an LR tile, its overlap included, whose forward fits into the free memory of the device.

    Args:
        net (nn.Module): On the device; asked once, with a small image of zeros.
        channels (int): Of its input.
        device (torch.device): Where it is.
    """
    side = padding.find_size_requirement(net).padded(PROBE_SIZE)
    answers: list[Tensor] = []
    probe = torch.zeros(1, channels, side, side, device=device)
    living = count_bytes(lambda: answers.append(super_resolve(net, probe)))
    # An exported network is run by onnxruntime, which shows its answer only.
    a_pixel = WORKSPACE * max(living, 2 * answers[0].nbytes) / side**2
    align = find_alignment(net)
    fits = int(math.sqrt(SHARE * read_free_memory(device) / a_pixel)) // align * align
    return max(fits, LEAST, align)


@torch.no_grad()
def super_resolve_tiled(
    net: nn.Module,
    lq: Tensor,
    tile: int,
    overlap: int | None = None,
    progress: Progress | None = None,
    device: torch.device | None = None,
) -> Tensor:
    """Super-resolve an image tile by tile.

    Args:
        net (nn.Module): Eval; (B, C, H, W) to (B, C, s * H, s * W), of sides that it requires.
        lq (Tensor): (B, C, H, W) of any size.
        tile (int): Side of a tile in LR pixels without its overlap; rounded up to the alignment.
        overlap (int | None): LR pixels around it; default: `find_overlap`.
        progress (Callable | None): Called with the tiles done and all of them, after each.
        device (torch.device | None): Where the network is, if not where the image is; each tile is taken there.

    Returns:
        Tensor: (B, C, s * H, s * W) on lq's device.
    """
    align = find_alignment(net)
    tile = -(-max(tile, 1) // align) * align
    overlap = find_overlap(net) if overlap is None else -(-overlap // align) * align
    height, width = lq.shape[-2:]
    corners = [(top, left) for top in range(0, height, tile) for left in range(0, width, tile)]
    result = lq.new_empty(0)
    for number, (top, left) in enumerate(corners, 1):
        above, before = min(overlap, top), min(overlap, left)
        part = lq[..., top - above : top + tile + overlap, left - before : left + tile + overlap]
        output = super_resolve(net, part.to(device)).to(lq.device)
        s = output.shape[-1] // part.shape[-1]
        if number == 1:
            result = output.new_empty(*output.shape[:-2], s * height, s * width)
        rows, columns = min(tile, height - top), min(tile, width - left)
        result[..., s * top : s * (top + rows), s * left : s * (left + columns)] = output[
            ..., s * above : s * (above + rows), s * before : s * (before + columns)
        ]
        if progress:
            progress(number, len(corners))
    return result


class Tiler:
    """One network, asked for images of any size: for the whole where memory allows it, else tile by tile.

    A tile is as large as the free memory should hold, and is halved where a GPU has no memory for it after all.

    Args:
        net (nn.Module): Eval, on the device; a `SelfEnsemble` is asked in tiles by its own network.
        channels (int): Of its input.
        device (torch.device): Where it is. Of an image that is elsewhere only a tile at a time is taken there.
        tile (int | None): Side of the tiles of all larger images in LR pixels; None: what memory allows.
        exact (bool): Whether only tiles that give the whole image's result will do. A network that may look beyond
            any overlap is then asked for whole images, whatever `tile` says.
    """

    def __init__(
        self, net: nn.Module, channels: int, device: torch.device, tile: int | None = None, exact: bool = False
    ) -> None:
        self.net, self.channels, self.device, self.tile, self.exact = net, channels, device, tile, exact
        self._bare = net.net if isinstance(net, SelfEnsemble) else net
        self._halved: dict[torch.Size, int] = {}
        """Side of the tiles of a size of images that was too large, so that no later image tries it again."""

    def __call__(self, lq: Tensor, progress: Progress | None = None) -> tuple[Tensor, bool]:
        """Super-resolve an image.

        Args:
            lq (Tensor): (B, C, H, W) in [0, 1].
            progress (Callable | None): Called with the tiles done and all of them, after each.

        Returns:
            tuple[Tensor, bool]: (B, C, s * H, s * W) on lq's device, and whether it was computed in tiles.

        Raises:
            torch.cuda.OutOfMemoryError: The GPU has no memory for the smallest tile, or tiles would not be exact.
        """
        longest = max(lq.shape[-2:])
        side = self._halved.get(lq.shape) or self._side_for(*lq.shape[-2:])
        # With `tile` already for the first image, which a benchmark does not time.
        overlap = self.overlap if self.tile or side < longest else None
        while True:
            try:
                if side >= longest or overlap is None:
                    output = super_resolve(self.net, lq.to(self.device)).to(lq.device)
                    if progress:
                        progress(1, 1)
                    return output, False
                return self._ask_in_tiles(lq, side, overlap, progress), True
            except torch.cuda.OutOfMemoryError:
                overlap = self.overlap
                if side <= LEAST or overlap is None:
                    raise
            torch.cuda.empty_cache()
            side = self._halved[lq.shape] = min(side, longest) // 2

    @cached_property
    def overlap(self) -> int | None:
        """LR pixels around a tile; None where tiles are not exact and must be."""
        return find_margin(self._bare) if self.exact else find_overlap(self._bare)

    def _side_for(self, height: int, width: int) -> int:
        """Side of the tiles, without overlap, of an image; its longer side where one forward takes it all."""
        if self.tile or height * width <= self._side_that_fits**2:
            return self.tile or max(height, width)
        return max(self._side_that_fits - 2 * (self.overlap or 0), LEAST)

    @cached_property
    def _side_that_fits(self) -> int:
        return fit_tile(self._bare, self.channels, self.device)

    def _ask_in_tiles(self, lq: Tensor, tile: int, overlap: int, progress: Progress | None) -> Tensor:
        if isinstance(self.net, SelfEnsemble):
            return SelfEnsemble(_Tiled(self._bare, tile, overlap))(lq.to(self.device)).to(lq.device)
        return super_resolve_tiled(self.net, lq, tile, overlap, progress, self.device)


class _Tiled(nn.Module):
    """A network that is asked tile by tile, and so for any size."""

    def __init__(self, net: nn.Module, tile: int, overlap: int) -> None:
        super().__init__()
        self.net, self.tile, self.overlap = net, tile, overlap
        self.size_requirement = SizeRequirement()

    def forward(self, lq: Tensor) -> Tensor:
        return super_resolve_tiled(self.net, lq, self.tile, self.overlap)
