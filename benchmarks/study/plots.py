"""A study's figures: gains over the student alone and over KD by iterations, by seconds and by student."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use('Agg')

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

from benchmarks.study.results import AGAINST

SETTINGS = {'dpi': 80, 'metadata': {'Software': None}}
"""Small files, the same bytes every time."""
Results = Mapping[str, Any]
Points = dict[float, dict[str, float]]
"""Place on the axis to 'mean', 'low' and 'high'."""
Lines = list[Points]
"""Of one method: what is not to be joined."""


def write(results: Results, docs: Path) -> None:
    """gain_iterations.png, gain_seconds.png and gain_students.png, each where there is something to draw."""
    docs.mkdir(parents=True, exist_ok=True)
    figures = {
        'gain_iterations.png': (by_iterations, 'iterations'),
        'gain_seconds.png': (by_seconds, 'seconds of training, one thread, without the cache'),
        'gain_students.png': (by_student, 'parameters of the student'),
    }
    for file, (gains, across) in figures.items():
        points = {panel: gains(results, *panel) for panel in _panels(results)}
        if any(any(lines) for lines in points.values()):
            draw(results, points, across, docs / file)


def _panels(results: Results) -> list[tuple[str, str, str]]:
    return [
        (method, other, name)
        for other in AGAINST
        for name in results['sets']
        for method in shown(results)
        if method != other
    ]


def shown(results: Results) -> list[str]:
    """The methods that equal iterations have been run of, in their order: each keeps its colour in every figure."""
    return [
        method
        for method in results['methods']
        if any(method in each['rows'] for each in _of_kind(results, 'iterations'))
    ]


def _of_kind(results: Results, kind: str) -> list[Mapping[str, Any]]:
    return [each for each in results['comparisons'].values() if each['kind'] == kind]


def by_iterations(results: Results, method: str, other: str, name: str) -> Lines:
    """A method's gain at each length that both have."""
    rows = [each['rows'][method] for each in _of_kind(results, 'iterations') if method in each['rows']]
    return [{row['iterations']: row['gain'][other][name] for row in rows if other in row['gain']}]


def by_seconds(results: Results, method: str, other: str, name: str) -> Lines:
    """A method's PSNR minus that of the other in the same seconds, each with its own whole schedule, mean over seeds.

    The other's PSNR is read between its own lengths of the same seed and precision, linear in the logarithm of
    the seconds; beyond them, but for a tenth, there is none. A line for each precision, whose seconds are not those of
    another: float32 first.
    """
    gains: dict[str | None, dict[float, list[float]]] = {None: {}}
    theirs = seconds_curves(results, other, name)
    for which, curve in seconds_curves(results, method, name).items():
        at, psnr = (list(each) for each in (theirs.get(which, {}).keys(), theirs.get(which, {}).values()))
        for seconds, own in curve.items() if len(at) > 1 else ():
            if at[0] / 1.1 <= seconds <= at[-1] * 1.1:
                there = float(np.interp(np.log(seconds), np.log(at), psnr))
                gains.setdefault(which[0], {}).setdefault(seconds, []).append(own - there)
    means = [{seconds: float(np.mean(each)) for seconds, each in sorted(line.items())} for line in gains.values()]
    return [{seconds: dict.fromkeys(('mean', 'low', 'high'), gain) for seconds, gain in line.items()} for line in means]


def seconds_curves(results: Results, method: str, name: str) -> dict[tuple[str | None, str], dict[float, float]]:
    """By precision and seed, seconds of a whole run to its PSNR, over all lengths of the base's student, in order."""
    rows = [
        (each['precision'], each['rows'][method])
        for each in results['comparisons'].values()
        if each['kind'] in ('iterations', 'seconds', 'precision') and each['student'] is None and method in each['rows']
    ]
    curves: dict[tuple[str | None, str], dict[float, float]] = {}
    for precision, row in sorted(rows, key=lambda each: each[1]['seconds'] or 0):
        for seed, sets in row['by_seed'].items() if row['seconds'] else ():
            curves.setdefault((precision, seed), {})[row['seconds']] = sets[name]
    return curves


def by_student(results: Results, method: str, other: str, name: str) -> Lines:
    """A method's gain for each size of student, all trained as long as the longest of the comparisons of students."""
    rows = [each['rows'][method] for each in _of_kind(results, 'student') if method in each['rows']]
    if not rows:
        return []
    longest = max(row['iterations'] for row in rows)
    base = [each['rows'][method] for each in _of_kind(results, 'iterations') if method in each['rows']]
    same = [row for row in (*rows, *base) if row['iterations'] == longest]
    return [
        {
            row['parameters']: row['gain'][other][name]
            for row in sorted(same, key=lambda row: row['parameters'])
            if other in row['gain']
        }
    ]


def draw(results: Results, points: Mapping[tuple[str, str, str], Lines], across: str, file: Path) -> None:
    """One figure: a row for each of AGAINST, a column a set, a line a method, bars for the 95 % intervals.

    A method's second line is dashed.
    """
    sets = results['sets']
    figure, axes = plt.subplots(len(AGAINST), len(sets), figsize=(4.2 * len(sets), 5.6), squeeze=False)
    for (method, other, name), lines in points.items():
        axis = axes[AGAINST.index(other)][sets.index(name)]
        for number, found in enumerate(lines):
            if found:
                colour, style = f'C{shown(results).index(method)}', '--' if number else '-'
                _line(axis, found, colour, style, results['methods'][method])
    places = sorted({place for lines in points.values() for found in lines for place in found})
    for row, other in enumerate(AGAINST):
        for axis, name in zip(axes[row], sets, strict=True):
            axis.axhline(0, color='k', linewidth=0.8)
            axis.set(title='' if row else name, xlabel=across if row == len(AGAINST) - 1 else '')
            axis.grid(alpha=0.3)
            _logarithmic(axis, places)
        axes[row][0].set_ylabel(f'PSNR over {results["methods"].get(other, other)}, dB')
    found = [axis.get_legend_handles_labels() for axis in axes.flat]
    handles = {label: handle for lines, labels in found for handle, label in zip(lines, labels, strict=True)}
    figure.legend(list(handles.values()), list(handles), loc='lower center', ncol=5, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.01 + 0.035 * -(-len(handles) // 5), 1, 1))
    figure.savefig(file, **SETTINGS)
    plt.close(figure)


def _line(axis: Axes, points: Points, colour: str, style: str, label: str) -> None:
    places: Sequence[float] = list(points)
    mean = [each['mean'] for each in points.values()]
    below = [each['mean'] - each['low'] for each in points.values()]
    above = [each['high'] - each['mean'] for each in points.values()]
    axis.errorbar(
        places,
        mean,
        yerr=[np.maximum(below, 0), np.maximum(above, 0)],
        color=colour,
        linestyle=style,
        marker='o',
        capsize=2,
        label=label,
    )


def _logarithmic(axis: Axes, places: Sequence[float]) -> None:
    """Ticks where the points are; of many, where there is room."""
    axis.set_xscale('log')
    axis.xaxis.set_major_locator(FixedLocator(list(places)) if len(places) < 6 else MaxNLocator(5))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axis.xaxis.set_minor_formatter(NullFormatter())
