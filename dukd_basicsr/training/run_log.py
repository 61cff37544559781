"""BasicSR's logger, which it opens once in a process, with the log file of the first run in it."""

from __future__ import annotations

import logging

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
