"""`basicsr distill`: the plan, and its stages one after the other; each leaves what its own command would have left."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

from dukd_basicsr.commands.distill.commands import Words, run_command, show_command
from dukd_basicsr.commands.distill.outcome import compare_forms, judge
from dukd_basicsr.commands.distill.plan import Plan, format_time, make_plan
from dukd_basicsr.commands.distill.record import Record, find_record
from dukd_basicsr.commands.distill.refinement import STAGE, refuse_unfit
from dukd_basicsr.commands.distill.request import Request
from dukd_basicsr.commands.distill.stage_list import REPORT, RESULTS, Stage, list_stages, list_times
from dukd_basicsr.data.atomic import refuse_unwritable
from dukd_basicsr.data.locks import hold
from dukd_basicsr.networks.onnx.session import require_packages
from dukd_basicsr.training.signals import SIGNALS, end_at


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
    require_packages('basicsr distill')  # for the export, which comes after the training
    if request.int8:
        refuse_unfit(request.student)
    if only_plan:
        record = find_record(request)
        plan = record.plan if record else make_plan(request)[0]
        _print_plan(plan, request, _list_finished(record) if record else ())
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
            record.save()
        for number, stage in enumerate(stages := list_stages(record.plan, request), 1):
            _run(stage, f'{number}/{len(stages)}', record, request)
    spent, planned = format_time(sum(record.spent.values())), format_time(sum(record.plan.seconds.values()))
    sys.stdout.write(
        f'\nDone in {spent}, planned {planned}: {list_times(record)}.\n'
        f'The report is {request.out / REPORT}, and all else beside it.\n'
    )
    line, warning = judge(request.out / RESULTS / 'benchmark.json', record.plan.settings.name)
    forms = compare_forms(request.out / RESULTS / 'benchmark.json', record.plan.settings.name)
    sys.stdout.write(f'{line}\nexported, on the validation photographs, ms an image:\n{forms}')
    sys.stdout.flush()
    if warning is not None:
        sys.stderr.write(f'basicsr distill: warning: {warning}\n')


def _list_finished(record: Record) -> list[str]:
    """The stages that are not run again: a refinement that is still to come is exported and shown after it."""
    is_coming = record.plan.int8 is not None and STAGE not in record.done
    return [name for name in record.done if not (is_coming and name in ('export', 'benchmark', 'report'))]


def _run(stage: Stage, number: str, record: Record, request: Request) -> None:
    """Run a stage, unless it is finished, and note it."""
    name = stage.name
    if name in record.done and all((record.root / path).exists() for path in stage.outputs):
        sys.stdout.write(f'[{number}] {name}: done before, in {format_time(record.spent.get(name, 0))}\n')
        return
    finished = (*_list_finished(record), name)
    rest = sum(seconds for other, seconds in record.plan.seconds.items() if other not in finished)
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
    again = ('benchmark', 'report') if name == STAGE else ()  # they show what has just been made
    record.done = [*(done for done in record.done if done != name and done not in again), name]
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
    for number, stage in enumerate(list_stages(plan, request), 1):
        state = 'done' if stage.name in done else f'about {format_time(plan.seconds.get(stage.name, 0))}'
        sys.stdout.write(f'{number}. {stage.name}: {stage.what} ({state})\n')
        sys.stdout.write(''.join(f'     $ {show_command(words, request.own_modules)}\n' for words in stage.commands))
    sys.stdout.write('\n')
    sys.stdout.flush()
    sys.stderr.write(''.join(f'basicsr distill: warning: {warning}\n' for warning in plan.warnings))
