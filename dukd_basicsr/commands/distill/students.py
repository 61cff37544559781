"""The students that `basicsr distill` can make: sound widths and depths of each architecture, and the choice of one."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from dukd_basicsr.commands.distill.request import Goal
from dukd_basicsr.errors import UserError, format_count
from dukd_basicsr.networks.acceleration import find_device
from dukd_basicsr.networks.build import build
from dukd_basicsr.networks.cost import OUTPUT_HEIGHT, OUTPUT_WIDTH, count_macs, count_parameters, find_lr_size
from dukd_basicsr.networks.deploy import deploy
from dukd_basicsr.networks.padding import super_resolve

REACH = 2.0
"""How many times larger or smaller than asked for the nearest student may be."""
OF_PARAMETERS, LEAST_RATE = 70_000, 2e-4
"""Larger students than the first get a lower rate, by the square root of their size, but at least the second."""
Arguments = dict[str, Any]


@dataclass(frozen=True)
class Family:
    """One architecture in its sizes."""

    make: Callable[[int, int, int], Arguments]
    """From width, depth and scale to `network_g`."""
    sizes: Sequence[tuple[int, int]]
    """Widths and depths. Depth grows with width, as it does in published networks: a wide and shallow network, or a
    narrow and deep one, is worse than what lies between."""
    tag: str
    """Of a size, in names: '{width}' and '{depth}' are filled in."""
    rate: float
    """The first learning rate of sizes up to OF_PARAMETERS, from short runs: those of docs/study for EDSR, those of
    docs/distill.md for the others."""


@dataclass(frozen=True)
class Figures:
    """What a network costs."""

    params: int
    """As it is deployed, the blocks of networks that train with more folded."""
    macs: int
    """Multiply-accumulates for a 1280x720 output."""
    trained_params: int
    """As it is trained."""
    ms: float | None = None
    """Milliseconds for a 1280x720 output on this machine; None where it was not measured."""

    def describe(self) -> str:
        """E.g. '78.3 K parameters, 17.9 G multiply-accumulates'."""
        trained = f' ({format_count(self.trained_params)} in training)' if self.trained_params != self.params else ''
        time_taken = '' if self.ms is None else f', {self.ms:.1f} ms'
        macs = f'{format_count(self.macs)} multiply-accumulates'
        return f'{format_count(self.params)} parameters{trained}, {macs}{time_taken}'


@dataclass(frozen=True)
class Student:
    """A student that was chosen."""

    name: str
    """Architecture, scale and size, e.g. 'compact_x2_f24c8'; the name of the run."""
    scale: int
    network: Arguments
    """`network_g` of its options file."""
    rate: float
    """The first learning rate of its training."""
    figures: Figures


def _make_edsr(width: int, depth: int, scale: int) -> Arguments:
    ends = {'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': width, 'num_block': depth, 'upscale': scale}
    return {'type': 'EDSR', **ends, 'res_scale': 1, 'img_range': 255.0, 'rgb_mean': [0.4488, 0.4371, 0.4040]}


def _make_compact(width: int, depth: int, scale: int) -> Arguments:
    ends = {'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': width, 'num_conv': depth, 'upscale': scale}
    return {'type': 'SRVGGNetCompact', **ends, 'act_type': 'prelu'}


def _make_ecbsr(width: int, depth: int, scale: int) -> Arguments:
    ends = {'num_in_ch': 3, 'num_out_ch': 3, 'num_block': depth, 'num_channel': width}
    return {'type': 'ECBSR', **ends, 'with_idt': False, 'act_type': 'prelu', 'scale': scale}


def _make_span(width: int, depth: int, scale: int) -> Arguments:
    ends = {'num_in_ch': 3, 'num_out_ch': 3, 'feature_channels': width, 'upscale': scale}
    return {'type': 'SPAN', **ends, 'norm': True, 'img_range': 255.0, 'rgb_mean': [0.4488, 0.4371, 0.4040]}


FAMILIES: dict[str, Family] = {
    'edsr': Family(
        _make_edsr,
        ((8, 2), (12, 2), (16, 2), (16, 4), (24, 4), (32, 4), (32, 8), (48, 8), (64, 8), (64, 16), (64, 32), (96, 32)),
        'f{width}b{depth}',
        rate=4e-3,
    ),
    'compact': Family(
        _make_compact,
        ((8, 4), (12, 4), (16, 4), (16, 8), (24, 8), (32, 8), (32, 16), (48, 16), (64, 16), (64, 32), (96, 32)),
        'f{width}c{depth}',
        rate=2e-3,
    ),
    'ecbsr': Family(
        _make_ecbsr,
        ((8, 4), (12, 4), (16, 4), (16, 6), (16, 10), (24, 10), (32, 10), (48, 10), (48, 16), (64, 16), (96, 16)),
        'c{width}m{depth}',
        rate=1e-3,
    ),
    'span': Family(
        _make_span,
        ((12, 6), (16, 6), (20, 6), (24, 6), (28, 6), (32, 6), (40, 6), (48, 6), (64, 6)),
        'f{width}',
        rate=2e-3,
    ),
}
"""By the name that --student takes. ECBSR's are around the published M4C8, M4C16, M10C16, M10C32 and M16C64, SPAN's
around its 48 channels and the challenge's 28; its depth is fixed."""


def count_figures(net: nn.Module, deployed: nn.Module, scale: int) -> Figures:
    """Parameters and multiply-accumulates of a network, as it is deployed.

    Args:
        net (nn.Module): Of three channels, on the CPU; left unchanged, as is the next.
        deployed (nn.Module): What `networks.deploy` makes of it.
        scale (int): Its enlargement.
    """
    macs = count_macs(deployed, *find_lr_size(scale))
    return Figures(count_parameters(deployed), macs, count_parameters(net))


def choose_student(kind: str, scale: int, goal: Goal, teacher: Figures) -> Student:
    """The student of an architecture that is nearest to a size, by the ratio of the two.

    Args:
        kind (str): A key of FAMILIES.
        scale (int): Enlargement.
        goal (Goal): The size.
        teacher (Figures): For `--times`, and as a limit: a student must be smaller in one of the two figures.

    Raises:
        UserError: No student of the architecture comes within REACH of the size, or the nearest is no smaller than the
            teacher.
    """
    family = FAMILIES[kind]
    networks = [family.make(width, depth, scale) for width, depth in family.sizes]
    trained = [build(network).eval() for network in networks]
    nets = [deploy(net) for net in trained]
    figures = [count_figures(*pair, scale) for pair in zip(trained, nets, strict=True)]
    order = sorted(range(len(nets)), key=lambda number: figures[number].macs)
    wanted = teacher.params / goal.value if goal.kind == 'times' else goal.value
    if goal.kind == 'ms':
        number, found = _search_time([nets[number] for number in order], wanted, scale)
        chosen, values = order[number], list(found.values())
    else:
        values = [float(each.macs if goal.kind == 'macs' else each.params) for each in figures]
        chosen = min(order, key=lambda number: abs(math.log(values[number] / wanted)))
        found = {}
    reached = found[number] if found else values[chosen]
    width, depth = family.sizes[chosen]
    name = f'{kind}_x{scale}_{family.tag.format(width=width, depth=depth)}'
    if max(reached / wanted, wanted / reached) > REACH:
        raise UserError(_say_out_of_reach(kind, scale, goal, wanted, min(values), max(values)))
    cost = figures[chosen]
    if cost.params >= teacher.params and cost.macs >= teacher.macs:
        raise UserError(
            f'{name}, the nearest student to --{goal.kind} {goal.value:g}, has {cost.describe()}, which is no smaller '
            f'than the teacher with {teacher.describe()}; ask for a smaller one.'
        )
    if goal.kind == 'ms':
        cost = Figures(cost.params, cost.macs, cost.trained_params, reached)
    return Student(name, scale, networks[chosen], choose_rate(family.rate, cost.params), cost)


def choose_rate(of_small: float, parameters: int) -> float:
    """The first learning rate of a student, to two digits.

    Args:
        of_small (float): `Family.rate`.
        parameters (int): As it is deployed.

    Example:
        >>> choose_rate(4e-3, 20_000), choose_rate(4e-3, 280_000), choose_rate(4e-3, 10**9)
        (0.004, 0.002, 0.0002)
    """
    rate = of_small * min(1.0, math.sqrt(OF_PARAMETERS / parameters))
    return max(LEAST_RATE, float(f'{rate:.1e}'))


def measure_time(net: nn.Module, scale: int) -> float:
    """Milliseconds for a 1280x720 output on this machine: the second of two forwards, on a GPU where there is one.

    Args:
        net (nn.Module): As it is deployed; left unchanged.
        scale (int): Its enlargement.
    """
    device = find_device()
    net = copy.deepcopy(net).eval().to(device)
    lq = torch.zeros(1, 3, *find_lr_size(scale), device=device)
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        super_resolve(net, lq).sum().item()  # waits for the device
        seconds = time.perf_counter() - started
    return 1000 * seconds


def _search_time(nets: Sequence[nn.Module], wanted: float, scale: int) -> tuple[int, dict[int, float]]:
    """The network, of several in the order of their work, whose time is nearest; and the times that were measured."""
    times: dict[int, float] = {}

    def measure(number: int) -> float:
        if number not in times:
            times[number] = measure_time(nets[number], scale)
        return times[number]

    low, high = 0, len(nets) - 1
    measure(low)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if measure(middle) < wanted else (low, middle)
    if wanted > times[low]:
        measure(high)
    return min(times, key=lambda number: abs(math.log(times[number] / wanted))), times


def _say_out_of_reach(kind: str, scale: int, goal: Goal, wanted: float, least: float, most: float) -> str:
    unit = {'ms': 'ms', 'macs': f'multiply-accumulates for {OUTPUT_WIDTH}x{OUTPUT_HEIGHT}'}.get(goal.kind, 'parameters')
    sizes = [f'{value:.1f}' if goal.kind == 'ms' else format_count(round(value)) for value in (wanted, least, most)]
    end, bound = ('smallest', sizes[1]) if wanted < least else ('largest', sizes[2])
    return (
        f'--{goal.kind} {goal.value:g}: no {kind} student of x{scale} has about {sizes[0]} {unit}; the {end} has '
        f'{bound}; give another size, or another --student ({", ".join(FAMILIES)}).'
    )
