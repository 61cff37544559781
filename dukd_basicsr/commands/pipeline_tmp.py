"""BasicSR's own train and test pipelines, started only when nothing stands in their way."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

# isort: split
from basicsr.test import test_pipeline
from basicsr.train import train_pipeline

from dukd_basicsr.distillation.teacher import build_teacher
from dukd_basicsr.options.rules.teacher import asks_teacher
from dukd_basicsr.training.checks import machine as preflight
from dukd_basicsr.training.checks import networks as probes
from dukd_basicsr.training.failures import as_sentences


def train(opt: Mapping[str, Any], argv: Sequence[str]) -> None:
    """Run BasicSR's `train_pipeline` with its folders under the current directory.

    Args:
        opt (Mapping): The checked options, for the checks that need the networks.
        argv (Sequence[str]): BasicSR's command line, without the program.

    Raises:
        UserError: A network that does not fit its weights, its task or the machine; nothing has been created then.
        RunError: The run failed on the way.
        RunStopped: A signal has stopped it; everything is saved.
    """
    preflight.check_machine(opt, argv, 'experiments')
    preflight.check_packages(opt)
    probes.check_losses(opt)
    student = probes.check_student(opt)
    done = preflight.check_resumed(opt, argv, student)
    teachers = build_teacher(opt).members if opt.get('network_t') is not None and asks_teacher(opt) else []
    for member in teachers:
        probes.check_zoomed_out(member, opt, 'network_t')
    probes.check_features(opt, student, teachers)
    del teachers
    preflight.warn_of_full_disk(opt, student, done)
    del student
    sys.argv = ['basicsr', *argv]
    with as_sentences(opt):
        train_pipeline(os.getcwd())


def test(opt: Mapping[str, Any], argv: Sequence[str]) -> None:
    """Run BasicSR's `test_pipeline`; arguments and errors as for `train`."""
    preflight.check_machine(opt, argv, 'results')
    probes.check_student(opt)
    sys.argv = ['basicsr', *argv]
    test_pipeline(os.getcwd())
