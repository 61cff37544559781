"""Two rows of a benchmark against each other, image by image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from dukd_basicsr.errors import UserError, did_you_mean
from dukd_basicsr.evaluate import Network
from dukd_basicsr.significance import RESAMPLES, paired_bootstrap
from dukd_basicsr.table import aligned


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
        raise UserError(f'--compare: {ensembles[0]} is a self-ensemble and {plain[0]} is none; compare '
                        f'{ensembles[0].removesuffix("+")} with {plain[0]}.')  # fmt: skip


def compare(records: Iterable[Mapping[str, Any]], names: tuple[str, str], sets: Iterable[str],
            metrics: Iterable[str]) -> list[dict[str, Any]]:  # fmt: skip
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


def to_markdown(results: Sequence[Mapping[str, Any]], names: tuple[str, str]) -> str:
    """A table with a line a set and metric, and how to read it."""
    lines = [[f'{names[0]} - {names[1]}', 'images', 'difference', '95 % interval', 'below zero']]
    lines += [
        [f'{each["set"]} {each["metric"].upper()}', str(each['images']), f'{each["mean"]:+.4f}',
         f'{each["low"]:+.4f} to {each["high"]:+.4f}', f'{100 * each["below_zero"]:.1f} %']
        for each in results
    ]  # fmt: skip
    return (
        f'{aligned(lines)}\nMean difference over the images, paired bootstrap: {RESAMPLES:,} resamples of the images '
        'with replacement, seed 0; below zero: the fraction of resamples whose mean difference is negative.\n'
    )
