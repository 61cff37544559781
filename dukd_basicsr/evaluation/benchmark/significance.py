"""Is one network better than another on a test set, or were its images lucky? The paired bootstrap."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dukd_basicsr.errors import UserError, did_you_mean
from dukd_basicsr.evaluation.benchmark.measure import Network
from dukd_basicsr.evaluation.benchmark.report import align

RESAMPLES = 10_000
LEVEL = 0.95
CHUNK = 2**22
"""Drawn indices that are held at once."""


@dataclass(frozen=True)
class Comparison:
    """The mean difference of two networks over the images of a set, and how far it would move with other images."""

    mean: float
    low: float
    high: float
    """The ends of the 95 % interval."""
    below_zero: float
    """Fraction of the resamples whose mean difference is negative, in [0, 1]."""


def paired_bootstrap(a: Sequence[float], b: Sequence[float], resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """The mean of a - b with its percentile interval (Efron, Bootstrap methods, 1979).

    Images are drawn with replacement, both networks' scores of an image together: most of the variance of PSNR lies
    between images, not between networks, and cancels in the pairs.

    Args:
        a (Sequence[float]): Scores of one network, an image each; at least one.
        b (Sequence[float]): Scores of the other on the same images, in the same order.
        resamples (int): How many sets are drawn.
        seed (int): Of the draws; the same seed and number of images draw the same sets.

    Raises:
        ValueError: Not the same number of scores, or none.
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(f'paired scores are needed, got {first.shape} and {second.shape}.')
    with np.errstate(invalid='ignore'):
        differences = np.where(first == second, 0.0, first - second)  # the PSNR of two perfect images is infinite
    generator, count = np.random.default_rng(seed), len(differences)
    at_once = max(1, CHUNK // count)
    sizes = [min(at_once, resamples - done) for done in range(0, resamples, at_once)]
    means = np.concatenate([differences[generator.integers(0, count, (size, count))].mean(-1) for size in sizes])
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Comparison(float(differences.mean()), float(low), float(high), float((means < 0).mean()))


def check_rows(names: tuple[str, str], networks: Sequence[Network]) -> None:
    """Refuse a comparison that cannot be made, or would credit a network with a self-ensemble.

    Args:
        names (tuple[str, str]): Of the two rows.
        networks (Sequence[Network]): All rows.

    Raises:
        UserError: No such row, or one of them is a self-ensemble and the other is a different network without one.
    """
    rows = {network.name: network for network in networks}
    unknown = [name for name in names if name not in rows]
    if unknown:
        raise UserError(*(f'--compare: no row is named {name}.{did_you_mean(name, rows)}' for name in unknown))
    ensembles = [name for name in names if rows[name].self_ensemble]
    plain = [name for name in names if not rows[name].self_ensemble]
    if ensembles and plain and ensembles[0] != f'{plain[0]}+':
        raise UserError(
            f'--compare: {ensembles[0]} is a self-ensemble and {plain[0]} is none; compare '
            f'{ensembles[0].removesuffix("+")} with {plain[0]}.'
        )


def compare_rows(
    records: Iterable[Mapping[str, Any]], names: tuple[str, str], sets: Iterable[str], metrics: Iterable[str]
) -> list[dict[str, Any]]:
    """The paired bootstrap of every set and metric.

    Args:
        records (Iterable[Mapping]): Lines of benchmark_images.csv, images in the same order for all rows.
        names (tuple[str, str]): Of the two rows; differences are the first minus the second.
        sets (Iterable[str]): Test sets.
        metrics (Iterable[str]): Columns.

    Returns:
        list[dict]: 'set', 'metric', 'images', and what `significance.Comparison` has.
    """
    records, found = list(records), []
    for name in sets:
        for metric in metrics:
            first, second = (
                [record[metric] for record in records if (record['set'], record['network']) == (name, row)]
                for row in names
            )
            result = asdict(paired_bootstrap(first, second))
            found.append({'set': name, 'metric': metric, 'images': len(first), **result})
    return found


def format_comparison(results: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> str:
    """A table with a line a set and metric, and how to read it."""
    lines = [[f'{names[0]} - {names[1]}', 'images', 'difference', '95 % interval', 'below zero']]
    for each in results:
        what, interval = f'{each["set"]} {each["metric"].upper()}', f'{each["low"]:+.4f} to {each["high"]:+.4f}'
        lines.append([what, str(each['images']), f'{each["mean"]:+.4f}', interval, f'{100 * each["below_zero"]:.1f} %'])
    return (
        f'{align(lines)}\nMean difference over the images, paired bootstrap: {RESAMPLES:,} resamples of the images '
        'with replacement, seed 0; below zero: the fraction of resamples whose mean difference is negative.\n'
    )
