"""What `train.dukd_opt` asks of one iteration, in plain numbers: how far its schedule is, what its batch is made of."""

from __future__ import annotations

import math
from collections.abc import Sequence

from dukd_basicsr.errors import UserError
from dukd_basicsr.options.schema.train import Schedule


def progress(schedule: Schedule | None, iteration: int) -> float:
    """How much of L_dukd an iteration has: a function of its number alone, so that a resumed run needs no state.

    0 up to `start`, 1 from `end` on, growing evenly between them; as with BasicSR's milestones, the first iteration
    that is changed is the one after `start`.

    Args:
        schedule (Schedule | None): `train.dukd_opt.schedule`; None is 1 always.
        iteration (int): Counted from 1.

    Returns:
        float: In [0, 1], the factor of L_dukd's weights.
    """
    if schedule is None:
        return 1.0
    start, end = schedule.start, schedule.start if schedule.end is None else schedule.end
    if end <= start:
        return float(iteration > start)
    return min(1.0, max(0.0, (iteration - start) / (end - start)))


def make_up(samples: int, share: float, parts: Sequence[str], multiple: int = 1) -> dict[str, int]:
    """How many samples of a batch are used for which view, where upcycling takes the place of plain samples.

    Args:
        samples (int): B, all samples of the batch.
        share (float): Of them that are upcycled, in [0, 1]; as near to it as whole samples come, and at least one for
            each part.
        parts (Sequence[str]): The upcycled views, which have equally many; the first of them has one left over.
        multiple (int): Every count is a multiple of it: `train.accumulate` parts of a batch are made of the same.

    Returns:
        dict[str, int]: Samples of 'lq', the plain pair, and of each part; they sum to B.

    Raises:
        UserError: No sample is left for the plain pair, or `multiple` does not divide B.
    """
    units = samples // multiple
    upcycled = max(math.floor(share * units + 0.5), len(parts))
    if samples % multiple or upcycled >= units:
        raise UserError(
            f'train.dukd_opt.in_batch: {samples} samples do not make {multiple} times a plain sample and '
            f'one of each of {", ".join(parts)}; write a larger batch_size_per_gpu.'
        )
    of_each, left_over = divmod(upcycled, len(parts))
    counts = {part: of_each + (number < left_over) for number, part in enumerate(parts)}
    return {name: multiple * count for name, count in {'lq': units - upcycled, **counts}.items()}
