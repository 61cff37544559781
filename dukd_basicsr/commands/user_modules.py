"""`--import FILE.py`: a network, loss, data set or metric of the user's own, registered before the options are read.

It is on the command line and not in the options file, because an options file may come from anyone and never runs
code; who types `--import` runs that file knowingly, as with `python FILE.py`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dukd_basicsr.errors import UserError

FLAG = '--import'


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the flag, for commands that build networks from options."""
    parser.add_argument(
        FLAG,
        dest='own_modules',
        type=Path,
        action='append',
        default=[],
        metavar='FILE.py',
        help='run a Python file first that registers a network, loss, ... of yours; may be repeated',
    )


def repeat_flag(words: Iterable[str]) -> Iterator[str]:
    """Write `--import a.py b.py` as `--import a.py --import b.py`: what follows may be an image or a checkpoint."""
    file_expected = more_allowed = False
    for word in words:
        if more_allowed and word.endswith('.py') and not word.startswith('-'):
            yield FLAG
        more_allowed = file_expected or (more_allowed and word.endswith('.py'))
        file_expected = word == FLAG
        yield word


def load(files: Sequence[Path]) -> None:
    """Import the files in their order, each under its name without '.py', with its folder on the import path.

    Worker processes import them by that name too. A file that has been imported is not run again.

    Raises:
        UserError: No such file, a name that another module has, or the file fails.
    """
    if not files:
        return
    importlib.import_module('dukd_basicsr.plugin')  # makes basicsr importable
    for file in files:
        _check(file)
        folder = str(file.resolve().parent)
        if folder not in sys.path:
            sys.path.append(folder)  # last, so that nothing installed is hidden by a neighbour of the file
        importlib.invalidate_caches()
        try:
            importlib.import_module(file.stem)
        except (Exception, SystemExit) as error:
            said = ' '.join(f'{type(error).__name__}: {error}'.split())
            raise UserError(f'--import {file}: {_find_line(error, file)}{said}') from error


def _check(file: Path) -> None:
    if file.suffix != '.py' or not file.is_file():
        raise UserError(f'--import {file}: no such Python file; name the file that registers what is yours.')
    loaded = sys.modules.get(file.stem)
    origin = getattr(loaded, '__file__', '') if loaded else _find_origin(file.stem)
    if origin is not None and origin != str(file.resolve()):
        raise UserError(
            f'--import {file}: Python has another module "{file.stem}" already; rename the file, e.g. '
            f'my_{file.stem}.py.'
        )


def _find_origin(name: str) -> str | None:
    """Where Python would find a module of that name now; None: nowhere."""
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    return str(Path(spec.origin or '').resolve()) if spec else None


def _find_line(error: BaseException, file: Path) -> str:
    """'line 3: ', the innermost one in the file."""
    if isinstance(error, SyntaxError):
        return f'line {error.lineno}: '
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == file.resolve()]
    return f'line {lines[-1]}: ' if lines else ''
