"""From a path as an options file writes it to a place on this machine."""

from __future__ import annotations

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
