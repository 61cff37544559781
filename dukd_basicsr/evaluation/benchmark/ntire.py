"""What NTIRE's challenge on efficient super-resolution tells of a network: cost for an input of 256x256."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from dukd_basicsr.errors import format_count
from dukd_basicsr.evaluation.benchmark.measure import Network, read_clock
from dukd_basicsr.evaluation.benchmark.report import align
from dukd_basicsr.networks.cost import count_macs, count_parameters
from dukd_basicsr.networks.padding import super_resolve

SIDE = 256
"""Of the LR input."""
SMALL = 64
"""Side of the real input that stands in for it where a network cannot be asked without values."""
MOST_PASSES, ENOUGH_SECONDS = 10, 5.0
"""Timed are at most so many forward passes, and none is begun after so many seconds."""


@dataclass(frozen=True)
class Cost:
    """One network's line; None where a network does not tell (bicubic, exported files)."""

    name: str
    params: int | None
    macs: int | None
    """Multiply-accumulates of convolutions and matrix products, which the challenge's papers call FLOPs."""
    activations: int | None
    """Elements of the outputs of all convolutions."""
    convolutions: int | None
    """How many are computed, one that is used twice counted twice."""
    ms: float
    """The mean of the timed passes."""


def measure_costs(networks: Sequence[Network], device: torch.device) -> list[Cost]:
    """The challenge's numbers of every network, as it is deployed.

    Args:
        networks (Sequence[Network]): On `device`.
        device (torch.device): Where they are timed.
    """
    return [_measure(network, device) for network in networks]


def count_convolutions(net: nn.Module, height: int, width: int, channels: int) -> tuple[int, int]:
    """The convolutions of one forward pass and the elements of their outputs.

    Counted on the meta device where the network allows it, else on a small image whose elements are scaled by the area.

    Args:
        net (nn.Module): Left unchanged.
        height (int): Of the LR input.
        width (int): Of the LR input.
        channels (int): Of the input.

    Returns:
        tuple[int, int]: How many, and elements.
    """
    try:
        return _count(copy.deepcopy(net).to('meta'), torch.zeros(1, channels, height, width, device='meta'))
    except (RuntimeError, TypeError, ValueError):  # a value was asked of a tensor that has none
        found, elements = _count(copy.deepcopy(net).to('cpu'), torch.zeros(1, channels, SMALL, SMALL))
        return found, round(elements * height * width / SMALL**2)


def to_json(costs: Sequence[Cost]) -> list[dict[str, Any]]:
    """For benchmark.json, under 'ntire'."""
    return [asdict(cost) for cost in costs]


def format_costs(costs: Sequence[Cost]) -> str:
    """The table and what it is, for the eye."""
    lines = [['network', 'params', 'FLOPs', 'activations', 'convolutions', 'ms']]
    for cost in costs:
        counts = [format_count(number) for number in (cost.params, cost.macs, cost.activations)]
        convolutions = '-' if cost.convolutions is None else str(cost.convolutions)
        lines.append([cost.name.replace('|', r'\|'), *counts, convolutions, f'{cost.ms:.1f}'])
    return (
        f"NTIRE's columns, for one input of {SIDE}x{SIDE}. FLOPs are multiply-accumulates, as in its papers; "
        'activations are the elements that convolutions put out; ms is the mean of up to '
        f'{MOST_PASSES} forward passes after a warm-up.\n\n{align(lines)}'
    )


def _measure(network: Network, device: torch.device) -> Cost:
    params, size = count_parameters(network.net), (SIDE, SIDE, network.channels)
    milliseconds = _time(network.net, torch.rand(1, network.channels, SIDE, SIDE, device=device))
    if not params:
        source = getattr(network.net, 'metadata', None)  # an exported file says what it was made from
        return Cost(network.name, source.params if source else None, None, None, None, milliseconds)
    convolutions, activations = count_convolutions(network.net, *size)
    return Cost(network.name, params, count_macs(network.net, *size), activations, convolutions, milliseconds)


def _time(net: nn.Module, lq: Tensor) -> float:
    """Milliseconds of a forward pass."""
    super_resolve(net, lq)
    seconds: list[float] = []
    while len(seconds) < MOST_PASSES and sum(seconds) < ENOUGH_SECONDS:
        start = read_clock(lq.device)
        super_resolve(net, lq)
        seconds.append(read_clock(lq.device) - start)
    return 1000 * sum(seconds) / len(seconds)


def _count(net: nn.Module, lq: Tensor) -> tuple[int, int]:
    with _Convolutions() as counter:
        super_resolve(net, lq)
    return counter.found, counter.elements


class _Convolutions(TorchDispatchMode):
    """Counts convolutions wherever they come from: modules, or functions with weights that a network has merged."""

    def __init__(self) -> None:
        super().__init__()
        self.found = self.elements = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in (torch.ops.aten.convolution.default, torch.ops.aten._convolution.default):
            self.found += 1
            self.elements += result.numel()
        return result
