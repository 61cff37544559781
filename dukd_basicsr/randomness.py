"""The randomness of one training step as a function of where it stands, so that any step can be replayed."""

from __future__ import annotations

import numpy as np


def step_seed(manual_seed: int, rank: int, iteration: int) -> int:
    """A 64-bit seed for one step of one process; neighbouring steps and ranks get unrelated ones.

    Args:
        manual_seed (int): The run's `manual_seed`.
        rank (int): Rank of the process, so that processes upcycle differently.
        iteration (int): The step, counted from 1.

    Returns:
        int: In [0, 2^63), for `torch.Generator.manual_seed`.
    """
    words = np.random.SeedSequence([manual_seed, rank, iteration]).generate_state(1, np.uint64)
    return int(words[0]) >> 1
