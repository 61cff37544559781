"""What a study has found, as one structure, from the records of its finished cells and nothing else."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.study import cost as costs
from benchmarks.study import rates
from benchmarks.study.cells import cells_of
from benchmarks.study.interval import over_images_and_seeds
from benchmarks.study.protocol import GIVEN, Comparison, Protocol
from benchmarks.study.records import METRICS, Record
from dukd_basicsr.errors import RunError

AGAINST = ('alone', 'kd')
"""The methods that every method's gain is counted from."""


def collect(
    protocol: Protocol, found: Mapping[str, Record], references: Record | None, cost: Mapping[str, Any]
) -> dict[str, Any]:
    """All results.

    Args:
        protocol (Protocol): The study.
        found (Mapping): Records by the name of their cell.
        references (Record | None): The teacher's and bicubic's.
        cost (Mapping): From `cost.read`.

    Returns:
        dict: JSON-able. 'references' [bicubic or teacher][set][metric], means; 'rates' [method][rate], PSNR on the
            held-out photographs, and 'chosen' [method]; 'per_iteration' [method], seconds; 'comparisons' by name:
            title, kind, student, precision, 'rows' by method (see `_row`) and 'missing', what has not run yet;
            'versions' that records were made with.

    Raises:
        RunError: No cell has finished.
    """
    if not found or references is None:
        raise RunError('no cell has finished, so there is nothing to report.')
    chosen = rates.chosen(protocol, found)
    return {
        'title': protocol.title,
        'sets': protocol.tests,
        'images': {name: len(images) for name, images in references['images'].items()},
        'seeds': protocol.seeds,
        'finished': len(found),
        'references': {
            kind: {name: means(sets[name]) for name in protocol.tests} for kind, sets in references['scores'].items()
        },
        'methods': {name: method.title for name, method in protocol.methods.items()},
        'search': {'iterations': protocol.search.iterations, 'seed': protocol.search.seed},
        'rates': {
            name: {f'{rate:g}': value for rate, value in tried.items()}
            for name, tried in rates.tried(protocol, found).items()
        },
        'chosen': {name: f'{rate:g}' for name, rate in chosen.items()},
        'comparisons': {
            name: _comparison(protocol, each, chosen, found, cost) for name, each in protocol.comparisons.items()
        },
        'per_iteration': {name: cost['seconds'][name] for name in protocol.methods if name in cost['seconds']},
        'cache_seconds': cost.get('cache_seconds'),
        'environment': cost.get('environment'),
        'versions': _versions(found),
    }


def means(metrics: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Metric to its mean over a set's images."""
    return {metric: statistics.fmean(values) for metric, values in metrics.items()}


def _versions(found: Mapping[str, Record]) -> list[str]:
    """Each combination of versions once."""
    return sorted(
        {', '.join(f'{key} {value}' for key, value in record['versions'].items()) for record in found.values()}
    )


def _comparison(
    protocol: Protocol,
    comparison: Comparison,
    chosen: Mapping[str, float],
    found: Mapping[str, Record],
    cost: Mapping[str, Any],
) -> dict[str, Any]:
    """Rows of the methods that have finished a cell, and how many cells the others lack."""
    cells = cells_of(protocol, comparison.name, chosen)
    own = {
        method: {cell.seed: found[cell.name] for cell in cells if cell.method.name == method and cell.name in found}
        for method in comparison.iterations
    }
    rows = {method: _row(protocol, comparison, method, own, cost) for method, by_seed in own.items() if by_seed}
    missing = {
        method: _reason(protocol, method, len(comparison.seeds) - len(by_seed))
        for method, by_seed in own.items()
        if len(by_seed) < len(comparison.seeds)
    }
    return {
        'title': comparison.title,
        'kind': comparison.kind,
        'student': comparison.student,
        'precision': comparison.precision,
        'rows': rows,
        'missing': missing,
    }


def _reason(protocol: Protocol, method: str, count: int) -> str:
    needs = protocol.methods[method].needs
    return GIVEN[needs] if needs else f'{count} of its cells not run yet'


def _row(
    protocol: Protocol,
    comparison: Comparison,
    method: str,
    own: Mapping[str, Mapping[int, Record]],
    cost: Mapping[str, Any],
) -> dict[str, Any]:
    """A method in a comparison.

    Returns:
        dict: 'iterations'; 'per_iteration' and 'seconds' of training, None if not measured; 'cached'; 'parameters';
            'seeds'; 'scores' [set][metric] = {mean, std, n} over seeds; 'by_seed' [seed][set] PSNR; 'gain'
            [other][set] = {mean, low, high, seeds, images} of PSNR, paired by seed and image; 'curve' [iteration][set]
            PSNR, mean over seeds.
    """
    by_seed, iterations = own[method], comparison.iterations[method]
    per_iteration = cost['seconds'].get(costs.key(method, comparison.student, comparison.precision))
    per_set = {name: [means(record['scores'][name]) for record in by_seed.values()] for name in protocol.tests}
    return {
        'iterations': iterations,
        'per_iteration': per_iteration,
        'seconds': None if per_iteration is None else per_iteration * iterations,
        'cached': protocol.methods[method].cached,
        'parameters': next(iter(by_seed.values()))['parameters'],
        'seeds': list(by_seed),
        'scores': {
            name: {metric: moments([each[metric] for each in values]) for metric in METRICS}
            for name, values in per_set.items()
        },
        'by_seed': {
            str(seed): {name: statistics.fmean(record['scores'][name]['psnr']) for name in protocol.tests}
            for seed, record in by_seed.items()
        },
        'gain': {
            other: _gain(protocol, by_seed, own[other])
            for other in AGAINST
            if other != method and set(own.get(other, ())) & set(by_seed)
        },
        'curve': _curve(list(by_seed.values())),
    }


def _gain(protocol: Protocol, ours: Mapping[int, Record], theirs: Mapping[int, Record]) -> dict[str, Any]:
    """PSNR of one method minus another's at the same seeds, on every set, with intervals over images and seeds."""
    seeds = [seed for seed in ours if seed in theirs]
    return {name: gain_of([difference(ours[seed], theirs[seed], name) for seed in seeds]) for name in protocol.tests}


def difference(ours: Record, theirs: Record, name: str) -> list[float]:
    """Image by image."""
    pairs = zip(ours['scores'][name]['psnr'], theirs['scores'][name]['psnr'], strict=True)
    return [a - b for a, b in pairs]


def gain_of(differences: Sequence[Sequence[float]]) -> dict[str, Any]:
    """A gain with its interval, and what it rests on."""
    return {**asdict(over_images_and_seeds(differences)), 'seeds': len(differences), 'images': len(differences[0])}


def moments(values: Sequence[float]) -> dict[str, Any]:
    """Mean and, of several, the sample's standard deviation (n - 1)."""
    return {
        'mean': statistics.fmean(values),
        'std': statistics.stdev(values) if len(values) > 1 else None,
        'n': len(values),
    }


def _curve(found: Sequence[Record]) -> dict[str, dict[str, float]]:
    """Validations while training: iteration to set to PSNR, mean over those seeds that all have one."""
    shared = set.intersection(*(set(record['curve']) for record in found))
    return {
        iteration: {
            name: statistics.fmean(record['curve'][iteration][name]['psnr'] for record in found)
            for name in found[0]['curve'][iteration]
        }
        for iteration in sorted(shared, key=int)
    }
