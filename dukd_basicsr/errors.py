"""The exceptions that end a command with a sentence instead of a traceback."""

from __future__ import annotations

import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar


class UserError(ValueError):
    """A mistake that its user can mend: printed as one sentence a line, exit code 2, never a traceback.

    Args:
        messages (str): Each says what was found, what is allowed and what to type next.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, *messages: str) -> None:
        super().__init__('\n'.join(messages))
        self.messages: Sequence[str] = messages


class RunError(UserError):
    """Work that was rightly asked for and failed on the way: full disk, no memory, no finite loss, a dead process."""

    exit_code = 1


class RunStopped(UserError):  # noqa: N818  not a failure
    """A signal asked the run to stop, it has saved everything, and it can be resumed: sysexits.h's EX_TEMPFAIL."""

    exit_code = 75


class UnreadableImageError(RunError, RuntimeError):
    """An image is missing or cannot be decoded; the sentence names it and where it should be.

    A DataLoader hands a worker's exception to the parent as `type(error)(text)`, with the worker's traceback in the
    text; the sentence at its end is what the parent's exception says.

    Args:
        message (str): The sentence, or such a text.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message.rpartition(f'{UnreadableImageError.__name__}: ')[2].strip())


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """' Did you mean "x"?' for the closest allowed name, else the list of what is allowed."""
    allowed = sorted(allowed)
    close = difflib.get_close_matches(str(name), allowed, n=1, cutoff=0.6)
    return f' Did you mean "{close[0]}"?' if close else f' Allowed: {", ".join(allowed)}.'


def say_where(path: str | Path, root: Path | None = None) -> str:
    """Where something was looked for that is not there, for the end of "there is no FILE".

    Args:
        path (str | Path): As the user wrote it.
        root (Path | None): What relative paths start from; default: the current folder.

    Returns:
        str: ' in /home/me/sr' for a relative path, '' for one that tells its place itself.
    """
    told = os.path.isabs(os.path.expanduser(path))
    return '' if told else f' in {(root or Path()).absolute()}'


def format_bytes(number: int) -> str:
    """Bytes in the unit that fits them: '7 B', '1.5 MiB', '12.0 GiB'."""
    value, units = float(number), ['B', 'KiB', 'MiB', 'GiB', 'TiB']
    while value >= 1024 and len(units) > 1:
        value, units = value / 1024, units[1:]
    return f'{number} B' if units[0] == 'B' else f'{value:.1f} {units[0]}'


def format_count(number: int | None) -> str:
    """Three digits and a unit: '778 K', '10.5 G'; a dash for what has no such number."""
    if number is None:
        return '-'
    value, units = float(number), ['', ' K', ' M', ' G', ' T']
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    decimals = 0 if value >= 99.95 or value == number else 1 if value >= 9.995 else 2
    return f'{value:.{decimals}f}{units[0]}'


def report(error: UserError, program: str) -> int:
    """Write the sentences of an error to stderr; of several processes the first one speaks for all.

    Args:
        error (UserError): Where it is a RunError, every process may have one of its own to tell.
        program (str): Begins each line.

    Returns:
        int: The exit code.
    """
    if os.environ.get('RANK', '0') == '0' or isinstance(error, RunError):
        sys.stderr.write(''.join(f'{program}: {message}\n' for message in error.messages))
    return error.exit_code


def end_in_sentences(program: str) -> None:
    """From now on, a UserError that nobody catches ends this program in its sentences and with its exit code."""
    before = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if isinstance(error, UserError):
            sys.exit(report(error, program))
        before(kind, error, trace)

    sys.excepthook = hook
