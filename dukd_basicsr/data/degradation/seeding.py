"""Draws of BasicSR's operations as a function of a seed, with everybody else's draws left alone."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from dukd_basicsr.data.seeds import seed_global_generators, step_seed

_LOCK = threading.Lock()


def degradation_seed(manual_seed: int, rank: int, iteration: int) -> int:
    """The seed of one step's degradation: another one than `step_seed`, which the step's other draws have.

    Args:
        manual_seed (int): The run's `manual_seed`.
        rank (int): Rank of the process, so that processes degrade differently.
        iteration (int): The step, counted from 1.

    Returns:
        int: In [0, 2^63).
    """
    return step_seed(manual_seed, rank, iteration) ^ (2**63 - 1)


@contextmanager
def own_draws(seed: int, device: torch.device) -> Iterator[None]:
    """Inside, the global generators start from `seed`; afterwards they stand where they stood before.

    BasicSR's degradations draw from Python's, numpy's and torch's global generators and take no others. So seeded,
    they give what stock gives for the same seed, bit by bit. One thread at a time: there is one of each generator.

    Args:
        seed (int): In [0, 2^63).
        device (torch.device): Where the noise is drawn.
    """
    with _LOCK, torch.random.fork_rng([device] if device.type == 'cuda' else []):
        python, arrays = random.getstate(), np.random.get_state()
        seed_global_generators(seed)
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(arrays)
