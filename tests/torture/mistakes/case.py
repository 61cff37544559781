"""What a mistake is: a change to a run that nothing is wrong with, and what `basicsr` then says."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from tests.torture.mistakes.workplace import FILE


def _nothing(folder: Path) -> None:
    pass


@dataclass(frozen=True)
class Case:
    """One mistake."""

    mistake: str
    """In the words of docs/mistakes.md."""
    messages: str | list[str]
    """What is said; <root> is the folder, <torch> and <gpus> are this machine's, <reason> is torch's or Python's."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Of the options, by dotted key."""
    disk: Callable[[Path], object] = _nothing
    """What is changed in the folder, after the options file is written."""
    argv: tuple[str, ...] = ()
    """More of the command line."""
    warning: bool = False
    """Said, and no mistake."""
    command: str = 'train'


def text(old: str, new: str) -> Callable[[Path], object]:
    """Another text in the options file."""

    def change(folder: Path) -> None:
        content = (folder / FILE).read_text(encoding='utf-8')
        assert old in content
        (folder / FILE).write_text(content.replace(old, new, 1), encoding='utf-8')

    return change


def written(name: str, content: bytes) -> Callable[[Path], object]:
    """Another content of a file."""
    return lambda folder: (folder / name).write_bytes(content)


def cut(name: str, keep: float) -> Callable[[Path], object]:
    """A file of which only the first part is there."""
    return lambda folder: os.truncate(folder / name, int((folder / name).stat().st_size * keep))


def removed(name: str) -> Callable[[Path], object]:
    """A file that is not there."""
    return lambda folder: (folder / name).unlink()


class _Evil:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ('touch evil',)


def evil(name: str) -> Callable[[Path], object]:
    """A checkpoint that runs a command when a careless program reads it."""
    return lambda folder: torch.save({'params': _Evil()}, folder / name)
