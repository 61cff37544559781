"""Version numbers as `distutils.version` compared them, for Pythons that have no distutils."""

from __future__ import annotations

import functools
import re


@functools.total_ordering
class LooseVersion:
    """A version in runs of digits, of small letters, and of anything else; dots only separate.

    Args:
        text (str): E.g. '0.28.0+cpu', which becomes [0, 28, 0, '+', 'cpu'].

    Example:
        >>> LooseVersion('0.28.0+cpu') >= LooseVersion('0.9.0')
        True
    """

    def __init__(self, text: str) -> None:
        parts = re.findall(r'[0-9]+|[a-z]+|[^0-9a-z.]+', text)
        self.version: list[int | str] = [int(part) if part.isdigit() else part for part in parts]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LooseVersion) and self.version == other.version

    def __lt__(self, other: LooseVersion) -> bool:
        return self.version < other.version

    def __hash__(self) -> int:
        return hash(tuple(self.version))
