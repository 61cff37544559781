"""Large images in tiles: each with so much of its neighbourhood that the result is that of the whole image.

Exact for networks of convolutions, whose answer depends on a bounded neighbourhood. Global pooling (RCAN) and long
chains of shifted windows (SwinIR) have no such bound: there the tiles differ a little from the whole, and `margin_of`
says so by None.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from dukd_basicsr.distillation.teacher import Teacher
from dukd_basicsr.errors import RunError
from dukd_basicsr.evaluation.benchmark.measure import Network, super_resolve
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.padding import SizeRequirement
from dukd_basicsr.networks.self_ensemble import SelfEnsemble

OVERLAP = 96
"""LR pixels around a tile where nothing bounds what the network sees, or where the bound is larger: Real-ESRGAN's
RRDBNet could see 351, but its tiles differ from the whole by 0.40 of 1/255 at most with 64, and by 0.007 with 96."""
SHARE = 0.5
"""Of the free memory that a forward may take."""
PROBE_SIZE = 16
LEAST = 32
"""Side of the smallest tile: below, overlaps are all the work."""
_POINTWISE = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Identity, nn.PixelShuffle, nn.Dropout)


def margin_of(net: nn.Module) -> int | None:
    """How far, in LR pixels, a pixel of the output may see: the radii of all convolutions, one after the other.

    An upper bound, since convolutions on enlarged maps see less and parallel ones do not add up. Layers do not tell
    what a forward does between them (a mean over the image) or with them (one convolution ten times): it is tried.

    Args:
        net (nn.Module): Bare.

    Returns:
        int | None: None where a layer sees everything (pooling, attention) or is unknown, or the bound does not hold.
    """
    margin = _sum_of_radii(net)
    return margin if margin is not None and _holds(net, margin) else None


def _sum_of_radii(net: nn.Module) -> int | None:
    margin = 0
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            if set(module.stride) != {1} or module.padding_mode != 'zeros':
                return None
            margin += max((side - 1) // 2 * by for side, by in zip(module.kernel_size, module.dilation, strict=True))
        elif not list(module.children()) and not isinstance(module, _POINTWISE) and module is not net:
            return None
    return margin * alignment_of(net) if margin else None  # of folded pixels, each is so many


@torch.no_grad()
def _holds(net: nn.Module, margin: int) -> bool:
    """Whether a NaN in the first column of an image leaves what is further away than `margin` as it is.

    What reads a NaN becomes one, whatever the weights. In float64 on the CPU, where convolutions compute pixel by
    pixel: those of GPUs (Winograd) would spread it over blocks.
    """
    align = alignment_of(net)
    first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
    width = -(-(margin + 2) // align) * align
    lq = torch.zeros(1, first.in_channels // align**2, align, width, dtype=torch.float64)
    lq[..., 0] = torch.nan
    try:
        answer = copy.deepcopy(net).cpu().double()(lq)
    except Exception:  # a network of anyone's, which raises what it likes: nothing is known of it
        return False
    return not bool(answer[..., (margin + 1) * answer.shape[-1] // width :].isnan().any())


def alignment_of(net: nn.Module) -> int:
    """What tiles start at multiples of: windows, and pixels that a network folds into channels first."""
    return padding.size_requirement(net).multiple


def overlap_of(net: nn.Module) -> int:
    """LR pixels around a tile, a multiple of the alignment."""
    align, margin = alignment_of(net), margin_of(net)
    return -(-min(OVERLAP if margin is None else margin, OVERLAP) // align) * align


def is_exact(net: nn.Module) -> bool:
    """Whether tiles give the whole image's result, up to rounding."""
    margin = margin_of(net)
    return margin is not None and margin <= OVERLAP


@torch.no_grad()
def tile_that_fits(net: nn.Module, channels: int, device: torch.device) -> int:
    """The side of an LR tile, its overlap included, whose forward fits into the free memory of the device.

    Args:
        net (nn.Module): On the device; asked once, with a small input, for the sizes of its maps.
        channels (int): Of its input.
        device (torch.device): Where it is.
    """
    largest = 1

    def see(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal largest
        if isinstance(output, Tensor):
            largest = max(largest, output.numel())

    handles = [module.register_forward_hook(see) for module in net.modules()]
    try:
        side = padding.size_requirement(net).padded(PROBE_SIZE)
        padding.forward(net, torch.zeros(1, channels, side, side, device=device), padding.size_requirement(net))
    finally:
        for handle in handles:
            handle.remove()
    a_pixel = 4 * 4 * largest / side**2  # float32; input, output, a residual and a convolution's workspace of that size
    align = alignment_of(net)
    fits = int(math.sqrt(SHARE * _free_memory(device) / a_pixel)) // align * align
    return max(fits, LEAST, align)


@torch.no_grad()
def super_resolve_tiled(
    net: nn.Module,
    lq: Tensor,
    tile: int,
    overlap: int | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> Tensor:
    """Super-resolve an image tile by tile.

    Args:
        net (nn.Module): Eval; (B, C, H, W) to (B, C, s * H, s * W), of sides that it requires.
        lq (Tensor): (B, C, H, W) of any size.
        tile (int): Side of a tile in LR pixels without its overlap; rounded up to the alignment.
        overlap (int | None): LR pixels around it; default: `overlap_of`.
        progress (Callable | None): Called with the tiles done and all of them, after each.

    Returns:
        Tensor: (B, C, s * H, s * W) on lq's device.
    """
    align, requirement = alignment_of(net), padding.size_requirement(net)
    tile = -(-max(tile, 1) // align) * align
    overlap = overlap_of(net) if overlap is None else -(-overlap // align) * align
    height, width = lq.shape[-2:]
    corners = [(top, left) for top in range(0, height, tile) for left in range(0, width, tile)]
    result: Tensor | None = None
    for number, (top, left) in enumerate(corners, 1):
        above, before = min(overlap, top), min(overlap, left)
        part = lq[..., top - above : top + tile + overlap, left - before : left + tile + overlap]
        output = padding.forward(net, part, requirement)
        s = output.shape[-1] // part.shape[-1]
        if result is None:
            result = output.new_empty(*output.shape[:-2], s * height, s * width)
        rows, columns = min(tile, height - top), min(tile, width - left)
        result[..., s * top : s * (top + rows), s * left : s * (left + columns)] = output[
            ..., s * above : s * (above + rows), s * before : s * (before + columns)
        ]
        if progress:
            progress(number, len(corners))
    assert result is not None  # noqa: S101  an image has a pixel
    return result


def _free_memory(device: torch.device) -> int:
    if device.type == 'cuda':
        return torch.cuda.mem_get_info(device)[0]
    try:  # sysconf counts what holds the files that were read last as taken
        lines = Path('/proc/meminfo').read_text(encoding='ascii').splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith('MemAvailable:'))
    except (OSError, StopIteration):  # not on every system
        return 2**31


class WholeOrTiled:
    """How a benchmark asks a network for an image.

    Only networks whose outputs depend on a bounded neighbourhood are asked in tiles, each with all of it around:
    every other network (global pooling, windows) is asked for the whole image, whatever `tile` says.

    Args:
        tile (int | None): LR images with a longer side are computed in tiles of this side; None: only those that the
            GPU has no memory for.
    """

    def __init__(self, tile: int | None = None) -> None:
        self.tile = tile
        self.margins: dict[str, int | None] = {}
        self.fitting: dict[tuple[str, torch.Size], int] = {}
        """Side of the tiles of an image that was too large, so that no timed forward tries it again."""

    def __call__(self, network: Network, lq: Tensor) -> tuple[Tensor, bool]:
        """(1, C, H, W) to the network's output, and whether it was computed in tiles.

        Raises:
            RunError: The GPU has not enough memory, and tiles would not help or would change the result.
        """
        key, longest = (network.name, lq.shape), max(lq.shape[-2:])
        side = self.fitting.get(key, min(self.tile or longest, longest))
        # With `tile` already for the first image, which is not timed.
        margin = self._margin(network) if self.tile or side < longest else None
        while True:
            try:
                if margin is None or side >= longest:
                    return super_resolve(network.net, lq), False
                return _in_tiles(network.net, side, margin)(lq), True
            except torch.cuda.OutOfMemoryError:
                margin = self._margin(network)
                if margin is None or side <= LEAST:
                    raise RunError(
                        f'{network.name}: the GPU has not enough memory for an LR image of {lq.shape[-1]}x'
                        f'{lq.shape[-2]}, and tiles cannot give the same result with less; write num_gpu: 0 to '
                        'measure on the CPU.'
                    ) from None
            torch.cuda.empty_cache()
            side = self.fitting[key] = side // 2

    def _margin(self, network: Network) -> int | None:
        """LR pixels around a tile that make it exact; None where no number does."""
        if network.name not in self.margins:
            self.margins[network.name] = margin_of(_bare(network.net))
        return self.margins[network.name]


class _Tiled(nn.Module):
    """A network that is asked tile by tile, and so for any size."""

    def __init__(self, net: nn.Module, tile: int, margin: int) -> None:
        super().__init__()
        self.net, self.tile, self.margin = net, tile, margin
        self.size_requirement = SizeRequirement()

    def forward(self, lq: Tensor) -> Tensor:
        return super_resolve_tiled(self.net, lq, self.tile, self.margin)


def _in_tiles(net: nn.Module, tile: int, margin: int) -> nn.Module:
    tiled = _Tiled(_bare(net), tile, margin)
    return SelfEnsemble(tiled) if isinstance(net, SelfEnsemble) else tiled


def _bare(net: nn.Module) -> nn.Module:
    """What a teacher or a self-ensemble asks."""
    while isinstance(net, (SelfEnsemble, Teacher)):
        net = net.net
    return net
