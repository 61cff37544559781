"""The parts of the study's page and of README.md that are numbers, written anew between marks; prose is left alone."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.results import AGAINST
from benchmarks.study.tables import gain_table, rates_table, table

KINDS = {
    'iterations': 'At equal iterations',
    'seconds': 'In equal seconds',
    'student': 'Smaller and larger students',
    'parts': 'Parts and rivals',
    'precision': 'In another precision',
}
SHORT = ('dukd', 'kd_18')
"""The methods of README.md's table: the paper's, and what has the pixels and seconds of its iterations."""
FIGURES = {'iterations': 'gain_iterations.png', 'seconds': 'gain_seconds.png', 'student': 'gain_students.png'}


def write(results: Mapping[str, Any], docs: Path) -> None:
    """Replace what stands between `<!-- NAME -->` and `<!-- /NAME -->` in DOCS/README.md and in DOCS/../../README.md.

    Args:
        results (Mapping): From `results.collect`.
        docs (Path): The study's folder, docs/study; a page that is not there is not made.
    """
    for file in (docs / 'README.md', docs.resolve().parents[1] / 'README.md'):
        if file.is_file():
            text = file.read_text(encoding='utf-8')
            for name, block in blocks(results, docs).items():
                text = replaced(text, name, block)
            file.write_text(text, encoding='utf-8')


def blocks(results: Mapping[str, Any], docs: Path) -> dict[str, str]:
    """Name to Markdown: 'gains', 'rates', 'missing', 'seconds' and 'study'."""
    return {
        'gains': _gains(results, docs),
        'rates': rates_table(results),
        'missing': _missing(results),
        'seconds': seconds_table(results),
        'study': gain_table(
            results,
            _finished(results, tuple(kind for kind in KINDS if kind != 'parts')),
            named=True,
            against=('kd',),
            methods=SHORT,
        ),
    }


def replaced(text: str, name: str, block: str) -> str:
    """The text with one block renewed; as it was if it has no such marks."""
    pattern = re.compile(rf'(<!-- {name} -->\n).*?(<!-- /{name} -->)', re.DOTALL)
    return pattern.sub(lambda match: f'{match[1]}{block}\n{match[2]}', text)


def _gains(results: Mapping[str, Any], docs: Path) -> str:
    """A heading, a table and a figure for each kind of comparison of which a cell has finished."""
    parts = []
    for kind, title in KINDS.items():
        comparisons = _finished(results, (kind,))
        if comparisons:
            parts += [f'### {title}', gain_table(results, comparisons, named=True)]
        figure = FIGURES.get(kind)
        if figure and (docs / figure).is_file():
            parts.append(f'![{title}]({figure})')
    return '\n\n'.join(parts)


def seconds_table(results: Mapping[str, Any]) -> str:
    """What an iteration of each method costs, and the cache in iterations of it."""
    base, cache = results['per_iteration'].get(AGAINST[0]), results['cache_seconds']
    header = [
        '',
        's an iteration',
        f'times {results["methods"].get(AGAINST[0], AGAINST[0])}',
        'iterations of the cache',
    ]
    rows = [
        [
            results['methods'][method],
            f'{seconds:.3f}',
            '' if base is None else f'{seconds / base:.2f}',
            '' if cache is None else f'{cache / seconds:,.0f}',
        ]
        for method, seconds in results['per_iteration'].items()
    ]
    return table(header, rows)


def _finished(results: Mapping[str, Any], kinds: Sequence[str]) -> list[Mapping[str, Any]]:
    """The comparisons of which there is a gain, in their order."""
    return [
        each
        for each in results['comparisons'].values()
        if each['kind'] in kinds and any(row['gain'] for row in each['rows'].values())
    ]


def _missing(results: Mapping[str, Any]) -> str:
    """A line a comparison."""
    lines = []
    for comparison in results['comparisons'].values():
        if comparison['missing'] and not comparison['rows']:
            lines.append(f'- {comparison["title"]}: nothing of it.')
        elif comparison['missing']:
            what = (f'{results["methods"][method]} ({why})' for method, why in comparison['missing'].items())
            lines.append(f'- {comparison["title"]}: {"; ".join(what)}.')
    return '\n'.join(lines) or 'Everything in the protocol has run.'
