"""What one iteration of a run takes on this machine, with the teacher asked live and with its labels from a cache."""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from dukd_basicsr import options
from dukd_basicsr.commands.distill.options_file import Settings, write_options
from dukd_basicsr.commands.distill.refinement import stand_in
from dukd_basicsr.training import dry_run

TRIES, ENOUGH = 3, 10.0
"""How often an iteration is measured, and the seconds after which it is not repeated."""
WAYS: tuple[dict[str, Any], ...] = ({}, {'channels_last': True}, {'channels_last': True, 'bf16': True})
"""To compute an iteration: as BasicSR does, and what takes less of the seconds on many machines (docs/distill.md)."""
WORTH = 0.9
"""The share of the seconds of the plainest way that another must come below: measurements differ by a few percent."""


def choose_way(settings: Settings, teacher: Path, cached: bool) -> tuple[Settings, float, float]:
    """The way to compute that takes the least time on this machine, its seconds, and those of the plainest.

    Args:
        settings (Settings): Of the run, with the plainest.
        teacher (Path): Its file, wherever it is now.
        cached (bool): As of `measure_step`.
    """
    ways = [replace(settings, **way) for way in WAYS]
    seconds = [measure_step(each, teacher, cached) for each in ways]
    plain, least = seconds[0], min(seconds)
    return (ways[seconds.index(least)], least, plain) if least < WORTH * plain else (settings, plain, plain)


def measure_step(settings: Settings, teacher: Path, cached: bool) -> float:
    """Seconds of one iteration of the real batch, on random images: the median of a few.

    Args:
        settings (Settings): Of the run.
        teacher (Path): Its file, wherever it is now.
        cached (bool): Whether labels come with the data, so that the teacher is not asked.
    """
    opt = read_text(write_options(replace(settings, cached=cached), ()))
    opt['path']['pretrain_network_t'] = str(teacher)
    with stand_in(settings) if settings.refines else nullcontext() as student:
        opt['path']['pretrain_network_g'] = student
        return _repeat(opt)


def _repeat(opt: Mapping[str, Any]) -> float:
    found, started = list[float](), time.monotonic()
    logging.disable(logging.WARNING)  # of each parameter that is fixed
    try:
        while len(found) < TRIES and (not found or time.monotonic() - started < ENOUGH):
            found.append(dry_run.measure(opt).batch_seconds)
    finally:
        logging.disable(logging.NOTSET)
    return statistics.median(found)


def read_text(text: str) -> dict[str, Any]:
    """The options of a text of ours, checked as those of any file are.

    Raises:
        OptionsError: They are not sound.
    """
    opt: Mapping[str, Any] = yaml.safe_load(text)
    options.check(dict(opt), Path('options.yml'), is_train=True)
    return dict(opt)
