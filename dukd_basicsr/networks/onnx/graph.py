"""A torch network as an ONNX graph whose batch, height and width stay free, with the padding for windows inside."""

from __future__ import annotations

import copy
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import window_masks as masks
from dukd_basicsr.networks.build import describe
from dukd_basicsr.networks.padding import SizeRequirement, find_size_requirement

OPSET = 17
"""The first with LayerNormalization, so the oldest that every one of these networks is small in."""
INPUT, OUTPUT = 'lq', 'sr'
TRACED_SIZE = (2, 19, 26)
"""Batch, height and width of the image that is traced; any other would do."""


class Exportable(nn.Module):
    """A copy of a network, with everything that depends on the input's size written in tensors, which a trace keeps.

    A trace freezes what passes through Python numbers: `max`, `int` and `==` of sizes.

    Args:
        net (nn.Module): Left unchanged.
        scale (int): Its enlargement.
    """

    def __init__(self, net: nn.Module, scale: int) -> None:
        super().__init__()
        # A copy, since networks keep what they derive from their input (BasicSR's EDSR its mean).
        self.net = copy.deepcopy(net).cpu().float().eval().requires_grad_(False)
        self.scale = scale
        self.requirement = find_size_requirement(net)
        self.blocks: list[Any] = [block for block in self.net.modules() if 'attn_mask' in block._buffers]
        for block in self.blocks:
            block.input_resolution = _AnySize()  # BasicSR's SwinIR: the mask is taken from attn_mask, never made
            del block._buffers['attn_mask']

    def forward(self, lq: Tensor) -> Tensor:
        """(B, C, H, W) in [0, 1] to (B, C, scale * H, scale * W)."""
        padded = pad(lq, self.requirement)
        self._give_masks(padded)
        output = self.net(padded)
        if self.requirement == SizeRequirement():
            return output
        height, width = (self.scale * _side(lq, dim) for dim in (-2, -1))
        return output[..., :height, :width]

    def _give_masks(self, padded: Tensor) -> None:
        """One mask for all blocks of a window and shift; none where windows are not shifted, as in SwinIR's paper."""
        made: dict[tuple[int, int], Tensor | None] = {(block.window_size, 0): None for block in self.blocks}
        for block in self.blocks:
            key = (block.window_size, block.shift_size)
            if key not in made:
                made[key] = masks.make_window_mask(padded.shape[-2], padded.shape[-1], *key, padded.device)
            block.attn_mask = made[key]


class _AnySize:
    """Equal to every size that BasicSR's SwinIR compares the one it was built for with."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


def pad(lq: Tensor, requirement: SizeRequirement) -> Tensor:
    """`padding.pad` in tensors: the same pixels for every size, images of one pixel too."""
    if requirement == SizeRequirement():
        return lq
    for dim in (-2, -1):
        side = _side(lq, dim)
        multiple = requirement.multiple
        wanted: Any = (side.clamp(min=requirement.minimum) + (multiple - 1)) // multiple * multiple
        period = (2 * (side - 1)).clamp(min=1)
        index = torch.arange(wanted, device=lq.device) % period
        lq = lq.index_select(dim, torch.minimum(index, period - index))
    return lq


def to_onnx(net: nn.Module, scale: int, channels: int) -> Any:
    """Trace a network.

    By the exporter that traces, not by the one of torch.export (`dynamo=True`): it takes 0.1 s where that takes 1 to 6
    for the smallest networks, its interface is the same from torch 2.6 on where the other's has changed with every
    release, and it follows BasicSR's networks, which assign to attributes in `forward` and compare sizes. What a trace
    can get wrong, a size that has become a constant, is what `check.compare` looks for.

    Args:
        net (nn.Module): Left unchanged.
        scale (int): Its enlargement.
        channels (int): Of its input.

    Returns:
        onnx.ModelProto: float32, input 'lq' and output 'sr'.

    Raises:
        UserError: The network does what cannot be written as ONNX.
    """
    import onnx

    batch, height, width = TRACED_SIZE
    example = torch.rand(batch, channels, height, width, generator=torch.Generator().manual_seed(0))
    axes = {0: 'batch', 2: 'height', 3: 'width'}
    try:
        with tempfile.TemporaryDirectory() as folder, _quiet(), torch.no_grad(), _windows_of_any_batch():
            file = str(Path(folder) / 'traced.onnx')
            torch.onnx.export(
                Exportable(net, scale),
                (example,),
                file,
                dynamo=False,
                opset_version=OPSET,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_axes={INPUT: axes, OUTPUT: {0: 'batch', 2: f'{scale}*height', 3: f'{scale}*width'}},
            )
            return onnx.load(file)
    except Exception as error:  # a network of anyone's, which raises what it likes
        raise UserError(f'{type(net).__name__} cannot be written as ONNX ({describe(error)}).') from error


def _side(image: Tensor, dim: int) -> Tensor:
    return torch._shape_as_tensor(image)[dim]


def _window_reverse(windows: Tensor, window_size: int, h: int, w: int) -> Tensor:
    """BasicSR's, which counts the batch in Python numbers."""
    rows, columns = h // window_size, w // window_size
    x = windows.view(-1, rows, columns, window_size, window_size, windows.shape[-1])
    return x.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, h, w, windows.shape[-1])


@contextmanager
def _windows_of_any_batch() -> Iterator[None]:
    """Put `_window_reverse` into BasicSR's SwinIR for the time of a trace."""
    from basicsr.archs import swinir_arch

    stock = swinir_arch.window_reverse
    swinir_arch.window_reverse = _window_reverse
    try:
        yield
    finally:
        swinir_arch.window_reverse = stock


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the tracer's warnings of what might become constant (it is checked), and torch's of its own exporter."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield
