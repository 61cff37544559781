"""Errors and warnings of an options file, collected so that all are told at once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dukd_basicsr.errors import UserError
from dukd_basicsr.options.safe_yaml import MOST_NESTED

_TEXT_NUMBER = re.compile(r'[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+')
LONGEST = 1000
"""Characters of a sentence; the longest proper one lists all registered networks."""


class OptionsError(UserError):
    """All mistakes of an options file; `messages` holds one sentence each, starting with file and key.

    Args:
        messages (str): Shown on one line each, whatever text of the file they quote.
    """

    def __init__(self, *messages: str) -> None:
        super().__init__(*map(one_line, messages))


class Report:
    """Collects the errors and warnings of one options file.

    Args:
        file (str | Path): Named at the start of each sentence; '' names none.
        strict (bool): Report unknown and missing keys.
        moved (Mapping[str, str]): Sentences for unknown keys that are known from elsewhere, by their dotted path.
    """

    def __init__(self, file: str | Path = '', strict: bool = True, moved: Mapping[str, str] | None = None) -> None:
        self.prefix = f'{file}: ' if str(file) else ''
        self.strict = strict
        self.moved = moved or {}
        self.errors: dict[str, str] = {}
        self.warnings: list[str] = []

    def error(self, key: str, text: str) -> None:
        """Add an error, unless it follows from one at the same key or at a section around it."""
        parts = key.split('.', MOST_NESTED)  # a key of the file may consist of dots alone
        if not any('.'.join(parts[:end]) in self.errors for end in range(1, len(parts) + 1)):
            self.errors[key] = self._sentence(key, text)

    def warn(self, key: str, text: str) -> None:
        """Add a warning."""
        self.warnings.append(self._sentence(key, text))

    def _sentence(self, key: str, text: str) -> str:
        return one_line(f'{self.prefix}{key}: {text}')

    def finish(self) -> list[str]:
        """The warnings.

        Raises:
            OptionsError: There are errors.
        """
        if self.errors:
            raise OptionsError(*self.errors.values())
        return self.warnings


def one_line(text: str) -> str:
    """Text for one line of a terminal: control characters escaped, what is very long cut in its middle."""
    if len(text) > LONGEST:
        text = f'{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}'
    return ''.join(char if char.isprintable() else char.encode('unicode_escape').decode('ascii') for char in text)


def join(path: str, name: object) -> str:
    """'train.optim_g' and 'lr' to 'train.optim_g.lr'."""
    return f'{path}.{name}' if path else str(name)


def show(value: Any) -> str:
    """A value as YAML spells it, shortened."""
    words = {None: '~', True: 'true', False: 'false'}
    if value is None or isinstance(value, bool):
        return words[value]
    text = f'"{value}"' if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def read_text_number(value: Any, path: str, report: Report) -> float | None:
    """The number that text such as 1e-4 is, which YAML 1.1 takes for text; warns of it. None for anything else."""
    if not (isinstance(value, str) and _TEXT_NUMBER.fullmatch(value)):
        return None
    digits, exponent = re.split('[eE]', value)
    digits = digits if '.' in digits else f'{digits}.0'
    sign = '' if exponent[0] in '+-' else '+'
    report.warn(
        path,
        f'{value} is text in YAML 1.1 and is read as the number; other programs need {digits}e{sign}{exponent} or '
        f'!!float {value}.',
    )
    return float(value)
