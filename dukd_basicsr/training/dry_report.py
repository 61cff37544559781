"""What `basicsr train --check` has shown of a run, and the lines that say so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dukd_basicsr.errors import format_bytes, format_count


@dataclass(frozen=True)
class Cost:
    """What one network costs."""

    network: str
    parameters: int
    macs: int
    """Multiply-accumulates of one real LR patch, attention's matrix products included."""


@dataclass(frozen=True)
class DryRun:
    """What the iteration has shown; bytes and seconds."""

    model: str
    device: str
    patch: int
    """Side of the LR patch of the iteration."""
    student: Cost
    teachers: list[Cost]
    discriminator: Cost | None
    """Its multiply-accumulates are those of one HR patch."""
    terms: dict[str, float]
    seconds: float
    """Of the iteration of one sample."""
    batch_seconds: float
    """Of an iteration of the real batch and patch."""
    batch_memory: int
    """Estimate for one GPU with the real batch, without CUDA's own. The growth of resident memory with the batch of
    the x4 EDSR, RCAN and SwinIR students on a CPU is met to 5 %."""
    peak_memory: int | None
    """Of this process so far: resident on a CPU, allocated on a GPU; None where the system does not tell."""


def write_report(result: DryRun, opt: Mapping[str, Any]) -> str:
    """Return the report as lines of text, each with its end.

    Args:
        result (DryRun): What was found.
        opt (Mapping): The options that were tried.
    """
    train = opt['datasets']['train']
    real, batch = train['gt_size'] // opt['scale'], train.get('batch_size_per_gpu', 1)
    lines = [f'{opt["name"]}: {result.model}, x{opt["scale"]}']
    for role, cost in [('student', result.student), *(('teacher', cost) for cost in result.teachers)]:
        lines.append(
            f'  {role}: {cost.network}, {format_count(cost.parameters)} parameters, {format_count(cost.macs)} '
            f'multiply-accumulates for an LR patch of {real}x{real}'
        )
    if result.discriminator is not None:
        rival = result.discriminator
        lines.append(
            f'  discriminator: {rival.network}, {format_count(rival.parameters)} parameters, '
            f'{format_count(rival.macs)} multiply-accumulates for an HR patch of {train["gt_size"]}x{train["gt_size"]}'
        )
    lines += [
        f'  one iteration on {result.device}, batch {batch}, LR patch {real}x{real}: '
        f'about {result.batch_seconds:.3g} s',
        '  ' + '  '.join(f'{name}: {value:.4e}' for name, value in result.terms.items()),
        f'  memory of a GPU with batch {batch}: about {format_bytes(result.batch_memory)}',
    ]
    if result.peak_memory is not None:
        lines.append(f'  peak memory of this check: {format_bytes(result.peak_memory)}')
    return '\n'.join(lines) + '\n'
