"""From a request to all that will be done: networks, options, stages and how long each takes."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch

from datasets_prep.subimages import find_windows
from dukd_basicsr.commands.distill import measure
from dukd_basicsr.commands.distill.facts import describe_plan
from dukd_basicsr.commands.distill.options_file import CROPS, SUB_IMAGE, Settings
from dukd_basicsr.commands.distill.outcome import PICTURES
from dukd_basicsr.commands.distill.photographs import HELD_OUT, LARGEST_HELD_OUT, Survey, survey
from dukd_basicsr.commands.distill.real_options import SCALE
from dukd_basicsr.commands.distill.request import Request
from dukd_basicsr.commands.distill.students import Student, choose_student, measure_time
from dukd_basicsr.commands.distill.teacher import Teacher, recognise, try_out
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.build import build
from dukd_basicsr.networks.cost import find_lr_size
from dukd_basicsr.networks.deploy import deploy

LATE_FROM = 10_000
"""Iterations from which on the end of a run is upcycled: docs/study has found no gain in runs of 1,200 to 2,700, the
paper has them at 250,000. It costs what logits distillation costs."""
SHORTEST = 50
"""Iterations that --hours must leave."""
MOST_VALIDATIONS, VALIDATING = 8, 0.1
"""In the course of a training, and the share of its time that they may take; there is one at least."""
_PREPARING = 0.15
"""Seconds for a million HR pixels, of one CPU; like the next two from runs on two cores."""
_EXPORTING = 5.0
"""Of each of the three forms."""
_SCORING = 0.4
"""Of PSNR, SSIM and pictures, for a million HR pixels and each row of the table."""
_ROWS = 6
"""Bicubic, the student, its three exported forms, and the teacher."""


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything is made. It is kept in the folder of the run."""

    settings: Settings
    facts: Mapping[str, str]
    """Word to line, in the order in which they are shown."""
    seconds: Mapping[str, float]
    """Stage to about how long it takes."""
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {**asdict(self), 'warnings': list(self.warnings)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Plan:
        """What `to_json` made."""
        settings = Settings(**content['settings'])
        return cls(settings, content['facts'], content['seconds'], tuple(content['warnings']))


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
    seconds = _estimate(settings, found, teacher, student_ms)
    settings = _choose_length(settings, request, live, cached, seconds)
    if settings.late:
        seconds['label'] *= 1 + CROPS * patch**2 / (SUB_IMAGE // teacher.scale) ** 2
    step = cached if settings.cached else live
    seconds['train'] += settings.iterations * step + settings.validations * seconds.pop('validation')
    if not settings.cached:
        del seconds['label']
    facts = describe_plan(request, settings, teacher, student, found, (live, cached, student_ms, quick / plain))
    return Plan(settings, facts, {name: round(value, 1) for name, value in seconds.items()}, _warn(teacher)), found


def measure_time_of(student: Student) -> float:
    """Milliseconds for a 1280x720 output; measured already where the student was chosen by it."""
    return student.figures.ms or measure_time(deploy(build(student.network).eval()), student.scale)


def _estimate(settings: Settings, found: Survey, teacher: Teacher, student_ms: float) -> dict[str, float]:
    """Seconds of every stage but for the iterations of the training."""
    scale = settings.scale
    train = sum(each.width * each.height for each in found.train) / 1e6
    sides = [(each.width, each.height) for each in found.held_out]
    if not found.of_own:
        sides = [(min(width, LARGEST_HELD_OUT), min(height, LARGEST_HELD_OUT)) for width, height in sides]
    held_out = sum(width * height for width, height in sides) / 1e6
    height, width = find_lr_size(scale)
    for_student = student_ms / 1000 / (height * width) / scale**2 * 1e6  # for a million pixels of HR
    for_teacher = teacher.seconds / scale**2 * 1e6
    windows = sum(
        len(find_windows(each.width, SUB_IMAGE, SUB_IMAGE)) * len(find_windows(each.height, SUB_IMAGE, SUB_IMAGE))
        * min(each.width, SUB_IMAGE) * min(each.height, SUB_IMAGE)
        for each in found.train
    ) / 1e6  # fmt: skip
    return {
        'prepare': 2 + _PREPARING * (train + 2 * held_out),
        'options': 0.1,
        'label': 2 + windows * for_teacher,
        'train': 5.0,
        'validation': held_out * (for_student + _SCORING),
        'export': 3 * _EXPORTING,
        'report': 3 + min(1.0, PICTURES / len(sides)) * held_out * (for_teacher + for_student),
        'benchmark': 3 + held_out * (for_teacher + 4 * for_student + _ROWS * _SCORING),
    }


def _choose_length(
    settings: Settings, request: Request, live: float, cached: float, seconds: Mapping[str, float]
) -> Settings:
    """Iterations, and the way to them that takes less time (or leaves more iterations of it).

    Raises:
        UserError: --hours leave none.
    """
    validation, label = seconds['validation'], seconds['label']
    if request.iterations is not None:
        total = request.iterations
        by_cache = label + total * cached < total * live
        validations = _count_validations(min(label + total * cached, total * live), validation)
    else:
        others = sum(value for name, value in seconds.items() if name not in ('label', 'validation'))
        budget = 3600 * (request.hours or 0.0) - others
        validations = _count_validations(budget, validation)
        budget -= validations * validation
        lengths = budget / live, (budget - label) / cached
        by_cache, total = lengths[1] > lengths[0], _round_down(max(lengths))
        if total < SHORTEST:
            least = others + validation + SHORTEST * live
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
