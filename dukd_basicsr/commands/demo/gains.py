"""What the demo's trainings have gained, with intervals over the held-out photographs, and what they took."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dukd_basicsr.evaluation.benchmark.report import align
from dukd_basicsr.evaluation.benchmark.significance import RESAMPLES, paired_bootstrap

_SPENT = re.compile(r'End of training\. Time consumed: (?:(\d+) days?, )?(\d+):(\d+):(\d+)')


@dataclass(frozen=True)
class Cost:
    """Of one run."""

    iterations: int
    training: float
    """Seconds between the first iteration and the last validation."""
    labelling: float
    """Seconds of `basicsr upcycle`, 0 for the student alone."""


def seconds_of(log: str) -> float:
    """The seconds that a log of BasicSR says a training took.

    Args:
        log (str): All of its lines.

    Raises:
        ValueError: The training did not come to its end.
    """
    found = _SPENT.findall(log)
    if not found:
        raise ValueError('the log has no "End of training".')
    days, hours, minutes, seconds = (int(part or 0) for part in found[-1])
    return float(((days * 24 + hours) * 60 + minutes) * 60 + seconds)


def to_markdown(records: Sequence[Mapping[str, Any]], costs: Mapping[str, Cost], alone: str, start: str) -> str:
    """A line a run: its seconds, and what it has over the student before and over the student alone.

    Args:
        records (Sequence[Mapping]): Lines of benchmark_images.csv; PSNR in dB, as a number or its text.
        costs (Mapping[str, Cost]): By the name of the run, in the order of the lines.
        alone (str): The run that the others are compared with.
        start (str): The row of the student before.
    """
    psnr = {name: [float(each['psnr']) for each in records if each['network'] == name] for name in (*costs, start)}
    lines = [['run', 'iterations', 'labels s', 'training s', 'over the start dB', 'over alone dB, 95 % interval',
              'better on']]  # fmt: skip
    for name, cost in costs.items():
        since = paired_bootstrap(psnr[name], psnr[start])
        gain = paired_bootstrap(psnr[name], psnr[alone])
        better = sum(mine > other for mine, other in zip(psnr[name], psnr[alone], strict=True))
        lines.append([
            name, str(cost.iterations), f'{cost.labelling:.0f}', f'{cost.training:.0f}', f'{since.mean:+.3f}',
            *(['-', '-'] if name == alone else
              [f'{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})', f'{better} of {len(psnr[name])}']),
        ])  # fmt: skip
    return (
        f'{align(lines)}\nPSNR on Y; paired bootstrap over the photographs, {RESAMPLES:,} resamples, seed 0: it '
        'speaks of other photographs, not of other seeds of the training.\n'
    )
