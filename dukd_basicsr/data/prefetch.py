"""Work that overlaps: one map over threads, in order and never many results at once."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import torch

T = TypeVar('T')
R = TypeVar('R')

MAX_WORKERS = 4
"""More than these do not pay: numpy and cv2 let others run only inside their own loops."""


def count_threads() -> int:
    """Threads that this process may use beside its main one: its part of the machine's cores, at most MAX_WORKERS."""
    return max(1, min(MAX_WORKERS, (os.cpu_count() or 1) // int(os.environ.get('LOCAL_WORLD_SIZE', 1))))


def map_in_order(
    function: Callable[[T], R], items: Iterable[T], workers: int, torch_threads: int | None = None
) -> Generator[R, None, None]:
    """`map(function, items)` by threads, which run beside each other where `function` spends its time outside Python.

    At most `workers` + 1 items are at work or done and not yet taken. Closing the generator drops those not begun.

    Args:
        function (Callable): What a thread does with an item.
        items (Iterable): Taken one by one by the caller's thread, each only when there is room for it.
        workers (int): How many threads, at least 1.
        torch_threads (int | None): Threads that torch uses within each of ours; None leaves its setting. Afterwards
            the caller's setting is what it was.

    Yields:
        R: The results, in the order of the items.

    Raises:
        Exception: Whatever `function` raised, at the place of its item.
    """
    before = torch.get_num_threads()
    # A new thread is on device 0, whatever the device of its process.
    device = torch.cuda.current_device() if torch.cuda.is_initialized() else None
    pool = ThreadPoolExecutor(workers, initializer=_enter_thread, initargs=(device, torch_threads))
    pending: deque[Future[R]] = deque()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) > workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        if torch_threads is not None:
            torch.set_num_threads(before)


def read_ahead(samples: Iterable[T]) -> Iterator[T]:
    """The samples, each read by a thread while the one before is worked on; errors of reading come out here."""
    iterator, end = iter(samples), object()
    following: Iterator[Any] = map_in_order(lambda _: next(iterator, end), itertools.count(), workers=1)
    return itertools.takewhile(lambda sample: sample is not end, following)


def _enter_thread(device: int | None, torch_threads: int | None) -> None:
    if device is not None:
        torch.cuda.set_device(device)
    if torch_threads is not None:
        torch.set_num_threads(torch_threads)
