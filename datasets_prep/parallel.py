"""An ordered, bounded map over threads: what takes time here (decoding, resizing, encoding) runs beside Python."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import torch

from dukd_basicsr.errors import UserError

Job = TypeVar('Job')
Made = TypeVar('Made')


def ordered_map(work: Callable[[Job], Made], jobs: Sequence[Job], workers: int | None) -> Generator[Made, None, None]:
    """Yield `work(job)` for each job, in the order of the jobs, with at most `workers` + 2 of them in memory.

    Threads start at once, where each new process would import torch for two seconds.

    Args:
        work (Callable): Spends its time outside of Python's lock.
        jobs (Sequence): What to do.
        workers (int | None): Threads; None: as many as CPUs.

    Raises:
        UserError: No worker asked for.
    """
    if workers is None:
        workers = os.cpu_count() or 1
    if workers < 1:
        raise UserError(f'{workers} workers cannot do anything: give --workers 1 or more.')
    # One thread of torch for each of ours.
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, 'prepare', initializer=torch.set_num_threads, initargs=(1,))
    running: deque[Future[Made]] = deque()
    try:
        for job in jobs:
            running.append(pool.submit(work, job))
            if len(running) >= workers + 2:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(before)
