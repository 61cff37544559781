"""How long every stage takes, before any is run: from what was measured on this machine, and from runs on two cores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from datasets_prep.subimages import find_windows
from dukd_basicsr.commands.distill.options_file import SUB_IMAGE, Settings
from dukd_basicsr.commands.distill.outcome import PICTURES
from dukd_basicsr.commands.distill.photographs import LARGEST_HELD_OUT, Survey
from dukd_basicsr.commands.distill.refinement import VALIDATIONS
from dukd_basicsr.commands.distill.students import Student, measure_time
from dukd_basicsr.commands.distill.teacher import Teacher
from dukd_basicsr.networks.build import build
from dukd_basicsr.networks.cost import find_lr_size
from dukd_basicsr.networks.deploy import deploy

_PREPARING = 0.15
"""Seconds for a million HR pixels, of one CPU; like the next two from runs on two cores."""
EXPORTING = 5.0
"""Of each form."""
SCORING = 0.4
"""Of PSNR, SSIM and pictures, for a million HR pixels and each row of the table."""
_CALIBRATING, _ROUNDING = 8.0, 2.0
"""Before the refinement for int8 begins, and how many times longer one of its validations takes than others."""
_ROWS = 6
"""Bicubic, the student, its three exported forms, and the teacher."""


def measure_time_of(student: Student) -> float:
    """Milliseconds for a 1280x720 output; measured already where the student was chosen by it."""
    return student.figures.ms or time_deployed(student.network, student.scale)


def time_deployed(network: Mapping[str, Any], scale: int) -> float:
    """Milliseconds that a network takes for a 1280x720 output, as it is deployed."""
    return measure_time(deploy(build(network).eval()), scale)


def estimate_stages(settings: Settings, found: Survey, teacher: Teacher, student_ms: float) -> dict[str, float]:
    """Seconds of every stage but for the iterations of the training, and of one validation.

    Args:
        settings (Settings): Of the training.
        found (Survey): The photographs.
        teacher (Teacher): As it was recognised and timed.
        student_ms (float): Milliseconds of the student for a 1280x720 output.
    """
    scale = settings.scale
    train = sum(each.width * each.height for each in found.train) / 1e6
    held_out = count_held_out(found)
    for_student = take_for_a_million(student_ms, scale)
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
        'validation': held_out * (for_student + SCORING),
        'export': 3 * EXPORTING,
        'report': 3 + min(1.0, PICTURES / len(found.held_out)) * held_out * (for_teacher + for_student),
        'benchmark': 3 + held_out * (for_teacher + 4 * for_student + _ROWS * SCORING),
    }


def count_held_out(found: Survey) -> float:
    """Millions of HR pixels that are validated with."""
    side = math.inf if found.of_own else LARGEST_HELD_OUT
    return sum(min(each.width, side) * min(each.height, side) for each in found.held_out) / 1e6


def take_for_a_million(student_ms: float, scale: int) -> float:
    """Seconds of the student for a million HR pixels, from its milliseconds for a 1280x720 output."""
    height, width = find_lr_size(scale)
    return student_ms / 1000 / (height * width) / scale**2 * 1e6


def refine_too(seconds: Mapping[str, float], validation: float) -> dict[str, float]:
    """Seconds of the stages that a refinement adds or makes longer, but for its iterations.

    Args:
        seconds (Mapping): Of the stages without it.
        validation (float): Seconds of one of the student in float32.
    """
    return {
        'refine': _CALIBRATING + VALIDATIONS * _ROUNDING * validation,
        'export': seconds['export'] + EXPORTING,
        'benchmark': seconds['benchmark'] + validation,
    }
