"""The stages of `basicsr distill` in their order: what each runs, and what is there when it is finished."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dukd_basicsr.commands.distill import photographs
from dukd_basicsr.commands.distill.calibration import write_calibration
from dukd_basicsr.commands.distill.commands import Words, show_command
from dukd_basicsr.commands.distill.options_file import CROPS, SUB_IMAGE, TRAIN_SET, Settings, write_options
from dukd_basicsr.commands.distill.outcome import write_outcome
from dukd_basicsr.commands.distill.photographs import CALIBRATION, HELD_OUT, TRAIN
from dukd_basicsr.commands.distill.plan import Plan, format_time
from dukd_basicsr.commands.distill.record import Record
from dukd_basicsr.commands.distill.refinement import FORM, STAGE
from dukd_basicsr.commands.distill.request import Request
from dukd_basicsr.data.atomic import write_result
from dukd_basicsr.data.paths import work_in
from dukd_basicsr.networks.export import PRECISIONS

RESULTS, REPORT = Path('results') / 'benchmark', Path('report.html')


@dataclass(frozen=True)
class Stage:
    """A part of the work that is finished once."""

    name: str
    what: str
    """In a few words."""
    commands: Sequence[Words]
    """What is run, in the folder of the run."""
    outputs: Sequence[Path]
    """What is there when it is finished, relative to that folder; where one has gone, the stage is run again."""
    before: Callable[[Record], None] | None = None
    """What is done before the commands."""


def list_stages(plan: Plan, request: Request) -> list[Stage]:
    """The stages of a plan in their order.

    Args:
        plan (Plan): What has been decided.
        request (Request): What was asked for.
    """
    settings, refined = plan.settings, plan.int8
    file, model = f'{settings.name}.yml', f'experiments/{settings.name}/models/net_g_latest.pth'
    name = settings.name
    crops = ['--per_image', str(CROPS)] if settings.late else []
    exports = [_export(name, name, precision, precision) for precision in PRECISIONS]
    exports += [_export(refined.name, name, FORM, 'int8')] if refined else []
    forms = [words[words.index('-o') + 1] for words in exports]
    stages = [
        Stage(
            'prepare',
            'photographs to a training set and a validation set',
            _prepare(settings),
            [Path(settings.train_roots['dataroot_gt']), Path(settings.val_roots[1])],
            lambda record: photographs.collect(record.survey, record.root),
        ),
        Stage('options', f'{file}, which is yours from now on', [], [Path(file)], partial(_write_options, request)),
        Stage(
            'label',
            'the teacher, once over all sub-images',
            [['upcycle', '-opt', file, *crops]],
            [Path(settings.cache)],
        ),
        Stage(
            'train',
            f'{settings.iterations:,} iterations',
            [['train', '-opt', file, '--auto_resume']],
            [Path(model)],
        ),
        Stage(
            'export',
            f'ONNX in fp32, fp16 and int8{" (calibrated, and trained for)" * bool(refined)}, checked against torch',
            exports,
            [Path(form) for form in forms],
            lambda record: write_calibration(settings, record.root, record.root / CALIBRATION),
        ),
        Stage(
            'benchmark',
            'bicubic, the student in every form, and the teacher on the validation photographs',
            [['benchmark', '-opt', file, '--weights', *forms, '-o', str(RESULTS), '--pictures']],
            [RESULTS / 'benchmark.json'],
        ),
        Stage('report', REPORT.name, [], [REPORT], partial(_write_report, request)),
    ]  # fmt: skip
    if refined is not None:
        stages.insert([stage.name for stage in stages].index('export'), _refine(refined, request))
    return [stage for stage in stages if settings.cached or stage.name != 'label']


def _prepare(settings: Settings) -> list[list[str]]:
    scale, least = str(settings.scale), str(settings.patch * settings.scale)
    train = ['prepare', str(TRAIN), '--name', TRAIN_SET]
    held_out = ['prepare', str(HELD_OUT), '--name', settings.val_set, '--scale', scale]
    if settings.real:
        return [
            [*train, '--preset', 'real', '--min-size', least],
            [*held_out, '--preset', 'real-test'],
        ]
    grid = ['--size', str(SUB_IMAGE), '--step', str(SUB_IMAGE)]
    return [
        [*train, '--scale', scale, *grid, '--min-size', least, '--codec', 'bmp'],
        [*held_out, '--preset', 'benchmark'],
    ]


def _refine(refined: Settings, request: Request) -> Stage:
    """Train on through the roundings of int8."""

    def write(record: Record) -> None:
        write_calibration(refined, record.root, record.root / CALIBRATION)
        _write_file(record, refined, request)

    file = f'{refined.name}.yml'
    return Stage(
        STAGE,
        f'for int8, {refined.iterations:,} iterations through its roundings, by {file}, which is yours too',
        [['train', '-opt', file, '--auto_resume']],
        [Path(file), Path(f'experiments/{refined.name}/models/net_g_latest.pth')],
        write,
    )


def _export(training: str, name: str, form: str, precision: str) -> list[str]:
    """The command for a form of what a training has left; one that was trained for int8 has its ranges with it."""
    calibrate = ['--calibrate', str(CALIBRATION)] if form == 'int8' else []
    model, target = f'experiments/{training}/models/net_g_latest.pth', f'exported/{name}_{form}.onnx'
    return ['export', model, '-o', target, '-opt', f'{training}.yml', '--precision', precision, *calibrate]


def _write_options(request: Request, record: Record) -> None:
    """The options file, and the teacher where it says."""
    settings = record.plan.settings
    teacher = record.root / settings.teacher_file
    if not teacher.is_file():
        teacher.parent.mkdir(parents=True, exist_ok=True)
        write_result(teacher, request.teacher.read_bytes())
    _write_file(record, settings, request)


def _write_file(record: Record, settings: Settings, request: Request) -> None:
    """An options file, unless it is there."""
    file = record.root / f'{settings.name}.yml'
    if not file.is_file():
        facts = [f'{word}: {line}' for word, line in record.plan.facts.items() if word != 'folder']
        imports = ''.join(f'--import {path} ' for path in request.own_modules)
        what = settings.name if settings.refines == '' else f'{record.plan.settings.name}, refined for int8'
        head = [
            f'{request.teacher.name} into {what}, written by basicsr distill; change what you like.',
            f'In this folder: basicsr train {imports}-opt {file.name} [--auto_resume]',
            '',
            *facts,
        ]
        write_result(file, write_options(settings, head).encode())


def _write_report(request: Request, record: Record) -> None:
    """The page; its commands are those of the run and of each stage."""
    stages = list_stages(record.plan, request)
    own = [show_command(words, request.own_modules) for stage in stages for words in stage.commands]
    commands = [request.to_command(), '\n'.join([f'cd {shlex.quote(str(record.root))}', *own])]
    name = record.plan.settings.name
    facts = {**record.plan.facts, 'time': f'{format_time(sum(record.spent.values()))}, {list_times(record)}'}
    with work_in(record.root):
        write_outcome(
            record.root, name, f'{request.teacher.stem} to {name}', facts, commands, RESULTS / 'benchmark.json'
        )


def list_times(record: Record) -> str:
    """What each stage has taken so far.

    Args:
        record (Record): Of the run.
    """
    return ', '.join(f'{name} {format_time(seconds)}' for name, seconds in record.spent.items())
