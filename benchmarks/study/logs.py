"""BasicSR's training logs: iterations and validations of a run, over all its resumed parts."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

_ITERATION = re.compile(r'(?:\[epoch:[^\]]*iter:\s*|Resuming training from .*iter: )([\d,]+)')
_VALIDATION = re.compile(r'INFO: Validation (\S+)')
_TIME = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ INFO', re.MULTILINE)
_METRIC = re.compile(r'^\s+# (\w+): (-?[\d.]+|nan|inf)')

Scores = dict[str, dict[str, float]]
"""Test set to metric to value."""


def logs(folder: Path) -> list[Path]:
    """The logs of a run, oldest first: their names end in the time of their start."""
    return sorted(folder.glob('train_*.log'), key=lambda path: path.name[-19:])


def validations(folder: Path) -> dict[int, Scores]:
    """Iteration to scores; where a resumed run validated an iteration again, the later one.

    A validation's lines have no iteration of their own: it is that of the last line that has one.
    """
    found: dict[int, Scores] = {}
    for log in logs(folder):
        iteration, name = 0, ''
        for line in log.read_text(encoding='utf-8', errors='replace').splitlines():
            if match := _ITERATION.search(line):
                iteration = int(match[1].replace(',', ''))
            if ' INFO: ' in line:
                name = (
                    match[1] if (match := _VALIDATION.search(line)) else ''
                )  # the teacher's metrics are no validation
            elif name and (match := _METRIC.match(line)):
                found.setdefault(iteration, {}).setdefault(name, {})[match[1]] = float(match[2])
    return dict(sorted(found.items()))


def last_iteration(folder: Path) -> int:
    """How far a run has come, as its newest log says; 0 without any."""
    for log in reversed(logs(folder)):
        found = _ITERATION.findall(log.read_text(encoding='utf-8', errors='replace'))
        if found:
            return int(found[-1].replace(',', ''))
    return 0


def wall_seconds(folder: Path) -> float:
    """From the first line of each part of a run to its last, summed."""
    total = 0.0
    for log in logs(folder):
        times = _TIME.findall(log.read_text(encoding='utf-8', errors='replace'))
        if times:
            first, last = (datetime.strptime(time, '%Y-%m-%d %H:%M:%S') for time in (times[0], times[-1]))
            total += (last - first).total_seconds()
    return total
