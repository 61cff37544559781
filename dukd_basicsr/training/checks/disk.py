"""Will the checkpoints of a run fit on the disk? Told before it starts."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FLOAT = 4
"""Bytes of a number."""


def checkpoint_bytes(parameters: int, ema: bool, beside: int = 0) -> int:
    """Bytes of one generation: the networks, the student's EMA, and Adam's two averages in the training state.

    Args:
        parameters (int): Of the student.
        ema (bool): Whether there is an averaged student.
        beside (int): Parameters of a discriminator.
    """
    return FLOAT * (parameters * (3 + ema) + 3 * beside)


def generations_to_come(opt: Mapping[str, Any], done: int = 0) -> int:
    """How many generations a run will have on the disk beside those that it has, at most.

    With `train.keep_checkpoints` those are the last N, the best of each metric on each validation set, and the one
    that is being written.

    Args:
        opt (Mapping): Options that `options.check` has passed.
        done (int): Iterations of a resumed run.
    """
    train, total, every = opt['train'], int(opt['train']['total_iter']), int(opt['logger']['save_checkpoint_freq'])
    come = total // every - done // every + bool(total % every) if done < total else 0
    keep = train.get('keep_checkpoints')
    return come if keep is None else min(come, keep + _best(opt) + 1)


def disk_warning(opt: Mapping[str, Any], parameters: int, folder: Path, done: int = 0, beside: int = 0) -> str | None:
    """A sentence where a run's checkpoints will not fit.

    Args:
        opt (Mapping): Options that `options.check` has passed.
        parameters (int): Of the student.
        folder (Path): Where `experiments/` is or will be.
        done (int): Iterations of a resumed run.
        beside (int): Parameters of a discriminator.
    """
    size = checkpoint_bytes(parameters, bool(opt['train'].get('ema_decay')), beside)
    there = next(each for each in (folder, *folder.parents) if each.exists())
    number, free = generations_to_come(opt, done), shutil.disk_usage(there).free
    if number * size <= free:
        return None
    fit = free // size - _best(opt) - 1
    remedy = f'write train.keep_checkpoints: {fit}' if fit > 0 else 'make room, and write train.keep_checkpoints: 1'
    return (
        f'{number} checkpoints of {_show(size)} need {_show(number * size)}, but {folder} has {_show(free)} free; '
        f'{remedy}.'
    )


def _best(opt: Mapping[str, Any]) -> int:
    metrics = (opt.get('val') or {}).get('metrics') or {}
    return len(metrics) * sum(str(name).startswith('val') for name in opt['datasets'])


def _show(number: int) -> str:
    return f'{number / 2**30:.1f} GiB' if number >= 2**30 else f'{number / 2**20:.1f} MiB'
