"""The teacher's file, recognised: which network it is, how well it enlarges the photographs, and how fast it is."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dukd_basicsr.commands.distill.photographs import Photograph, read_middle
from dukd_basicsr.commands.distill.students import Figures, count_figures
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.acceleration import find_device
from dukd_basicsr.networks.deploy import deploy_checked
from dukd_basicsr.networks.open_network import Opened, open_network
from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.resize import imresize

SCALES = (2, 3, 4, 8)
"""Those that `basicsr prepare` makes."""
CROPS, SIDE = 4, 64
"""Photographs that the teacher is tried on, and the side of the LR image of each at most."""
_ASSUMED: dict[str, Sequence[float]] = {'img_range': (255.0, 1.0, 2.0), 'res_scale': (1.0, 0.1)}
"""Arguments that no checkpoint says, and the values that are tried."""


@dataclass(frozen=True)
class Teacher:
    """What is known of the teacher."""

    path: Path
    network: dict[str, Any]
    """`network_t`."""
    title: str
    """Name of the architecture."""
    scale: int
    figures: Figures
    psnr: float
    """RGB, on crops of photographs that are held out, in dB."""
    bicubic: float
    """The same for bicubic enlargement."""
    seconds: float
    """Of a forward, for each pixel of the LR image."""
    notes: tuple[str, ...]

    def describe(self) -> str:
        """A line about it."""
        return f'{self.title} x{self.scale}, {self.figures.describe()}'


def recognise(path: Path, opt: Path | None) -> Opened:
    """Open the teacher's file, and refuse what cannot teach.

    Raises:
        UserError: Nobody recognises it, it is an exported file, does not enlarge, or not in colour.
    """
    if path.suffix.lower() == '.onnx':
        raise UserError(f'{path} is an exported file; give the checkpoint that it was exported from.')
    opened = open_network(path, opt)
    if opened.scale not in SCALES:
        raise UserError(
            f'{path}: its network enlarges {opened.scale} times; teachers of {", ".join(map(str, SCALES[:-1]))} or '
            f'{SCALES[-1]} times are distilled.'
        )
    if opened.channels != 3:
        raise UserError(
            f'{path}: its network is of {opened.channels} channel{"s" * (opened.channels > 1)}; only networks of RGB '
            'images are distilled.'
        )
    return opened


def try_out(opened: Opened, photographs: Sequence[Photograph]) -> Teacher:
    """Let the teacher enlarge parts of photographs, and set what its file does not say so that it does that best.

    Args:
        opened (Opened): From `recognise`.
        photographs (Sequence[Photograph]): Held out; the first few are used.
    """
    pairs = [_make_pair(each.path, opened.scale) for each in photographs[:CROPS]]
    network, net = dict(opened.network or {'type': 'Spandrel'}), opened.net
    notes = opened.notes
    assumed = [name for name in _ASSUMED if name in network and any(name in note for note in notes)]
    if assumed:
        network |= _find_assumed(net, assumed, pairs)
        values = ', '.join(f'{name} {network[name]:g}' for name in assumed)
        notes = (f'{values}: the file does not say it; so it enlarges your photographs best.',)
    psnr, seconds = _measure(net.to(find_device()), pairs)
    bicubic = sum(_compare(imresize(lq, opened.scale), gt, opened.scale) for lq, gt in pairs) / len(pairs)
    net.cpu()
    title = getattr(net, 'architecture', network['type'])
    figures = count_figures(net, deploy_checked(net, opened.channels).net, opened.scale)
    return Teacher(opened.weights, network, str(title), opened.scale, figures, psnr, bicubic, seconds, notes)


def _make_pair(path: Path, scale: int) -> tuple[Tensor, Tensor]:
    """LR, rounded to 8 bits, and HR of the middle of a photograph: (1, 3, H, W) in [0, 1]."""
    rgb = read_middle(path, SIDE * scale, scale)[..., ::-1].copy()
    gt = torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255
    return (imresize(gt, 1 / scale) * 255).round().clamp(0, 255) / 255, gt


def _find_assumed(net: nn.Module, names: Sequence[str], pairs: Sequence[tuple[Tensor, Tensor]]) -> dict[str, Any]:
    """Of the values that a file does not say, those with the best answers; the network is left with them."""
    best, found = -math.inf, dict[str, Any]()
    for values in itertools.product(*(_ASSUMED[name] for name in names)):
        tried = dict(zip(names, values, strict=True))
        _set(net, tried)
        psnr = sum(_compare(super_resolve(net, lq), gt, gt.shape[-1] // lq.shape[-1]) for lq, gt in pairs)
        if psnr > best:
            best, found = psnr, tried
    _set(net, found)
    return found


def _set(net: nn.Module, values: dict[str, Any]) -> None:
    """Give arguments to a network that has been built, wherever a part of it keeps them."""
    for module in net.modules():
        for name, value in values.items():
            if hasattr(module, name):
                setattr(module, name, value)


def _measure(net: nn.Module, pairs: Sequence[tuple[Tensor, Tensor]]) -> tuple[float, float]:
    """Mean PSNR, and seconds for a pixel of LR after one warm-up."""
    device = find_device()
    super_resolve(net, pairs[0][0].to(device))
    psnr, seconds, pixels = 0.0, 0.0, 0
    for lq, gt in pairs:
        started = time.perf_counter()
        answer = super_resolve(net, lq.to(device)).cpu()
        seconds += time.perf_counter() - started
        pixels += lq.shape[-1] * lq.shape[-2]
        psnr += _compare(answer, gt, gt.shape[-1] // lq.shape[-1])
    return psnr / len(pairs), seconds / pixels


def _compare(answer: Tensor, gt: Tensor, border: int) -> float:
    """PSNR in RGB without the border, capped at 99 dB."""
    inner = (..., slice(border, -border), slice(border, -border))
    error = (answer.clamp(0, 1)[inner] - gt[inner]).square().mean().item()
    return -10 * math.log10(max(error, 1e-10)) if math.isfinite(error) else -math.inf
