"""What a study has found, as one structure: final numbers, curves, gains, equal wall-clock and significance.

Final numbers are those of `basicsr benchmark` on the last EMA weights of every finished cell (DIR/benchmark/), curves
those of the validations in the training logs, seconds those of DIR/cost.json. Everything here is a function of
these files, so that a report is the same bytes whenever it is made from the same DIR.
"""

from __future__ import annotations

import csv
import json
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from study_cells import Cell, write_options
from study_logs import validations
from study_protocol import GIVEN, Method, Protocol
from study_run import basicsr

from dukd_basicsr.errors import RunError
from dukd_basicsr.significance import paired_bootstrap

OURS, AGAINST = 'dukd', ('alone', 'kd')
"""The method that is compared image by image, and those that every method's gain is counted from."""
METRICS = ('psnr', 'ssim')


def benchmark(protocol: Protocol, cells: Sequence[Cell], work: Path) -> None:
    """`basicsr benchmark` of all finished cells that DIR/benchmark has not yet, in one call: into 001, 002, ... of it.

    Raises:
        RunError: No cell has finished, or the benchmark failed.
    """
    done = [cell for cell in cells if cell.finished(work)]
    if not done:
        raise RunError('no cell has finished, so there is nothing to report.')
    measured = {name: part for part in _parts(work) for name in _rows(part)}
    files = []
    for cell in done:
        part, weights = measured.get(cell.name), cell.folder(work) / 'models' / 'net_g_latest.pth'
        if part is None or _table(part).stat().st_mtime < weights.stat().st_mtime:
            files.append(Path('options', 'benchmark', f'{cell.name}.yml'))
            (work / files[-1]).parent.mkdir(parents=True, exist_ok=True)
            write_options(work / files[-1], test_options(protocol, cell))
    if files:
        target = Path('benchmark', f'{len(_parts(work)) + 1:03d}')
        basicsr(work, 'benchmark', '-opt', *files, '-o', target, threads=protocol.threads)


def _parts(work: Path) -> list[Path]:
    return sorted(file.parent for file in (work / 'benchmark').glob('*/benchmark.json'))


def _table(part: Path) -> Path:
    return part / 'benchmark.json'


def _rows(part: Path) -> dict[str, Any]:
    return {row['name']: row for row in json.loads(_table(part).read_text(encoding='utf-8'))['rows']}


def _images(work: Path) -> dict[tuple[str, str], dict[str, float]]:
    """Network and set to image to PSNR; of a network that was measured again the newer."""
    found: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
    for part in _parts(work):
        with (part / 'benchmark_images.csv').open(newline='', encoding='utf-8') as content:
            for row in csv.DictReader(content):
                found[row['network'], row['set']][row['image']] = float(row['psnr'])
    return found


def test_options(protocol: Protocol, cell: Cell) -> dict[str, Any]:
    """A cell's student, the teacher and the test sets, whatever trained it."""
    opt = protocol.merged(protocol.tests)
    tests = [value for key, value in opt['datasets'].items() if key.startswith('val')]
    names = ('test', *(f'test_{number}' for number in range(1, len(tests))))
    key = 'params_ema' if cell.opt['train'].get('ema_decay', 0) else 'params'
    student = {'pretrain_network_g': f'experiments/{cell.name}/models/net_g_latest.pth', 'param_key_g': key}
    teacher = {name: value for name, value in opt['path'].items() if name.endswith('_t')}
    return {
        'name': cell.name, 'model_type': 'DistillModel', 'scale': protocol.scale, 'num_gpu': opt['num_gpu'],
        'manual_seed': 0, 'datasets': dict(zip(names, tests, strict=True)), 'network_g': opt['network_g'],
        'network_t': opt['network_t'], 'path': {**student, 'strict_load_g': True, **teacher},
        'val': {'save_img': False, 'suffix': None, 'metrics': opt['val']['metrics']},
    }  # fmt: skip


def collect(protocol: Protocol, cells: Sequence[Cell], work: Path) -> dict[str, Any]:
    """All results.

    Args:
        protocol (Protocol): The study.
        cells (Sequence[Cell]): Every cell of it, run or not.
        work (Path): The working folder, benchmarked.

    Returns:
        dict: JSON-able. 'methods' by name, in the order of the protocol: title, group, seeds, seconds, iterations,
            not_run (why), final[set][metric] = {values by seed, mean, std, n}, gain[against][set][metric] (the same, of
            differences paired by seed), curve and gain_curve (over AGAINST[0]) [iteration][set][metric] = {mean, std,
            n}, at_budget[budget] (see `_at_budget`). 'references': bicubic and teacher, final numbers. 'budgets': name
            to seconds. 'significance': against to set to `significance.Comparison`, images, seeds.
    """
    rows = {name: row for part in _parts(work) for name, row in _rows(part).items()}
    measured = json.loads(_table(_parts(work)[-1]).read_text(encoding='utf-8'))['protocol']
    scores = {name: row['scores'] for name, row in rows.items()}
    cost = json.loads((work / 'cost.json').read_text(encoding='utf-8')) if (work / 'cost.json').is_file() else {}
    seconds, cache = cost.get('seconds', {}), cost.get('cache_seconds')
    found = budgets(protocol, seconds)
    curves = {cell.name: validations(cell.folder(work)) for cell in cells if cell.name in scores}
    by_method = {name: [cell for cell in cells if cell.method.name == name and cell.name in scores]
                 for name in protocol.methods}  # fmt: skip
    finals = {name: _finals(own, scores) for name, own in by_method.items()}
    methods = {}
    for name, own in by_method.items():
        method = protocol.methods[name]
        methods[name] = {
            'title': method.title, 'group': method.group, 'cached': method.cached, 'seeds': [cell.seed for cell in own],
            'not_run': None if own else _reason(method), 'seconds': seconds.get(name),
            'iterations': int(own[0].opt['train']['total_iter']) if own else None,
            'final': summarised(finals[name]),
            'gain': {other: summarised(paired(finals[name], finals[other])) for other in AGAINST
                     if other in finals and other != name},
            'curve': _mean_curve([curves[cell.name] for cell in own]),
            'gain_curve': _mean_curve(_gain_curves(own, by_method.get(AGAINST[0], ()), curves)),
            'at_budget': {budget: _at_budget(name, by_method, curves, cost, limit) for budget, limit in found.items()},
        }  # fmt: skip
    names = {row['kind']: name for name, row in rows.items() if row['kind'] != 'student'}
    return {
        'title': protocol.title,
        'sets': protocol.tests,
        'curve_sets': protocol.curves,
        'images': measured['images'],
        'scale': protocol.scale,
        'iterations': protocol.total,
        'seeds': protocol.seeds,
        'protocol': measured['text'].split(' MACs')[0],
        'sizes': {row['kind']: {key: row[key] for key in ('params', 'macs')} for row in rows.values()},
        'references': {kind: scores[name] for kind, name in names.items()},
        'methods': methods,
        'budgets': found,
        'cache_seconds': cache,
        'environment': cost.get('environment'),
        'significance': significance(_images(work), protocol, by_method),
    }


def _reason(method: Method) -> str:
    return GIVEN[method.needs] if method.needs else 'not run yet'


def _finals(cells: Iterable[Cell], scores: Mapping[str, Any]) -> dict[int, Any]:
    return {cell.seed: scores[cell.name] for cell in cells}


def paired(ours: Mapping[int, Any], theirs: Mapping[int, Any]) -> dict[int, Any]:
    """Differences at the seeds that both have: seed to set to metric."""
    return {
        seed: {name: {metric: value - theirs[seed][name][metric] for metric, value in metrics.items()}
               for name, metrics in sets.items()}
        for seed, sets in ours.items() if seed in theirs
    }  # fmt: skip


def summarised(by_seed: Mapping[int, Any]) -> dict[str, dict[str, Any]]:
    """Seed to set to metric -> set to metric to {values, mean, std, n}; std (n - 1) only of several."""
    values: dict[str, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for seed, sets in by_seed.items():
        for name, metrics in sets.items():
            for metric, value in metrics.items():
                values[name][metric][str(seed)] = value
    return {name: {metric: {'values': seeds, **moments(list(seeds.values()))} for metric, seeds in metrics.items()}
            for name, metrics in values.items()}  # fmt: skip


def moments(values: Sequence[float]) -> dict[str, Any]:
    return {'mean': statistics.fmean(values), 'std': statistics.stdev(values) if len(values) > 1 else None,
            'n': len(values)}  # fmt: skip


def _mean_curve(curves: Sequence[Mapping[int, Any]]) -> dict[str, Any]:
    """Seeds' curves -> iteration to set to metric to {mean, std, n}, where every seed has one."""
    shared = sorted(set.intersection(*(set(curve) for curve in curves))) if curves else []
    return {str(iteration): {
        name: {metric: moments([curve[iteration][name][metric] for curve in curves]) for metric in metrics}
        for name, metrics in curves[0][iteration].items()
    } for iteration in shared}  # fmt: skip


def budgets(protocol: Protocol, seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds at which methods are compared: those of all iterations of the quickest main method, and of `budget`."""
    main = {name: seconds[name] for name, method in protocol.methods.items()
            if method.group == 'main' and name in seconds}  # fmt: skip
    found = {}
    if main:
        found[min(main, key=lambda name: main[name])] = min(main.values()) * protocol.total
    if protocol.budget in seconds:
        found[protocol.budget] = seconds[protocol.budget] * protocol.total
    return found


def _gain_curves(own: Sequence[Cell], others: Sequence[Cell], curves: Mapping[str, Any]) -> list[dict[int, Any]]:
    """Curves minus those of the other method at the same seeds and iterations."""
    there = {cell.seed: curves[cell.name] for cell in others}
    return [paired(curves[cell.name], there[cell.seed]) for cell in own if cell.seed in there]


def _at_budget(name: str, by_method: Mapping[str, Sequence[Cell]], curves: Mapping[str, Any], cost: Mapping[str, Any],
               limit: float) -> dict[str, Any]:  # fmt: skip
    """Where a method stands after `limit` seconds, by set: psnr, and gain over AGAINST[0] at the same seeds and time.

    'free': the cache is there; 'paying': the whole cache has to be made of these seconds first.
    """
    seconds, base = cost['seconds'], AGAINST[0]
    own = by_method[name]
    if name not in seconds or not own:
        return {}
    price = cost.get('cache_seconds') if own[0].method.cached else 0.0
    standard = _read_off(by_method.get(base, ()), curves, limit / seconds[base]) if base in seconds else {}
    found = {}
    for way, spent in (('free', 0.0), ('paying', price)):
        if spent is not None:
            psnr = _read_off(own, curves, (limit - spent) / seconds[name])
            gain = paired(psnr, standard)
            found[way] = {'psnr': summarised(psnr), 'gain': summarised(gain)}
    return found


def _read_off(cells: Iterable[Cell], curves: Mapping[str, Any], iteration: float) -> dict[int, Any]:
    """Seed to set to PSNR at an iteration; {} where a curve has not begun by then."""
    found: dict[int, Any] = {}
    for cell in cells:
        curve = curves[cell.name]
        if iteration >= min(curve):
            found[cell.seed] = {name: {'psnr': at_iteration({each: sets[name]['psnr'] for each, sets in curve.items()},
                                                            iteration)} for name in curve[min(curve)]}  # fmt: skip
    return found


def at_iteration(curve: Mapping[int, float], iteration: float) -> float:
    """A curve between its validations, linear; after the last that one."""
    iterations = sorted(curve)
    return float(np.interp(iteration, iterations, [curve[each] for each in iterations]))


def significance(psnr: Mapping[tuple[str, str], Mapping[str, float]], protocol: Protocol,
                 by_method: Mapping[str, Sequence[Cell]]) -> dict[str, Any]:  # fmt: skip
    """DUKD against each of AGAINST, image by image: PSNR differences averaged over the seeds that both have."""
    found: dict[str, Any] = {}
    for other in AGAINST:
        seeds = [cell.seed for cell in by_method.get(OURS, ()) if cell.seed in
                 {each.seed for each in by_method.get(other, ())}]  # fmt: skip
        for name in protocol.tests if seeds else ():
            images = sorted(psnr[f'{OURS}_s{seeds[0]}', name])
            scores = [[statistics.fmean(psnr[f'{method}_s{seed}', name][image] for seed in seeds) for image in images]
                      for method in (OURS, other)]  # fmt: skip
            found.setdefault(other, {})[name] = {
                **asdict(paired_bootstrap(*scores)), 'images': len(images), 'seeds': len(seeds)
            }  # fmt: skip
    return found
