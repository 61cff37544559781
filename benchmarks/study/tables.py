"""A study's results as Markdown, CSV and JSON; the same results give the same bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.results import AGAINST

Results = Mapping[str, Any]


def write(results: Results, docs: Path) -> None:
    """tables.md, results.csv and results.json."""
    docs.mkdir(parents=True, exist_ok=True)
    (docs / 'tables.md').write_text(markdown(results), encoding='utf-8')
    (docs / 'results.csv').write_text(to_csv(results), encoding='utf-8')
    (docs / 'results.json').write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')


def markdown(results: Results) -> str:
    """All tables: references, learning rates, every comparison's numbers and gains, what has not run."""
    sets = ', '.join(f'{name} ({results["images"][name]} images)' for name in results['sets'])
    parts = [
        f'# {results["title"]}',
        f'{sets}. PSNR and SSIM on Y; "to teacher" is the PSNR between the pictures of student and teacher. '
        'Mean ± standard deviation over n seeds. A gain is the difference in PSNR at the same seed and on the same '
        'image, in dB, with its 95 % interval over images and seeds. Seconds are those of one thread, '
        f'each method measured alone, without the cache{_cache(results)}.',
        '## References',
        table(
            ['', *results['sets']],
            [
                [kind, *(f'{values["psnr"]:.3f} / {values["ssim"]:.4f}' for values in sets.values())]
                for kind, sets in results['references'].items()
            ],
        ),
        '## Learning rates',
        rates_table(results),
    ]
    for comparison in results['comparisons'].values():
        parts += [f'## {comparison["title"]}']
        if comparison['rows']:
            parts += [_scores_table(results, comparison), gain_table(results, [comparison])]
        parts += [_missing(results, comparison)] * bool(comparison['missing'])
    return '\n\n'.join(parts) + '\n'


def _cache(results: Results) -> str:
    seconds = results['cache_seconds']
    return '' if seconds is None else f', which took {seconds:.0f} s of teacher once'


def rates_table(results: Results) -> str:
    """PSNR on the held-out photographs; the chosen rate is bold."""
    every = sorted({rate for tried in results['rates'].values() for rate in tried}, key=float)
    rows = []
    for method, tried in results['rates'].items():
        cells = [f'{tried[rate]:.3f}' if rate in tried else '' for rate in every]
        best = results['chosen'].get(method)
        rows.append(
            [
                results['methods'][method],
                *(f'**{cell}**' if rate == best else cell for rate, cell in zip(every, cells, strict=True)),
            ]
        )
    return table([f'held-out PSNR after {results["search"]["iterations"]:,d} iterations', *every], rows)


def _scores_table(results: Results, comparison: Mapping[str, Any]) -> str:
    header = ['method', 'iterations', 's', 'n', *(f'{name} PSNR / SSIM / to teacher' for name in results['sets'])]
    rows = []
    for method, row in comparison['rows'].items():
        scores = [row['scores'][name] for name in results['sets']]
        seconds = '' if row['seconds'] is None else f'{row["seconds"]:.0f}'
        rows.append(
            [
                results['methods'][method],
                f'{row["iterations"]:,d}',
                seconds,
                str(len(row['seeds'])),
                *(
                    f'{spread(each["psnr"], 3)} / {each["ssim"]["mean"]:.4f} / {each["to_teacher"]["mean"]:.3f}'
                    for each in scores
                ),
            ]
        )
    return table(header, rows)


def gain_table(
    results: Results,
    comparisons: Sequence[Mapping[str, Any]],
    named: bool = False,
    against: Sequence[str] = AGAINST,
    methods: Sequence[str] | None = None,
) -> str:
    """Gains over other methods; what is not certain is not bold. n: seeds that they rest on.

    Args:
        results (Mapping): From `results.collect`.
        comparisons (Sequence): Those to show, one after the other.
        named (bool): Whether a first column names the comparison.
        against (Sequence[str]): The methods that gains are counted from.
        methods (Sequence[str] | None): Those to show alone, in the comparisons that have them.
    """
    titles = {other: results['methods'][other] for other in against if other in results['methods']}
    header = [
        *([''] if named else []),
        'gain, dB',
        'n',
        *(f'{name} over {title}' for title in titles.values() for name in results['sets']),
    ]
    rows = []
    for comparison in comparisons:
        for method, row in comparison['rows'].items():
            shown = method != AGAINST[0] and (methods is None or method in methods)
            if shown and any(other in row['gain'] for other in titles):
                gains = [row['gain'].get(other, {}).get(name) for other in titles for name in results['sets']]
                rows.append(
                    [
                        *([comparison['title']] if named else []),
                        results['methods'][method],
                        str(max(gain['seeds'] for gain in gains if gain)),
                        *(gain_text(gain) for gain in gains),
                    ]
                )
    return table(header, rows)


def gain_text(gain: Mapping[str, Any] | None) -> str:
    """'+0.123 (+0.100 to +0.150)', bold where the interval is on one side of zero and rests on three seeds."""
    if gain is None:
        return '-'
    mean = f'{gain["mean"]:+.3f}'
    certain = gain['low'] * gain['high'] > 0 and gain['seeds'] > 2
    return f'{f"**{mean}**" if certain else mean} ({gain["low"]:+.3f} to {gain["high"]:+.3f})'


def _missing(results: Results, comparison: Mapping[str, Any]) -> str:
    lines = [f'- {results["methods"][method]}: {why}.' for method, why in comparison['missing'].items()]
    return 'Not run:\n' + '\n'.join(lines)


def spread(found: Mapping[str, Any], decimals: int) -> str:
    """'35.123 ± 0.012', without ± for one seed."""
    text = f'{found["mean"]:.{decimals}f}'
    return text if found['std'] is None else f'{text} ± {found["std"]:.{decimals}f}'


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown with the first column left and the others right."""
    rule = ['---', *['---:'] * (len(header) - 1)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in [header, rule, *rows])


def to_csv(results: Results) -> str:
    """A line a comparison, method and set."""
    gains = [f'gain_over_{other}{end}' for other in AGAINST for end in ('', '_low', '_high')]
    keys = [
        'comparison',
        'kind',
        'student',
        'precision',
        'method',
        'iterations',
        'seconds',
        'n',
        'set',
        'psnr',
        'psnr_std',
        'ssim',
        'psnr_to_teacher',
        *gains,
    ]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, keys, lineterminator='\n')
    writer.writeheader()
    for name, comparison in results['comparisons'].items():
        for method, row in comparison['rows'].items():
            for set_name, scores in row['scores'].items():
                line = {
                    'comparison': name,
                    'kind': comparison['kind'],
                    'student': comparison['student'],
                    'precision': comparison['precision'],
                    'method': method,
                    'iterations': row['iterations'],
                    'seconds': row['seconds'],
                    'n': len(row['seeds']),
                    'set': set_name,
                    'psnr': scores['psnr']['mean'],
                    'psnr_std': scores['psnr']['std'],
                    'ssim': scores['ssim']['mean'],
                    'psnr_to_teacher': scores['to_teacher']['mean'],
                }
                for other in AGAINST:
                    gain = row['gain'].get(other, {}).get(set_name, {})
                    line |= {
                        f'gain_over_{other}': gain.get('mean'),
                        f'gain_over_{other}_low': gain.get('low'),
                        f'gain_over_{other}_high': gain.get('high'),
                    }
                writer.writerow(line)
    return stream.getvalue()
