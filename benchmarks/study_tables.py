"""A study's results as Markdown, LaTeX (booktabs), CSV and JSON; the same results give the same bytes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from study_protocol import GROUPS
from study_results import AGAINST, METRICS, OURS, moments

HEADINGS = {'main': 'Main', 'rival': 'Rivals', 'peer': "The authors' code", 'control': 'Controls'}
DECIMALS = {'psnr': 3, 'ssim': 4}
Results = Mapping[str, Any]


def write(results: Results, docs: Path) -> None:
    """tables.md, tables.tex, results.csv and results.json."""
    docs.mkdir(parents=True, exist_ok=True)
    (docs / 'tables.md').write_text(markdown(results), encoding='utf-8')
    (docs / 'tables.tex').write_text(latex(results), encoding='utf-8')
    (docs / 'results.csv').write_text(to_csv(results), encoding='utf-8')
    (docs / 'results.json').write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')


def markdown(results: Results) -> str:
    """All tables: each group's numbers and gains, equal wall-clock, significance, what has not run."""
    parts = [f'# {results["title"]}\n\n{_protocol(results)}']
    for group in GROUPS:
        there = methods_of(results, group)
        if there:
            parts += [f'## {HEADINGS[group]}', _final_table(results, there), _gain_table(results, there)]
    if results['budgets']:
        parts += ['## Equal wall-clock', _budget_text(results)]
        parts += [text for budget in results['budgets'] for text in _budget_table(results, budget)]
    if results['significance']:
        parts += ['## DUKD image by image', _significance_text(), _significance_table(results)]
    missing = [
        f'- {method["title"]}: {method["not_run"]}.' for method in results['methods'].values() if method['not_run']
    ]
    if missing:
        parts += ['## Not run', '\n'.join(missing)]
    return '\n\n'.join(parts) + '\n'


def methods_of(results: Results, group: str) -> dict[str, Any]:
    """The methods of a group that have run, by name."""
    return {name: method for name, method in results['methods'].items() if method['group'] == group and method['final']}


def _protocol(results: Results) -> str:
    return (f'{results["iterations"]:,d} iterations; {results["protocol"]} Mean ± standard deviation over n seeds; '
            'gains in dB of PSNR are differences to the same seed.')  # fmt: skip


def _final_table(results: Results, methods: Mapping[str, Any]) -> str:
    """Bicubic and teacher above the main methods; above others the main ones at the seed(s) that those have."""
    header = ['method', 'n', *(f'{name} PSNR / SSIM' for name in results['sets'])]
    first = next(iter(methods.values()))
    if first['group'] == 'main':
        rows = [[kind, '', *(_plain(sets[name]) for name in results['sets'])]
                for kind, sets in results['references'].items()]  # fmt: skip
    else:
        rows = [_final_row(results, method, first['seeds']) for name, method in methods_of(results, 'main').items()
                if name in (*AGAINST, OURS) and set(first['seeds']) <= set(method['seeds'])]  # fmt: skip
    return table(header, rows + [_final_row(results, method, method['seeds']) for method in methods.values()])


def _final_row(results: Results, method: Mapping[str, Any], seeds: Sequence[int]) -> list[str]:
    cells = []
    for name in results['sets']:
        values = {metric: method['final'][name][metric]['values'] for metric in METRICS}
        found = {metric: moments([values[metric][str(seed)] for seed in seeds]) for metric in METRICS}
        cells.append(' / '.join(spread(found[metric], DECIMALS[metric]) for metric in METRICS))
    same = f' (seed {", ".join(map(str, seeds))})' if len(seeds) < len(method['seeds']) else ''
    return [f'{method["title"]}{same}', str(len(seeds)), *cells]


def _gain_table(results: Results, methods: Mapping[str, Any]) -> str:
    """A column a set and baseline; what has no gain over itself has a dash."""
    titles = {other: results['methods'][other]['title'] for other in AGAINST if other in results['methods']}
    header = ['gain, dB', *(f'{name} over {title}' for title in titles.values() for name in results['sets'])]
    rows = []
    for method in methods.values():
        gains = [(method['gain'].get(other) or {}).get(name) for other in titles for name in results['sets']]
        if any(gains):
            rows.append([method['title'], *(spread(gain['psnr'], 3, True) if gain else '-' for gain in gains)])
    return table(header, rows) if rows else ''


def _budget_text(results: Results) -> str:
    text = ('Gain in PSNR over the student alone at the same seed and after the same seconds, by seconds an iteration '
            'of each measured alone, between validations linear; for the student alone its PSNR. A method that is done '
            'by then has its last value; one that is not (it/all below 1) has not had all of its learning rate '
            'schedule.')  # fmt: skip
    if results['cache_seconds'] is not None:
        text += (f' The cache took {results["cache_seconds"]:.0f} s of teacher, once for all cells: in the columns '
                 '"+ cache" each method that trains from it makes all of it first, in the same time.')  # fmt: skip
    return text


def _budget_table(results: Results, budget: str) -> list[str]:
    """A heading and a table: one budget, a column a set, with and without paying for the cache."""
    limit, base = results['budgets'][budget], AGAINST[0]
    ways = ['free', *(['paying'] if results['cache_seconds'] is not None else [])]
    header = ['method', 's/it', 'it/all', *(f'{name}{" + cache" if way == "paying" else ""}' for way in ways
                                            for name in results['curve_sets'])]  # fmt: skip
    rows = []
    for key, method in results['methods'].items():
        found = method['at_budget'].get(budget)
        if found:
            kind = 'psnr' if key == base else 'gain'
            cells = [(found.get(way) or {}).get(kind, {}).get(name, {}).get('psnr') for way in ways
                     for name in results['curve_sets']]  # fmt: skip
            share = min(1.0, limit / method['seconds'] / method['iterations'])
            rows.append([method['title'], f'{method["seconds"]:.4f}', f'{share:.2f}',
                         *(spread(each, 3, kind == 'gain') if each else '-' for each in cells)])  # fmt: skip
    title = results['methods'][budget]['title']
    return [f'### {limit:.0f} s: all {results["iterations"]:,d} iterations of {title}', table(header, rows)]


def _significance_text() -> str:
    return ('PSNR of DUKD minus that of another method on each image, averaged over seeds; mean over images, and its '
            '95 % interval by 10,000 resamples of the images with replacement (paired bootstrap).')  # fmt: skip


def _significance_table(results: Results) -> str:
    rows = []
    for other, sets in results['significance'].items():
        title = f'{results["methods"][OURS]["title"]} - {results["methods"][other]["title"]}'
        rows += [[title, name, str(found['images']), str(found['seeds']), f'{found["mean"]:+.4f}',
                  f'{found["low"]:+.4f} to {found["high"]:+.4f}'] for name, found in sets.items()]  # fmt: skip
    return table(['difference', 'set', 'images', 'seeds', 'dB', '95 % interval'], rows)


def spread(found: Mapping[str, Any], decimals: int, signed: bool = False) -> str:
    """'35.123 ± 0.012', without ± for one seed."""
    sign = '+' if signed else ''
    text = f'{found["mean"]:{sign}.{decimals}f}'
    return text if found['std'] is None else f'{text} ± {found["std"]:.{decimals}f}'


def _plain(metrics: Mapping[str, float]) -> str:
    return ' / '.join(f'{metrics[metric]:.{DECIMALS[metric]}f}' for metric in METRICS)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown with the first column left and the others right."""
    rule = ['---', *['---:'] * (len(header) - 1)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in [header, rule, *rows])


def latex(results: Results) -> str:
    """One booktabs table: every method's PSNR / SSIM, and its gain over KD in the mean over sets left to the text."""
    sets = results['sets']
    lines = [f'% {results["title"]}: {results["iterations"]} iterations', rf'\begin{{tabular}}{{lr{"c" * len(sets)}}}',
             r'\toprule', 'Method & $n$ & ' + ' & '.join(map(escaped, sets)) + r' \\', r'\midrule']  # fmt: skip
    for kind, values in results['references'].items():
        lines.append(rf'{escaped(kind)} & & {" & ".join(_plain(values[name]) for name in sets)} \\')
    for group in GROUPS:
        there = methods_of(results, group)
        lines += [r'\midrule'] * bool(there)
        for method in there.values():
            cells = [' / '.join(_math(method['final'][name][metric], DECIMALS[metric]) for metric in METRICS)
                     for name in sets]  # fmt: skip
            lines.append(rf'{escaped(method["title"])} & {len(method["seeds"])} & {" & ".join(cells)} \\')
    return '\n'.join([*lines, r'\bottomrule', r'\end{tabular}']) + '\n'


def _math(found: Mapping[str, Any], decimals: int) -> str:
    return f'${spread(found, decimals)}$'.replace('±', r'\pm')


def escaped(text: str) -> str:
    """A title in LaTeX."""
    for character, instead in (
        ('\\', r'\textbackslash{}'),
        ('_', r'\_'),
        ('&', r'\&'),
        ('%', r'\%'),
        ('λ', r'$\lambda$'),
    ):
        text = text.replace(character, instead)
    return text


def to_csv(results: Results) -> str:
    """A line a method, set and metric."""
    keys = ['method', 'title', 'group', 'set', 'metric', 'n', 'mean', 'std', 'seconds_per_iteration']
    keys += [f'gain_over_{other}{end}' for other in AGAINST for end in ('', '_std')]
    stream = io.StringIO()
    writer = csv.DictWriter(stream, keys, lineterminator='\n')
    writer.writeheader()
    for name, method in results['methods'].items():
        for set_name, metrics in method['final'].items():
            for metric, found in metrics.items():
                row = {'method': name, 'title': method['title'], 'group': method['group'], 'set': set_name,
                       'metric': metric, 'n': found['n'], 'mean': found['mean'], 'std': found['std'],
                       'seconds_per_iteration': method['seconds']}  # fmt: skip
                for other in AGAINST:
                    gain = (method['gain'].get(other) or {}).get(set_name, {}).get(metric, {})
                    row |= {f'gain_over_{other}': gain.get('mean'), f'gain_over_{other}_std': gain.get('std')}
                writer.writerow(row)
    return stream.getvalue()
