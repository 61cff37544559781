"""Curves as SVG inside the page."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from dukd_basicsr.evaluation.report.content import Curve
from dukd_basicsr.pages.markup import escape

WIDTH, HEIGHT = 520, 300
"""Of the drawing; the page scales it to the room there is."""
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 26, 12, 42
_STYLES = 6
"""Colours of the theme; the dashes of a line change with it, for eyes and printers that see no colours."""
_DASHES = ('', '7 3', '2 3', '9 3 2 3', '12 4', '4 4')
_BUCKETS = 250
"""A line of more points shows the least and the largest of each of so many parts of its iterations."""
_BEYOND = 1e100
"""Values from here on would leave no room for the others, nor for arithmetic: gaps, like what is no number."""


def group_curves(curves: Mapping[str, Curve]) -> dict[str, dict[str, Curve]]:
    """Chart to its lines: what comes before the first ': ' in a name is the chart.

    Example:
        >>> group_curves({'PSNR: student': [], 'PSNR: teacher': [], 'loss': []})
        {'PSNR': {'student': [], 'teacher': []}, 'loss': {'loss': []}}
    """
    charts: dict[str, dict[str, Curve]] = {}
    for name, curve in curves.items():
        chart, _, line = name.partition(': ')
        charts.setdefault(chart, {})[line or chart] = curve
    return charts


def draw_chart(name: str, lines: Mapping[str, Curve]) -> str:
    """One chart as a figure: axes with round numbers, a line for each curve, a legend with the last values.

    Args:
        name (str): Its heading.
        lines (Mapping[str, Curve]): At least one; where no value of theirs is a number, a sentence says so.
    """
    segments = {line: list(_split(curve)) for line, curve in lines.items()}
    points = [point for parts in segments.values() for part in parts for point in part]
    if not points:
        return f'<figure class="chart"><h3>{escape(name)}</h3><p class="note">No value of it is a number.</p></figure>'
    x_range = _widen([x for x, _ in points], 0)
    y_range = _widen([y for _, y in points], 0.06)
    drawn, legend, summary = [], [], []
    for number, (line, parts) in enumerate(segments.items()):
        style = f'class="line-{number % _STYLES}" stroke-dasharray="{_DASHES[number % _STYLES]}"'
        drawn += [_draw_segment(part, x_range, y_range, style) for part in parts]
        swatch = f'<svg class="swatch" viewBox="0 0 28 8" aria-hidden="true"><path d="M0 4H28" {style}/></svg>'
        last = f'{parts[-1][-1][1]:.5g} at {parts[-1][-1][0]:,}' if parts else 'no number'
        legend.append(f'<li>{swatch}{escape(line)} <span class="note">{last}</span></li>')
        summary.append(f'{line}: {last}')
    return (
        f'<figure class="chart"><h3>{escape(name)}</h3>'
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(f"{name} by iteration; " + "; ".join(summary))}">'
        f'{_draw_axes(x_range, y_range)}{"".join(drawn)}</svg>'
        f'<figcaption><ul class="legend">{"".join(legend)}</ul></figcaption></figure>'
    )


def find_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from low to high: the finest of 1, 2, 2.5 or 5 times a power of ten with at most so many.

    Args:
        low (float): Finite, below `high`.
        high (float): Finite.
        most (int): At least two.

    Example:
        >>> find_ticks(0.3, 9.7, 6)
        [2.0, 4.0, 6.0, 8.0]
    """
    power = 10.0 ** math.floor(math.log10((high - low) / most))
    for step in (power * factor for factor in (1, 2, 2.5, 5, 10)):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    return [number * step for number in range(first, last + 1)]


def _split(curve: Curve) -> Iterator[list[tuple[int, float]]]:
    """The stretches of finite values, thinned."""
    part: list[tuple[int, float]] = []
    for x, y in _thin(curve):
        if _is_number(y):
            part.append((x, y))
        elif part:
            yield part
            part = []
    if part:
        yield part


def _thin(curve: Curve) -> Iterator[tuple[int, float]]:
    """No more points than a chart has pixels for; each part keeps its extremes and a value that is no number."""
    size = math.ceil(len(curve) / _BUCKETS)
    if size <= 2:
        yield from curve
        return
    for start in range(0, len(curve), size):
        part = curve[start : start + size]
        finite = [point for point in part if _is_number(point[1])]
        broken = [point for point in part if not _is_number(point[1])][:1]
        extremes = [min(finite, key=_value), max(finite, key=_value)] if finite else []
        ends = [part[-1]] if start + size >= len(curve) else []
        yield from sorted(dict.fromkeys([*extremes, *broken, *ends]), key=lambda point: point[0])


def _is_number(value: float) -> bool:
    return abs(value) < _BEYOND  # False for nan


def _value(point: tuple[int, float]) -> float:
    return point[1]


def _widen(values: Sequence[float], share: float) -> tuple[float, float]:
    """A range around values, with a margin of so much of it; never empty."""
    low, high = float(min(values)), float(max(values))
    room = (high - low) * share
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-12):
        room = max(abs(low) * 0.05, 1e-6)
    return low - room, high + room


def _draw_axes(x_range: tuple[float, float], y_range: tuple[float, float]) -> str:
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM
    parts = []
    ticks = find_ticks(*y_range, 6)
    for tick in ticks:
        y = _place_y(tick, y_range)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_format_tick(tick, ticks)}</text>')
    ticks = find_ticks(*x_range, 5)
    for tick in ticks:
        x = _place_x(tick, x_range)
        parts.append(f'<path class="axis" d="M{x:.1f} {bottom}v5"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{_format_tick(tick, ticks)}</text>')
    parts.append(f'<path class="axis" d="M{_LEFT} {_TOP}V{bottom}H{right}"/>')
    parts.append(f'<text x="{right}" y="{HEIGHT - 5}" text-anchor="end">iteration</text>')
    return ''.join(parts)


def _format_tick(tick: float, ticks: Sequence[float]) -> str:
    """With as many decimals as tell it from the next."""
    step = ticks[1] - ticks[0] if len(ticks) > 1 else abs(tick) or 1.0
    if max(map(abs, ticks)) >= 1e7 or step < 1e-5:
        return f'{tick:.3g}'
    decimals = next((number for number in range(7) if abs(round(step, number) - step) < step * 1e-3), 7)
    return f'{tick + 0.0:,.{decimals}f}'


def _draw_segment(
    part: Sequence[tuple[int, float]], x_range: Sequence[float], y_range: Sequence[float], style: str
) -> str:
    """A line, and dots where there are so few points that each was measured on its own."""
    places = [(_place_x(x, x_range), _place_y(y, y_range)) for x, y in part]
    text = ' '.join(f'{x:.1f},{y:.1f}' for x, y in places)
    dots = ''.join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.6" {style}/>' for x, y in places) if len(part) < 40 else ''
    return f'<polyline points="{text}" {style}/>{dots}'


def _place_x(value: float, between: Sequence[float]) -> float:
    return _LEFT + (value - between[0]) / (between[1] - between[0]) * (WIDTH - _LEFT - _RIGHT)


def _place_y(value: float, between: Sequence[float]) -> float:
    return HEIGHT - _BOTTOM - (value - between[0]) / (between[1] - between[0]) * (HEIGHT - _TOP - _BOTTOM)
