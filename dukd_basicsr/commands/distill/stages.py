"""`basicsr distill`: the plan, and its stages one after the other; each leaves what its own command would have left."""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dukd_basicsr.commands.distill import photographs
from dukd_basicsr.commands.distill.calibration import write_calibration
from dukd_basicsr.commands.distill.commands import Words, run_command, show_command
from dukd_basicsr.commands.distill.options_file import CROPS, SUB_IMAGE, TRAIN_SET, Settings, write_options
from dukd_basicsr.commands.distill.outcome import judge, write_outcome
from dukd_basicsr.commands.distill.photographs import CALIBRATION, HELD_OUT, TRAIN
from dukd_basicsr.commands.distill.plan import Plan, format_time, make_plan
from dukd_basicsr.commands.distill.record import Record, find_record
from dukd_basicsr.commands.distill.request import Request
from dukd_basicsr.data.atomic import refuse_unwritable, write_result
from dukd_basicsr.data.locks import hold
from dukd_basicsr.data.paths import work_in
from dukd_basicsr.networks.export import PRECISIONS
from dukd_basicsr.training.signals import SIGNALS, end_at

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


def distill(request: Request, only_plan: bool = False) -> None:
    """Do what is asked for, or what is missing of it.

    Args:
        request (Request): The command line.
        only_plan (bool): Print the plan and leave nothing.

    Raises:
        UserError: A mistake in what was asked for; nothing has been made then.
        RunError: A stage failed on the way; the same command goes on.
        RunStopped: A signal has stopped it; the same command goes on.
    """
    if only_plan:
        record = find_record(request)
        plan = record.plan if record else make_plan(request)[0]
        _print_plan(plan, request, record.done if record else ())
        sys.stdout.write('This is the plan; nothing has been made. Without --plan it is done.\n')
        return
    refuse_unwritable(request.out)
    what_then = f'; what is finished is kept. Go on with: {request.to_command()}'
    with hold(request.out), end_at(SIGNALS, what_then):  # a training in it handles signals itself
        record = find_record(request)
        if record is None:
            plan, found = make_plan(request)
            record = Record(request.out, request.to_json(), request.to_command(), plan, found)
            _print_plan(plan, request, ())
            record.save()
        else:
            sys.stdout.write(f'{request.out}: going on with {record.plan.settings.name}.\n')
        for number, stage in enumerate(stages := list_stages(record.plan.settings, request), 1):
            _run(stage, f'{number}/{len(stages)}', record, request)
    spent, planned = format_time(sum(record.spent.values())), format_time(sum(record.plan.seconds.values()))
    sys.stdout.write(
        f'\nDone in {spent}, planned {planned}: {_list_times(record)}.\n'
        f'The report is {request.out / REPORT}, and all else beside it.\n'
    )
    line, warning = judge(request.out / RESULTS / 'benchmark.json', record.plan.settings.name)
    sys.stdout.write(f'{line}\n')
    sys.stdout.flush()
    if warning is not None:
        sys.stderr.write(f'basicsr distill: warning: {warning}\n')


def list_stages(settings: Settings, request: Request) -> list[Stage]:
    """The stages of a plan in their order."""
    file, model = f'{settings.name}.yml', f'experiments/{settings.name}/models/net_g_latest.pth'
    name = settings.name
    crops = ['--per_image', str(CROPS)] if settings.late else []
    forms = [f'exported/{name}_{precision}.onnx' for precision in PRECISIONS]
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
            'ONNX in fp32, fp16 and int8, checked against torch',
            [_export(model, form, file, precision) for form, precision in zip(forms, PRECISIONS, strict=True)],
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


def _export(model: str, form: str, file: str, precision: str) -> list[str]:
    calibrate = ['--calibrate', str(CALIBRATION)] if precision == 'int8' else []
    return ['export', model, '-o', form, '-opt', file, '--precision', precision, *calibrate]


def _write_options(request: Request, record: Record) -> None:
    """The options file, unless it is there, and the teacher where it says."""
    root, settings = record.root, record.plan.settings
    teacher = root / settings.teacher_file
    if not teacher.is_file():
        teacher.parent.mkdir(parents=True, exist_ok=True)
        write_result(teacher, request.teacher.read_bytes())
    file = root / f'{settings.name}.yml'
    if not file.is_file():
        facts = [f'{word}: {line}' for word, line in record.plan.facts.items() if word != 'folder']
        imports = ''.join(f'--import {path} ' for path in request.own_modules)
        head = [
            f'{request.teacher.name} into {settings.name}, written by basicsr distill; change what you like.',
            f'In this folder: basicsr train {imports}-opt {file.name} [--auto_resume]',
            '',
            *facts,
        ]
        write_result(file, write_options(settings, head).encode())


def _write_report(request: Request, record: Record) -> None:
    """The page; its commands are those of the run and of each stage."""
    stages = list_stages(record.plan.settings, request)
    own = [show_command(words, request.own_modules) for stage in stages for words in stage.commands]
    commands = [request.to_command(), '\n'.join([f'cd {shlex.quote(str(record.root))}', *own])]
    name = record.plan.settings.name
    facts = {**record.plan.facts, 'time': f'{format_time(sum(record.spent.values()))}, {_list_times(record)}'}
    with work_in(record.root):
        write_outcome(
            record.root, name, f'{request.teacher.stem} to {name}', facts, commands, RESULTS / 'benchmark.json'
        )


def _list_times(record: Record) -> str:
    return ', '.join(f'{name} {format_time(seconds)}' for name, seconds in record.spent.items())


def _run(stage: Stage, number: str, record: Record, request: Request) -> None:
    """Run a stage, unless it is finished, and note it."""
    name = stage.name
    if name in record.done and all((record.root / path).exists() for path in stage.outputs):
        sys.stdout.write(f'[{number}] {name}: done before, in {format_time(record.spent.get(name, 0))}\n')
        return
    rest = sum(seconds for other, seconds in record.plan.seconds.items() if other not in record.done and other != name)
    about = format_time(record.plan.seconds.get(name, 0))
    sys.stdout.write(f'\n[{number}] {name}: {stage.what}; about {about}, and {format_time(rest)} after it\n')
    before, started = record.spent.get(name, 0.0), time.monotonic()
    try:
        if stage.before is not None:
            stage.before(record)
        for words in stage.commands:
            if _is_there(words, record.root):
                continue
            sys.stdout.write(f'$ {show_command(words, request.own_modules)}\n')
            sys.stdout.flush()
            run_command(words, record.root, request.own_modules, request.to_command())
    finally:
        record.spent[name] = round(before + time.monotonic() - started, 1)
        record.save()
    record.done = [*(done for done in record.done if done != name), name]
    record.save()
    sys.stdout.write(f'[{number}] {name}: done in {format_time(record.spent[name])}\n')
    sys.stdout.flush()


def _is_there(words: Words, root: Path) -> bool:
    """An exported form that an interrupted run has finished: `basicsr export` writes over nothing."""
    return words[0] == 'export' and (root / words[words.index('-o') + 1]).exists()


def _print_plan(plan: Plan, request: Request, done: Sequence[str]) -> None:
    width = max(map(len, plan.facts))
    sys.stdout.write(''.join(f'{word:<{width}}  {line}\n' for word, line in plan.facts.items()))
    sys.stdout.write(f'\nabout {format_time(sum(plan.seconds.values()))} in all:\n')
    for number, stage in enumerate(list_stages(plan.settings, request), 1):
        state = 'done' if stage.name in done else f'about {format_time(plan.seconds.get(stage.name, 0))}'
        sys.stdout.write(f'{number}. {stage.name}: {stage.what} ({state})\n')
        sys.stdout.write(''.join(f'     $ {show_command(words, request.own_modules)}\n' for words in stage.commands))
    sys.stdout.write('\n')
    sys.stdout.flush()
    sys.stderr.write(''.join(f'basicsr distill: warning: {warning}\n' for warning in plan.warnings))
