"""Taps: what modules inside a network answer, read by their path, without a change to the network."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dukd_basicsr.errors import UserError, did_you_mean
from dukd_basicsr.networks import padding

DEFAULT_PAIRS = 3
"""Taps of each network where the options name none: as many as FAKD's published code compares.

Their places differ. That code cuts a body of N blocks after floor(N / 3) and floor(2 N / 3) of them, `choose_pairs`
after ceil(N / 3) and ceil(2 N / 3): of EDSR's 32 blocks theirs are body.9 and body.20, ours body.10 and body.21; of
RCAN's 10 groups theirs are body.2 and body.6, ours body.3 and body.6. Its third is the convolution after the body, to
which it adds the input of the body in place before the comparison; ours is the last block.
"""


@dataclass
class _Pass:
    """One pass through the network, of which the first samples are wanted."""

    size: torch.Size
    """Of the network's input, padding included."""
    dtype: torch.dtype
    wanted: int
    maps: dict[str, Tensor] = field(default_factory=dict)


class Taps:
    """Forward hooks on some modules of a network. They keep nothing but during `reading`.

    Maps are copies: stock EDSR adds to its convolution's output in place (`res += x`), after the hook has seen it.
    Tokens (B, H * W, C), as in SwinIR's layers, are laid out as maps.

    Args:
        net (nn.Module): Bare, not wrapped for several devices.
        paths (Sequence[str]): Modules by their dotted names, e.g. 'body.31'.
        key (str): The option that names them, for messages.

    Raises:
        UserError: There is no such module.

    Examples:
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 12, 3, padding=1), nn.PixelShuffle(2))
        >>> taps = Taps(net, ['0'], 'taps')
        >>> with taps.record(samples=1):
        ...     output = net(torch.zeros(2, 3, 8, 8))
        ...     taps.read('0', (8, 8)).shape
        torch.Size([1, 4, 8, 8])
    """

    def __init__(self, net: nn.Module, paths: Sequence[str], key: str) -> None:
        self.key = key
        self._left = 0
        self._passes: list[_Pass] = []
        self._current: _Pass | None = None
        modules = dict(net.named_modules())
        for path in paths:
            if not path or path not in modules:
                known = modules if difflib.get_close_matches(path, modules, n=1) else dict(net.named_children())
                raise UserError(f'{key}: {type(net).__name__} has no module "{path}".{did_you_mean(path, known)}')
        net.register_forward_pre_hook(self._enter)
        for path in dict.fromkeys(paths):
            modules[path].register_forward_hook(partial(self._keep, path))

    @contextmanager
    def record(self, samples: int) -> Iterator[None]:
        """Keep what the taps answer to the first so many samples that enter the network."""
        self._left, self._passes = samples, []
        try:
            yield
        finally:
            self._left, self._passes, self._current = 0, [], None

    def read(self, path: str, size: Sequence[int]) -> Tensor:
        """The map of one tap, (B, C, h, w), with its graph where there is one; inside `reading` only.

        Args:
            path (str): The module.
            size (Sequence[int]): The input's sides before it was padded; the map is cut in proportion.

        Raises:
            UserError: The module was not called.
        """
        found = [_crop(each.maps[path], each.size, size) for each in self._passes if path in each.maps]
        if not found or len(found) != len(self._passes):
            raise UserError(
                f'{self.key}: the network does not call its module "{path}" as such; tap a module around '
                'it, or one inside.'
            )
        return torch.cat(found) if len(found) > 1 else found[0]

    def _enter(self, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._current = None
        if self._left:
            x = inputs[0]
            self._current = _Pass(x.shape[-2:], x.dtype, min(self._left, x.shape[0]))
            self._left -= self._current.wanted
            self._passes.append(self._current)

    def _keep(self, path: str, _: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        current = self._current
        if current is not None and path not in current.maps:
            current.maps[path] = _copy_as_map(output, current, f'{self.key}: "{path}"')


def _copy_as_map(output: Any, current: _Pass, what: str) -> Tensor:
    """A copy of the wanted samples as (B, C, h, w), as precise as the network's input, whatever autocast did."""
    height, width = current.size
    if isinstance(output, Tensor) and output.ndim == 4:
        return output[: current.wanted].to(current.dtype, copy=True)
    if isinstance(output, Tensor) and output.ndim == 3 and output.shape[1] == height * width:
        tokens = output[: current.wanted].to(current.dtype, copy=True)
        return tokens.transpose(1, 2).unflatten(2, (height, width))
    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
    raise UserError(
        f'{what} answers {shape}, but a tap is read as a map (B, C, H, W) or as tokens (B, H * W, C); tap '
        'another module.'
    )


def _crop(tap: Tensor, padded: Sequence[int], size: Sequence[int]) -> Tensor:
    """Cut what padding has added, in proportion to the map's own size."""
    height, width = (-(-side * wanted // full) for side, wanted, full in zip(tap.shape[-2:], size, padded, strict=True))
    return tap[..., :height, :width]


@torch.no_grad()
def find_shapes(net: nn.Module, taps: Taps, paths: Sequence[str], probe: Tensor) -> list[torch.Size]:
    """The shape (C, h, w) of each tap's map, from asking the network once.

    Args:
        net (nn.Module): Bare; in the mode it was afterwards.
        taps (Taps): Its taps.
        paths (Sequence[str]): Which of them.
        probe (Tensor): A small image, (1, C, H, W).
    """
    mode = net.training
    net.eval()
    with taps.record(1):
        padding.forward(net, probe, padding.find_size_requirement(net))
        found = [taps.read(path, probe.shape[-2:]).shape[1:] for path in paths]
    net.train(mode)
    return found


def choose_pairs(student: nn.Module, teacher: nn.Module, pairs: int = DEFAULT_PAIRS) -> tuple[list[str], list[str]]:
    """Taps at the same relative depths of both bodies: for three pairs after 1/3, 2/3 and all of the blocks.

    Args:
        student (nn.Module): Bare.
        teacher (nn.Module): Bare.
        pairs (int): How many; less where a body has fewer blocks.

    Returns:
        tuple: Paths in the student and in the teacher, as many.
    """
    bodies = [find_blocks(student), find_blocks(teacher)]
    count = min(pairs, *map(len, bodies))
    ours, theirs = ([body[-(-len(body) * (n + 1) // count) - 1] for n in range(count)] for body in bodies)
    return ours, theirs


def find_blocks(net: nn.Module) -> list[str]:
    """Paths of the blocks of a network's main body: `body.0` ... of EDSR and RCAN, `layers.0` ... of SwinIR.

    The body is the longest list (ModuleList or Sequential) nearest to the root; of several, one of equal blocks that
    have layers of their own goes before a mere row of layers, such as an upsampler.
    """
    depth = 0
    lists: list[tuple[str, nn.Module]] = []
    modules = list(net.named_modules())
    while not lists and depth < max(name.count('.') for name, _ in modules) + 1:
        here = [(name, module) for name, module in modules if name and name.count('.') == depth]
        lists = [found for found in here if isinstance(found[1], (nn.ModuleList, nn.Sequential)) and len(found[1])]
        depth += 1
    if not lists:
        return []
    name, body = max(lists, key=lambda found: (_consists_of_blocks(found[1]), len(list(found[1].children()))))
    return [f'{name}.{child}' for child, _ in body.named_children()]


def _consists_of_blocks(body: nn.Module) -> bool:
    children = list(body.children())
    return len({type(child) for child in children}) == 1 and any(True for _ in children[0].children())
