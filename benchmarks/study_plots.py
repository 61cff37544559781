"""A study's convergence curves, and PSNR against training cost."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use('Agg')

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from study_results import AGAINST
from study_tables import methods_of

SHOWN = ('main', 'rival', 'peer')
"""Groups with curves; the controls would be a bundle nobody can tell apart."""
MARKERS = {'main': 'o', 'rival': 's', 'peer': '^', 'control': '.'}
SETTINGS = {'dpi': 80, 'metadata': {'Software': None}}
"""Small files, the same bytes every time."""


def write(results: Mapping[str, Any], docs: Path) -> None:
    """curves.png, and cost.png where seconds have been measured."""
    docs.mkdir(parents=True, exist_ok=True)
    curves(results, docs / 'curves.png')
    if any(method['seconds'] and method['final'] for method in results['methods'].values()):
        cost(results, docs / 'cost.png')


def curves(results: Mapping[str, Any], file: Path) -> None:
    """PSNR, and its gain over the student alone at the same seeds, over iterations, and PSNR over seconds where they
    are known; a column a set, bands are ± one deviation."""
    shown = {name: method for group in SHOWN for name, method in methods_of(results, group).items() if method['curve']}
    sets, timed = results['curve_sets'], any(method['seconds'] for method in shown.values())
    rows = [('curve', 'iterations', 'PSNR, dB'), ('gain_curve', 'iterations', f'over {AGAINST[0]}, dB'),
            *([('curve', 'seconds, each alone on the machine', 'PSNR, dB')] if timed else [])]  # fmt: skip
    figure, axes = plt.subplots(len(rows), len(sets), figsize=(4.2 * len(sets), 2.9 * len(rows) + 0.6), squeeze=False)
    for row, (kind, across, up) in enumerate(rows):
        for column, name in enumerate(sets):
            axis = axes[row][column]
            for number, method in enumerate(shown.values()):
                if across == 'iterations' or method['seconds']:
                    _curve(axis, method, kind, name, 1.0 if across == 'iterations' else method['seconds'], number)
            axis.set(
                xlabel=across, ylabel='' if column else up, title='' if row else name, ylim=_limits(shown, kind, name)
            )
            axis.grid(alpha=0.3)
            if across != 'iterations':
                _log_seconds(axis)
    _legend(figure, axes[0][0], len(sets))
    figure.savefig(file, **SETTINGS)
    plt.close(figure)


def _legend(figure: Figure, axis: Axes, columns: int) -> None:
    """Under all panels."""
    handles, labels = axis.get_legend_handles_labels()
    wide = 2 * columns
    figure.legend(handles, labels, loc='lower center', ncol=wide, fontsize=8, frameon=False)
    rows = -(-len(labels) // wide)
    figure.tight_layout(rect=(0, 0.25 * rows / figure.get_figheight(), 1, 1))


def _curve(axis: Axes, method: Mapping[str, Any], kind: str, name: str, factor: float, number: int) -> None:
    found = {int(iteration) * factor: sets[name]['psnr'] for iteration, sets in method[kind].items()}
    mean, spread = ([each[key] or 0.0 for each in found.values()] for key in ('mean', 'std'))
    style = {'main': '-', 'rival': '--', 'peer': ':'}[method['group']]
    axis.plot(list(found), mean, style, color=_colour(number), label=method['title'],
              linewidth=1.8 if method['group'] == 'main' else 1)  # fmt: skip
    if any(spread):
        low, high = ([m + sign * s for m, s in zip(mean, spread, strict=True)] for sign in (-1, 1))
        axis.fill_between(list(found), low, high, color=_colour(number), alpha=0.15, linewidth=0)


def _colour(number: int) -> str:
    return f'C{number}' if number < 10 else 'k'


def _limits(shown: Mapping[str, Any], kind: str, name: str) -> tuple[float, float]:
    """So that the later three quarters fill the axis."""
    late: list[float] = []
    for method in shown.values():
        values = [sets[name]['psnr']['mean'] for sets in method[kind].values()]
        late += values[len(values) // 4 :]
    low, high = min(late, default=0.0), max(late, default=1.0)
    margin = 0.05 * (high - low) + 0.01
    return low - margin, high + margin


def _log_seconds(axis: Axes) -> None:
    """The authors' code takes ten times as long as what it is compared with."""
    axis.set_xscale('log')
    axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f'{value:g}'))
    axis.xaxis.set_minor_formatter(NullFormatter())


def cost(results: Mapping[str, Any], file: Path) -> None:
    """Gain over the student alone at the same seeds against seconds of training; students are of one size."""
    sets = results['sets']
    figure, axes = plt.subplots(1, len(sets), figsize=(4.2 * len(sets), 4), squeeze=False)
    shown = [(number, key, method) for group in MARKERS
             for number, (key, method) in enumerate(methods_of(results, group).items(), _before(results, group))
             if method['seconds']]  # fmt: skip
    for axis, name in zip(axes[0], sets, strict=True):
        for number, key, method in shown:
            same = key == AGAINST[0]
            if not same and not method['gain'].get(AGAINST[0]):
                continue
            gain = {'mean': 0.0, 'std': None} if same else method['gain'][AGAINST[0]][name]['psnr']
            control = method['group'] == 'control'
            colour, label = ('0.6', '_') if control else (_colour(number), method['title'])
            axis.errorbar(method['seconds'] * method['iterations'], gain['mean'], yerr=gain['std'], color=colour,
                          fmt=MARKERS[method['group']], capsize=2, label=label)  # fmt: skip
        axis.axhline(0, color='k', linewidth=0.8)
        axis.set(xlabel='seconds of training', title=name)
        _log_seconds(axis)
        axis.grid(alpha=0.3)
    axes[0][0].set_ylabel(f'PSNR over {AGAINST[0]}, dB (grey: controls)')
    _legend(figure, axes[0][0], len(sets))
    figure.savefig(file, **SETTINGS)
    plt.close(figure)


def _before(results: Mapping[str, Any], group: str) -> int:
    """How many methods have a colour before those of a group: the same ones as among the curves."""
    return sum(len(methods_of(results, each)) for each in list(MARKERS)[: list(MARKERS).index(group)])
