"""The parser of one command's words."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from dukd_basicsr.errors import UserError


class CommandParser(argparse.ArgumentParser):
    """As argparse's, but a file whose name begins with a dash is said to be one."""

    def parse_known_args(self, *given: Any, **named: Any) -> Any:
        """As argparse's.

        Raises:
            UserError: A word is no option, and looks like a file or is one.
        """
        words: Sequence[str] = given[0]
        for word in words[: words.index('--')] if '--' in words else words:
            if self._is_file(word):
                raise UserError(f'{word}: a name that begins with a dash is taken for an option; write ./{word}')
        return super().parse_known_args(*given, **named)

    def _is_file(self, word: str) -> bool:
        if not word.startswith('-') or word in self._option_string_actions:
            return False
        if os.path.lexists(word):
            return True
        known = [option for option in self._option_string_actions if word.startswith(option)]  # as -oFOLDER
        return not known and os.path.splitext(word)[1][1:2].isalpha() and '=' not in word
