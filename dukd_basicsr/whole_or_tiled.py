"""The whole image at once while memory allows it, else tiles with the same result."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from dukd_basicsr.errors import RunError
from dukd_basicsr.evaluate import Network, super_resolve
from dukd_basicsr.padding import SizeRequirement
from dukd_basicsr.self_ensemble import SelfEnsemble
from dukd_basicsr.teacher import Teacher
from dukd_basicsr.tiling import LEAST, margin_of, super_resolve_tiled


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
