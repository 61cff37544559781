"""BasicSR's logger, which it opens once in a process, with the log file of the first run in it."""

from __future__ import annotations

import logging
from itertools import count
from pathlib import Path

from basicsr.utils import logger as basicsr_logger

_NAME = 'basicsr'


def is_open() -> bool:
    """Whether a run in this process has opened it."""
    return _NAME in basicsr_logger.initialized_logger


def close() -> None:
    """Close it with its file, so that the next run in this process opens its own."""
    basicsr_logger.initialized_logger.pop(_NAME, None)
    log = logging.getLogger(_NAME)
    for handler in log.handlers[:]:
        log.removeHandler(handler)
        handler.close()


def find_free(folder: Path, name: str) -> Path:
    """A log file that is not there yet: names say the second, and stock empties what another run has written in it.

    Args:
        folder (Path): Where logs lie.
        name (str): Without its suffix.

    Returns:
        Path: `name.log`, or `name_2.log` and so on.
    """
    names = (name if number == 1 else f'{name}_{number}' for number in count(1))
    return next(file for each in names if not (file := folder / f'{each}.log').exists())
