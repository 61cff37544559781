"""SIGINT and SIGTERM ask a run to stop after its iteration; a second one ends it at once."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import FrameType, TracebackType
from typing import Any

import torch
import torch.distributed as dist

from dukd_basicsr.errors import RunStopped

SIGNALS = (signal.SIGINT, signal.SIGTERM)
_ECHO = 2.0
"""Seconds in which torchrun passes on a signal that a scheduler has sent to it and to this process alike."""


class _Interruption(BaseException):
    """Ends a block at once. No `except Exception` of the code in it may take it for a failure."""


@contextmanager
def end_at(numbers: Sequence[signal.Signals], what_then: str) -> Iterator[None]:
    """Let the first of some signals end the block with a word. What handles signals within it goes first.

    Args:
        numbers (Sequence[signal.Signals]): Which.
        what_then (str): What is said after 'stopped by SIGTERM'.

    Raises:
        RunStopped: One has come.
    """
    received: list[str] = []

    def interrupt(number: int, _: FrameType | None) -> None:
        received.append(signal.Signals(number).name)
        raise _Interruption

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    except _Interruption:
        if not received:  # it is of a block around this one
            raise
        raise RunStopped(f'stopped by {received[0]}{what_then}') from None
    finally:
        _restore(before)


def stop_early(command: str) -> AbstractContextManager[None]:
    """Let SIGTERM end a block with a word, while there is nothing to save yet.

    Args:
        command (str): What starts the run again.
    """
    text = ' before an iteration was made, so that nothing had to be saved; start again with'
    return end_at([signal.SIGTERM], f'{text}: {command}')


def _restore(handlers: Mapping[signal.Signals, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


class StopSignal:
    """While it is entered, the first signal is remembered instead of obeyed.

    Only the main thread of a program may handle signals: elsewhere, as in a notebook's threads, nothing is changed.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._since = 0.0
        self._raising = False
        self._before: dict[signal.Signals, Any] = {}
        self._group: dist.ProcessGroup | None = None

    def __enter__(self) -> StopSignal:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        if dist.is_available() and dist.is_initialized():
            # Host to host, so that asking never waits for a device.
            self._group = dist.new_group(backend='gloo') if dist.get_backend() != 'gloo' else dist.group.WORLD
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self._restore()

    def _restore(self) -> None:
        _restore(self._before)
        self._before = {}

    def _remember(self, number: int, _: FrameType | None) -> None:
        if self.received is None:
            self.received, self._since = signal.Signals(number).name, time.monotonic()
            if self._raising:
                raise _Interruption
        elif 'TORCHELASTIC_RUN_ID' not in os.environ or time.monotonic() - self._since > _ECHO:
            self._restore()
            os.kill(os.getpid(), number)

    @contextmanager
    def interrupt(self, wanted: bool = True) -> Iterator[None]:
        """Let the first signal end the block in the middle: for long work that is repeated after resuming.

        Args:
            wanted (bool): False leaves the signal to wait, where other processes depend on the block.
        """
        self._raising = wanted
        try:
            yield
        except _Interruption:
            pass
        finally:
            self._raising = False

    def ask_all(self) -> bool:
        """Ask all processes of the run whether any has been told to stop; all must call it together."""
        if self._group is None:
            return self.received is not None
        flag = torch.tensor(int(self.received is not None))
        dist.all_reduce(flag, dist.ReduceOp.MAX, group=self._group)
        return bool(flag.item())


def leave_signals_to_the_parent(_: int = 0) -> None:
    """For loader workers: Ctrl-C, `pkill`, systemd and Slurm reach every process of a run, the training one decides.

    A SIGTERM of the parent itself is obeyed: with it torch and multiprocessing end a worker that has not ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not hasattr(signal, 'sigwaitinfo'):  # macOS: nobody can say who has sent it
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # which the threads of the worker will inherit
    threading.Thread(target=_obey_the_parent, daemon=True).start()


def _obey_the_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
