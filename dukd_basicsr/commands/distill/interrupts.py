"""SIGINT and SIGTERM end `basicsr distill` with what to type to go on, whatever stage it is in."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from dukd_basicsr.errors import RunStopped


class _Stop(BaseException):
    """Ends a stage at once. No `except Exception` of the code in it may take it for a failure."""


@contextmanager
def say_how_to_go_on(command: str) -> Iterator[None]:
    """Let the first signal end the block in a sentence. A training in it handles signals itself.

    Args:
        command (str): What goes on.

    Raises:
        RunStopped: A signal has come.
    """

    def stop(number: int, _: FrameType | None) -> None:
        raise _Stop(signal.Signals(number).name)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except _Stop as stopped:
        raise RunStopped(f'stopped by {stopped}; what is finished is kept. Go on with: {command}') from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
