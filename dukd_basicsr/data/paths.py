"""From a path as an options file writes it to a place on this machine; and the folder that paths start from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def locate(root: Path, value: str) -> Path:
    """Where a path of the options lies, with `~` expanded.

    Args:
        root (Path): What relative paths start from.
        value (str): The path as it is written.

    Returns:
        Path: The place. A path that no system can have (too long, the home of nobody) becomes one that never exists.
    """
    try:
        path = root / Path(value).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError):
        return root / '\0'
    return path


def find_file(value: str | None) -> str | None:
    """The file of a path of the options, from the current folder; None where there is none."""
    file = None if value is None else locate(Path(), value)
    return str(file) if file and file.is_file() else None


@contextmanager
def work_in(folder: Path) -> Iterator[None]:
    """Make a folder the current one until the block ends: `contextlib.chdir`, which Python 3.10 lacks."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)
