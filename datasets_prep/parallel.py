"""An ordered, bounded map over processes that leaves none behind."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import connection, get_context, parent_process
from typing import TypeVar

from dukd_basicsr.errors import UserError

Job = TypeVar('Job')
Made = TypeVar('Made')

_JOBS_PER_WORKER = 16  # below that, starting a process takes longer than it saves
_MOST_WORKERS = 61  # what Windows can wait for


def ordered_map(work: Callable[[Job], Made], jobs: Sequence[Job], workers: int | None) -> Generator[Made, None, None]:
    """Yield `work(job)` for each job, in the order of the jobs, with at most `workers` + 2 of them in memory.

    Args:
        work (Callable): A function of a module, so that new processes can import it.
        jobs (Sequence): What to do.
        workers (int | None): Processes; 1 works in this process. None: as many as CPUs, fewer for few jobs.

    Raises:
        UserError: No worker asked for; a worker process died, for which the usual reason is memory.
    """
    if workers is not None and workers < 1:
        raise UserError(f'{workers} workers cannot do anything: give --workers 1 or more.')
    if workers is None:
        workers = min(os.cpu_count() or 1, len(jobs) // _JOBS_PER_WORKER)
    workers = min(workers, len(jobs), _MOST_WORKERS)
    if workers <= 1:
        yield from map(work, jobs)
        return
    # spawn: a forked child would inherit torch's and OpenCV's threads in an unknown state.
    pool = ProcessPoolExecutor(workers, mp_context=get_context('spawn'), initializer=_start_worker)
    running: deque[Future[Made]] = deque()
    try:
        for job in jobs:
            running.append(pool.submit(work, job))
            if len(running) >= workers + 2:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            f'One of {workers} worker processes was killed, probably for lack of memory: '
            f'try again with --workers {max(1, workers // 2)}.'
        ) from None
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    """One thread a process; Ctrl-C is the parent's affair; an end of the parent, however sudden, ends the worker."""
    import cv2
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connection.wait([parent.sentinel])
        os._exit(1)
