"""Which training sample comes when, and with which draws: functions of (seed, epoch, position) alone.

So a run goes on in the middle of an epoch with any number of processes and workers as if it had never stopped.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sized
from importlib import import_module
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple, cast

import torch
from torch.utils.data import Dataset, Sampler

from dukd_basicsr.data.seeds import sample_seed, seed_global_generators


class Draw(NamedTuple):
    """One sample of an epoch."""

    image: int
    """Its index in the dataset."""
    seed: int
    """Decides the sample's crop and flips."""


class ResumableSampler(Sampler[Draw]):
    """BasicSR's EnlargedSampler (basicsr/data/data_sampler.py) that can start inside an epoch.

    Stock shuffles by the epoch alone, so that every `manual_seed` sees the same order, and starts epochs anew.

    Args:
        dataset (Sized): The training set.
        num_replicas (int): Processes; each takes every num_replicas-th sample.
        rank (int): This process.
        ratio (float): How often an epoch repeats the images (dataset_enlarge_ratio).
        seed (int): The run's manual_seed, the same on all processes.
    """

    def __init__(self, dataset: Sized, num_replicas: int, rank: int, ratio: float = 1, seed: int = 0) -> None:
        self.size = len(dataset)
        self.num_replicas, self.rank, self.seed = num_replicas, rank, seed
        self.total = math.ceil(self.size * ratio / num_replicas) * num_replicas
        self.set_epoch(0)

    def set_epoch(self, epoch: int, done: int = 0) -> None:
        """Go to an epoch of which all processes together have seen `done` samples."""
        self.epoch, self.done = epoch, done

    def __iter__(self) -> Iterator[Draw]:
        """The rest of the epoch for this process."""
        generator = torch.Generator().manual_seed(sample_seed(self.seed, self.epoch, self.total))
        order = torch.randperm(self.total, generator=generator).tolist()
        for position in range(self.done + self.rank, self.total, self.num_replicas):
            yield Draw(order[position] % self.size, sample_seed(self.seed, self.epoch, position))

    def __len__(self) -> int:
        return len(range(self.done + self.rank, self.total, self.num_replicas))


class SeededDataset(Dataset):
    """A dataset that augments a sample by the seed of its Draw, not by what the worker has drawn before.

    Stock seeds its workers alike in every epoch (basicsr/data/__init__.py:99-101), so crops repeat from epoch to epoch
    and depend on the number of workers.

    Args:
        dataset (Dataset): Draws from the global generators of Python, numpy or torch, as BasicSR's datasets do.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset

    def __getitem__(self, draw: Draw) -> Any:
        seed_global_generators(draw.seed)
        return self.dataset[draw.image]

    def __len__(self) -> int:
        return len(cast('Sized', self.dataset))

    def __reduce__(self) -> tuple[Callable[[bytes], Dataset], tuple[bytes]]:
        return reduce_for_workers(self)


def reduce_for_workers(dataset: Dataset) -> tuple[Callable[[bytes], Dataset], tuple[bytes]]:
    """What a dataset's `__reduce__` gives, for workers that are spawned: `restore`, which sets up BasicSR there."""
    return restore, (bytes(ForkingPickler.dumps((type(dataset), vars(dataset)))),)


def restore(state: bytes) -> Dataset:
    """Where a spawned worker enters: it makes BasicSR importable, and only then unpickles classes made of BasicSR's.

    Args:
        state (bytes): From `reduce_for_workers`.
    """
    import_module('dukd_basicsr.plugin')  # by name: this package is below the plugin, and a worker starts here
    cls, attributes = ForkingPickler.loads(state)
    dataset = object.__new__(cls)
    vars(dataset).update(attributes)
    return dataset
