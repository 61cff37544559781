"""From a request to all that will be done: networks, options, stages and how long each takes."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from dukd_basicsr.commands.distill import measure
from dukd_basicsr.commands.distill.estimate import (
    EXPORTING,
    SCORING,
    count_held_out,
    estimate_stages,
    measure_time_of,
    refine_too,
    take_for_a_million,
    time_deployed,
)
from dukd_basicsr.commands.distill.facts import describe_plan
from dukd_basicsr.commands.distill.options_file import CROPS, SUB_IMAGE, Settings
from dukd_basicsr.commands.distill.photographs import HELD_OUT, Survey, survey
from dukd_basicsr.commands.distill.real_options import SCALE
from dukd_basicsr.commands.distill.refinement import fit_iterations, refine, spend
from dukd_basicsr.commands.distill.request import Request
from dukd_basicsr.commands.distill.students import choose_student
from dukd_basicsr.commands.distill.teacher import Teacher, recognise, try_out
from dukd_basicsr.errors import UserError

LATE_FROM = 10_000
"""Iterations from which on the end of a run is upcycled: docs/study has found no gain in runs of 1,200 to 2,700, the
paper has them at 250,000. It costs what logits distillation costs."""
SHORTEST = 50
"""Iterations that --hours must leave."""
MOST_VALIDATIONS, VALIDATING = 8, 0.1
"""In the course of a training, and the share of its time that they may take; there is one at least."""


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything is made. It is kept in the folder of the run."""

    settings: Settings
    facts: Mapping[str, str]
    """Word to line, in the order in which they are shown."""
    seconds: Mapping[str, float]
    """Stage to about how long it takes."""
    warnings: tuple[str, ...] = ()
    int8: Settings | None = None
    """Of the refinement for int8; None without one."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), 'warnings': list(self.warnings)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Plan:
        """What `to_json` made."""
        settings = Settings(**content['settings'])
        int8 = content.get('int8')
        refined = None if int8 is None else Settings(**int8)
        return cls(settings, content['facts'], content['seconds'], tuple(content['warnings']), refined)


def make_plan(request: Request) -> tuple[Plan, Survey]:
    """Recognise the teacher, divide the photographs, choose the student, and measure. Nothing is written.

    Raises:
        UserError: Whatever makes it impossible, see the modules that are called; or --hours that leave no iterations.
    """
    sys.stderr.write('basicsr distill: looking at the teacher and the photographs, and measuring an iteration ...\n')
    opened = recognise(request.teacher, request.opt)
    on_gpu = torch.cuda.is_available()
    patch, batch = (48, 16) if on_gpu else (32, 8)
    if request.real and opened.scale != SCALE:
        raise UserError(
            f'--real: the degradations are those of x{SCALE}, and the teacher is of x{opened.scale}; leave --real out, '
            f'or give a teacher of x{SCALE}.'
        )
    found = survey(request.photos, request.val, patch * opened.scale)
    teacher = try_out(opened, found.held_out)
    student = choose_student(request.student, teacher.scale, request.goal, teacher.figures)
    settings = Settings(
        name=student.name,
        scale=teacher.scale,
        student=student.network,
        teacher=teacher.network,
        teacher_file=f'experiments/pretrained_models/{request.teacher.name}',
        patch=patch,
        batch=batch,
        workers=min(6, (os.cpu_count() or 1) - 1),
        iterations=request.iterations or LATE_FROM - 1,
        rate=student.rate,
        cached=False,
        late=False,
        val_set=HELD_OUT.name if request.val is None else 'validation',
        real=request.real,
    )
    settings, quick, plain = measure.choose_way(settings, request.teacher, cached=not request.real)
    live = quick if request.real else measure.measure_step(settings, request.teacher, cached=False)
    cached = math.inf if request.real else quick
    student_ms = measure_time_of(student)
    seconds = estimate_stages(settings, found, teacher, student_ms)
    refining = _measure_refining(settings, request) if request.int8 else (0.0, 0.0)
    seconds |= refine_too(seconds, seconds['validation']) if request.int8 else {}
    settings = _choose_length(settings, request, live, cached, seconds, refining)
    if settings.late:
        seconds['label'] *= 1 + CROPS * patch**2 / (SUB_IMAGE // teacher.scale) ** 2
    step = cached if settings.cached else live
    seconds['train'] += settings.iterations * step + settings.validations * seconds.pop('validation')
    if not settings.cached:
        del seconds['label']
    facts = describe_plan(request, settings, teacher, student, found, (live, cached, student_ms, quick / plain))
    plan = Plan(settings, facts, {name: round(value, 1) for name, value in seconds.items()}, _warn(teacher))
    return (_with_refinement(plan, refining[settings.cached]) if request.int8 else plan), found


def add_refinement(plan: Plan, found: Survey, teacher: Path) -> Plan:
    """The plan of a run that was begun without `--int8`, with the refinement; it comes on top of `--hours`.

    Args:
        plan (Plan): Its settings stay as they are.
        found (Survey): The photographs.
        teacher (Path): Its file.

    Raises:
        UserError: The student has other layers than convolutions.
    """
    settings = plan.settings
    step = measure.measure_step(refine(settings), teacher, settings.cached)
    student_ms = time_deployed(settings.student, settings.scale)
    validation = count_held_out(found) * (take_for_a_million(student_ms, settings.scale) + SCORING)
    return _with_refinement(replace(plan, seconds={**plan.seconds, **refine_too(plan.seconds, validation)}), step)


def drop_refinement(plan: Plan) -> Plan:
    """The plan without a refinement that has not been finished."""
    dropped = {'refine': 0.0, 'export': EXPORTING}
    seconds = {name: value - dropped.get(name, 0.0) for name, value in plan.seconds.items() if name != 'refine'}
    return replace(
        plan, int8=None, seconds=seconds, facts={word: line for word, line in plan.facts.items() if word != 'int8'}
    )


def _with_refinement(plan: Plan, step: float) -> Plan:
    """With the settings, the time and the words of the refinement, whose iterations take `step` seconds."""
    refined = refine(plan.settings)
    seconds = {**plan.seconds, 'refine': round(plan.seconds['refine'] + refined.iterations * step, 1)}
    fact = f'refined for it: {refined.iterations:,} iterations of {step:.3g} s, learning rate {refined.rate:g}'
    return replace(plan, int8=refined, seconds=seconds, facts={**plan.facts, 'int8': fact})


def _measure_refining(settings: Settings, request: Request) -> tuple[float, float]:
    """Seconds of an iteration with labels made live, and from a cache."""
    refined = refine(settings)
    live = measure.measure_step(refined, request.teacher, cached=False)
    return live, 0.0 if request.real else measure.measure_step(refined, request.teacher, cached=True)


def _choose_length(
    settings: Settings,
    request: Request,
    live: float,
    cached: float,
    seconds: Mapping[str, float],
    refining: tuple[float, float] = (0.0, 0.0),
) -> Settings:
    """Iterations, and the way to them that takes less time (or leaves more iterations of it).

    Raises:
        UserError: --hours leave none.
    """
    validation, label = seconds['validation'], seconds['label']
    if request.iterations is not None:
        total = request.iterations
        by_label, from_cache = spend(total, live, refining[0]), label + spend(total, cached, refining[1])
        by_cache = from_cache < by_label
        validations = _count_validations(min(label + total * cached, total * live), validation)
    else:
        others = sum(value for name, value in seconds.items() if name not in ('label', 'validation'))
        budget = 3600 * (request.hours or 0.0) - others
        validations = _count_validations(budget, validation)
        budget -= validations * validation
        lengths = fit_iterations(budget, live, refining[0]), fit_iterations(budget - label, cached, refining[1])
        by_cache, total = lengths[1] > lengths[0], _round_down(max(lengths))
        if total < SHORTEST:
            least = others + validation + spend(SHORTEST, live, refining[0])
            raise UserError(
                f'--hours {request.hours:g} leave no time to train in: all else takes about '
                f'{format_time(others + validation)}; give at least --hours {math.ceil(least / 36) / 100:g}.'
            )
    return replace(settings, iterations=total, validations=validations, cached=by_cache, late=total >= LATE_FROM)


def _count_validations(training: float, each: float) -> int:
    """How often there is time for one, in seconds."""
    return min(MOST_VALIDATIONS, max(1, int(VALIDATING * training / each)))


def _round_down(value: float) -> int:
    """To two digits."""
    if value < 10:
        return int(max(value, 0))
    power = 10 ** (math.floor(math.log10(value)) - 1)
    return int(value // power * power)


def _warn(teacher: Teacher) -> tuple[str, ...]:
    if teacher.psnr >= teacher.bicubic:
        return ()
    return (
        f'the teacher enlarges your photographs with {teacher.psnr:.2f} dB, bicubic with {teacher.bicubic:.2f}: if it '
        'was trained for looks, PSNR says little of it and of its student; if not, its arguments are wrong: give its '
        'options file, -opt FILE.',
    )


def format_time(seconds: float) -> str:
    """E.g. '45 s', '3:05 min', '2:10 h'."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f'{whole} s'
    if whole < 3600:
        return f'{whole // 60}:{whole % 60:02d} min'
    return f'{whole // 3600}:{whole % 3600 // 60:02d} h'
