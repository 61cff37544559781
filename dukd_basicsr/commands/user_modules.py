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
from collections.abc import Sequence
from pathlib import Path

from dukd_basicsr.errors import UserError

_imported: list[Path] = []
"""As they were given, so that the command of a resumed run names them again."""


def add_argument(parser: argparse.ArgumentParser) -> None:
    """The flag, for commands that build networks from options."""
    parser.add_argument('--import', dest='own_modules', type=Path, action='append', default=[], metavar='FILE.py',
                        help='run a Python file first that registers a network, loss, ... of yours')  # fmt: skip


def load(files: Sequence[Path]) -> None:
    """Import the files in their order, each under its name without '.py', with its folder on the import path.

    Worker processes import them by that name too. A file that has been imported is not run again.

    Raises:
        UserError: No such file, a name that another module has, or the file fails.
    """
    if not files:
        return
    import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

    for file in files:
        _check(file)
        folder = str(file.resolve().parent)
        if folder not in sys.path:
            sys.path.append(folder)  # last, so that nothing installed is hidden by a neighbour of the file
        importlib.invalidate_caches()
        try:
            importlib.import_module(file.stem)
        except Exception as error:
            said = ' '.join(f'{type(error).__name__}: {error}'.split())
            raise UserError(f'--import {file}: {_where(error, file)}{said}') from error
        if file not in _imported:
            _imported.append(file)


def flags() -> str:
    """What `load` was given, as it stands on a command line, with a space before it."""
    return ''.join(f' --import {file}' for file in _imported)


def _check(file: Path) -> None:
    if file.suffix != '.py' or not file.is_file():
        raise UserError(f'--import {file}: no such Python file; name the file that registers what is yours.')
    loaded = sys.modules.get(file.stem)
    origin = getattr(loaded, '__file__', '') if loaded else _origin(file.stem)
    if origin is not None and origin != str(file.resolve()):
        raise UserError(f'--import {file}: Python has another module "{file.stem}" already; rename the file, e.g. '
                        f'my_{file.stem}.py.')  # fmt: skip


def _origin(name: str) -> str | None:
    """Where Python would find a module of that name now; None: nowhere."""
    spec = importlib.util.find_spec(name) if name.isidentifier() else None
    return str(Path(spec.origin or '').resolve()) if spec else None


def _where(error: Exception, file: Path) -> str:
    """'line 3: ', the innermost one in the file."""
    if isinstance(error, SyntaxError):
        return f'line {error.lineno}: '
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if Path(frame.filename) == file.resolve()]
    return f'line {lines[-1]}: ' if lines else ''
