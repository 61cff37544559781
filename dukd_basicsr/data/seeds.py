"""The randomness of one training step as a function of where it stands, so that any step can be replayed."""

from __future__ import annotations

import random

import numpy as np
import torch


def step_seed(manual_seed: int, rank: int, iteration: int) -> int:
    """A 63-bit seed for one step of one process; neighbouring steps and ranks get unrelated ones.

    Args:
        manual_seed (int): The run's `manual_seed`.
        rank (int): Rank of the process, so that processes upcycle differently.
        iteration (int): The step, counted from 1.

    Returns:
        int: In [0, 2^63), for `torch.Generator.manual_seed`.
    """
    return _hash(manual_seed, rank, iteration)


def sample_seed(manual_seed: int, epoch: int, position: int) -> int:
    """A 63-bit seed for the augmentation of one training sample, whichever process and worker loads it.

    Args:
        manual_seed (int): The run's `manual_seed`.
        epoch (int): The epoch, counted from 0.
        position (int): Where the sample stands in the epoch's order over all processes.
    """
    return _hash(manual_seed, epoch, position, 1)


def seed_global_generators(seed: int) -> None:
    """Seed Python's, numpy's and torch's global generators (all devices), which datasets and networks draw from.

    Args:
        seed (int): In [0, 2^63).
    """
    random.seed(seed)
    np.random.seed(seed & 0xFFFFFFFF)
    torch.manual_seed(seed)


def _hash(*words: int) -> int:
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0]) >> 1
