"""The report of a finished run: one HTML page with the table, the curves, the files, and pictures to compare."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
from torch.utils.data import Subset

from dukd_basicsr import options
from dukd_basicsr.commands.distill.refinement import FORM
from dukd_basicsr.errors import format_count
from dukd_basicsr.evaluation.benchmark.measure import ImageResult, build_dataset, evaluate
from dukd_basicsr.evaluation.benchmark.protocol import find_common_protocol
from dukd_basicsr.evaluation.benchmark.rows import load_networks
from dukd_basicsr.evaluation.report import Comparison, Form, Report, write_report
from dukd_basicsr.networks.acceleration import find_device

PICTURES = 4
"""Validation photographs that are compared."""
_ITERATION = re.compile(r'\biter: *([\d,]+), lr:')
_TERM = re.compile(r'\b(l_\w+): (\S+)')
_METRIC = re.compile(r'^\t # (\w+): (\S+)')
FORMS = {
    'fp32': 'fp32',
    'fp16': 'fp16',
    'int8': 'int8, calibrated after training',
    FORM: 'int8, trained for',
}
"""The exported forms, by the end of their file's name, and what they are called."""
_DIGITS = {'psnr': 3, 'ssim': 4}
Curves = dict[str, list[tuple[int, float]]]


def write_outcome(
    root: Path, name: str, title: str, facts: Mapping[str, str], commands: Sequence[str], benchmark: Path
) -> None:
    """Write `report.html` of a run.

    Args:
        root (Path): The folder of the run; the current one.
        name (str): The student's.
        title (str): Of the page.
        facts (Mapping[str, str]): Word to line.
        commands (Sequence[str]): What to type to get all of it again.
        benchmark (Path): What `basicsr benchmark` has written as JSON.

    Raises:
        RunError: It cannot be written.
    """
    rows = json.loads(benchmark.read_text(encoding='utf-8'))['rows']
    logs = sorted((root / 'experiments' / name).glob('train_*.log'), key=lambda log: log.stat().st_mtime)
    curves = read_curves(''.join(log.read_text(encoding='utf-8') for log in logs))
    set_name = next(iter(rows[0]['scores']))
    references = {row['name']: row for row in rows if row['kind'] in ('teacher', 'bicubic')}
    for metric in ('psnr', 'ssim'):
        of_student = curves.pop(metric, [])
        if of_student:
            curves[f'{metric.upper()}: {name}'] = of_student
            ends = of_student[0][0], of_student[-1][0]
            for other, row in references.items():
                value = row['scores'][set_name].get(metric)
                curves[f'{metric.upper()}: {other}'] = [(end, value) for end in ends] if value is not None else []
    report = Report(
        title=title,
        facts=tuple(facts.items()),
        headers=('network', 'parameters', 'multiply-accumulates', 'ms an image', 'PSNR, dB', 'SSIM'),
        rows=[_write_row(row, set_name, name) for row in rows],
        comparisons=_compare(root / f'{name}.yml'),
        forms=_list_forms(root, name, rows, set_name),
        curves=curves,
        commands=commands,
    )
    write_report(root / 'report.html', report)


def judge(benchmark: Path, name: str) -> tuple[str, str | None]:
    """The result in a line, and a warning where the student has hardly begun to learn.

    Args:
        benchmark (Path): What `basicsr benchmark` has written as JSON.
        name (str): The student's.
    """
    rows = json.loads(benchmark.read_text(encoding='utf-8'))['rows']
    set_name = next(iter(rows[0]['scores']))
    scores = {
        row['name']: row['scores'][set_name].get('psnr')
        for row in rows
        if row['kind'] != 'student' or row['name'] == name
    }
    line = ', '.join(f'{row} {_format_score(score, 2)} dB' for row, score in scores.items())
    psnr, bicubic = scores.get(name), scores.get('bicubic')
    if psnr is None or bicubic is None or psnr >= bicubic:
        return line, None
    return line, (
        f'{name} is still worse than bicubic: train it longer in another folder, or with another learning rate '
        '(train.optim_g.lr of its options file, by basicsr train).'
    )


def compare_forms(benchmark: Path, name: str) -> str:
    """The exported forms side by side, a line each: PSNR and milliseconds for an image of the validation set.

    Args:
        benchmark (Path): What `basicsr benchmark` has written as JSON.
        name (str): The student's.
    """
    rows = {row['name']: row for row in json.loads(benchmark.read_text(encoding='utf-8'))['rows']}
    width, lines = max(map(len, FORMS.values())), []
    for form, label in FORMS.items():
        row = rows.get(f'{name}_{form}')
        if row is not None:
            psnr = _format_score(next(iter(row['scores'].values())).get('psnr'), _DIGITS['psnr'])
            lines.append(f'  {label:<{width}}  {psnr:>7} dB  {row["ms_per_image"]:7.1f} ms\n')
    return ''.join(lines)


def read_curves(log: str) -> Curves:
    """Terms and validation metrics by iteration, from the lines of BasicSR's log.

    A run that was killed and resumed repeats what it had not saved: of two values of an iteration the last one counts.

    Args:
        log (str): The log files of a run, one after the other. A validation is at the iteration of the last line before
            it, since `logger.print_freq` divides `val.val_freq`.
    """
    found: dict[str, dict[int, float]] = {}
    iteration = 0
    for line in log.splitlines():
        match = _ITERATION.search(line)
        if match:
            iteration = int(match[1].replace(',', ''))
            for term, value in _TERM.findall(line):
                found.setdefault(f'losses: {term}', {})[iteration] = float(value)
        elif (match := _METRIC.match(line)) and iteration:
            found.setdefault(match[1], {})[iteration] = float(match[2])
    return {curve: sorted(points.items()) for curve, points in found.items()}


def _write_row(row: Mapping[str, Any], set_name: str, name: str) -> list[str]:
    form = FORMS.get(row['name'].removeprefix(f'{name}_'))
    label = f'{row["name"]} ({form})' if form else row['name']
    scores = row['scores'][set_name]
    cells = [_format_score(scores.get(metric), digits) for metric, digits in _DIGITS.items()]
    return [label, format_count(row['params']), format_count(row['macs']), f'{row["ms_per_image"]:.1f}', *cells]


def _format_score(score: float | None, digits: int) -> str:
    return '-' if score is None else f'{score:.{digits}f}'


def _list_forms(root: Path, name: str, rows: Sequence[Mapping[str, Any]], set_name: str) -> list[Form]:
    """The checkpoint and the exported files."""
    by_name = {row['name']: row for row in rows}
    model = root / 'experiments' / name / 'models' / 'net_g_latest.pth'
    forms = []
    for file in [model, *_find_exported(root, name)]:
        title = 'PyTorch checkpoint' if file == model else f'ONNX {FORMS[file.stem.removeprefix(f"{name}_")]}'
        row = by_name.get(name if file == model else file.stem)
        measured = (row['ms_per_image'], row['scores'][set_name].get('psnr')) if row else (None, None)
        forms.append(Form(f'{title}: {file.name}', file.stat().st_size, *measured))
    return forms


def _find_exported(root: Path, name: str) -> list[Path]:
    return [file for form in FORMS if (file := root / 'exported' / f'{name}_{form}.onnx').is_file()]


def _compare(file: Path) -> dict[str, Comparison]:
    """What bicubic, the student and the teacher make of a few validation photographs, evenly chosen."""
    opt = options.load(file)
    device = find_device()
    networks = load_networks({file: opt}, device)
    dataset = build_dataset(next(iter(find_common_protocol({file: opt}).sets.values())))
    step = max(1, len(dataset) // PICTURES)
    chosen = Subset(dataset, range(0, len(dataset), step)[:PICTURES])
    return {image.name: _lay_out(image) for image in evaluate(networks, chosen, {}, device, 'report')}


def _lay_out(image: ImageResult) -> Comparison:
    answers = {each.network.kind: cv2.cvtColor(each.sr, cv2.COLOR_BGR2RGB) for each in image.measurements}
    return {**answers, 'original': cv2.cvtColor(image.gt, cv2.COLOR_BGR2RGB)}
