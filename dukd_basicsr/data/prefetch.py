"""Work that overlaps: samples read ahead, results finished by threads, all in order and never many at once."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar('T')
R = TypeVar('R')

MAX_WORKERS = 4
"""More than these do not pay: numpy and cv2 let others run only inside their own loops."""


def worker_threads() -> int:
    """Threads that this process may use beside its main one: its part of the machine's cores, at most MAX_WORKERS."""
    return max(1, min(MAX_WORKERS, (os.cpu_count() or 1) // int(os.environ.get('LOCAL_WORLD_SIZE', 1))))


def read_ahead(samples: Iterable[T]) -> Iterator[T]:
    """The samples, each read by a thread while the one before is worked on; errors of reading come out here."""
    iterator, end = iter(samples), object()
    with _pool(1) as reader:
        following: Future[Any] = reader.submit(next, iterator, end)
        while (sample := following.result()) is not end:
            following = reader.submit(next, iterator, end)
            yield sample


def in_order(function: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """`map(function, items)` by some threads, in order, never more than `workers` + 1 items ahead of what was taken.

    Raises:
        Exception: Whatever `function` raised, at the place of its item.
    """
    pending: deque[Future[R]] = deque()
    with _pool(workers) as pool:
        for item in items:
            pending.append(pool.submit(function, item))
            while pending and (len(pending) > workers or pending[0].done()):
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()


def _pool(workers: int) -> ThreadPoolExecutor:
    if not torch.cuda.is_initialized():
        return ThreadPoolExecutor(workers)
    # A new thread is on device 0, whatever the device of its process.
    return ThreadPoolExecutor(workers, initializer=torch.cuda.set_device, initargs=(torch.cuda.current_device(),))
