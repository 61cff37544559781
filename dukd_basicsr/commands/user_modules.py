"""`--import NAME`: networks, losses, data sets, models or metrics of anybody's, registered before the options are read.

It is on the command line and not in the options file, because an options file may come from anyone and never runs
code; who types `--import` runs those files knowingly, as with `python FILE.py`.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from dukd_basicsr.commands import basicsr_copy
from dukd_basicsr.errors import UserError, say_where

FLAG = '--import'
_PIP = {
    'cv2': 'opencv-python-headless', 'skimage': 'scikit-image', 'PIL': 'pillow', 'yaml': 'pyyaml',
    'sklearn': 'scikit-learn',
}  # fmt: skip
"""What to install for a module, where it is not the module's own name."""


def add_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the flag, for commands that build networks from options."""
    parser.add_argument(
        FLAG,
        dest='own_modules',
        type=Path,
        action='append',
        default=[],
        metavar='NAME',
        help='import first what registers a network, loss, ... of yours: a Python file, a folder, or an installed '
        'package, e.g. my_arch.py or hat; may be repeated',
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


def load(names: Sequence[Path]) -> None:
    """Import files, folders and packages in their order; what has been imported is not run again.

    - A file is imported under its name without '.py', with its folder on the import path: worker processes import it
      by that name too.
    - A folder with `__init__.py` is a package, imported by the folder's name; one without it stands for its Python
      files; one that is a copy of BasicSR, or of a part of it, for the files that the installed BasicSR has not.
    - Any other name is that of an installed package or module.

    Raises:
        UserError: Nothing of that name, a name that another module has, something that is not installed, or a file
            that fails.
    """
    if not names:
        return
    importlib.import_module('dukd_basicsr.plugin')  # makes basicsr importable
    for name in names:
        _load(name)


def _load(name: Path) -> None:
    if basicsr_copy.is_copy(name):
        modules = basicsr_copy.list_modules(name)
        if not modules:
            raise UserError(f'--import {name}: the installed BasicSR has all that is in it; name what is new.')
        with basicsr_copy.keep_registered():
            for module, file in modules:
                _import(module, file if name.is_file() else name, file)
    elif name.suffix == '.py':
        _load_file(name)
    elif (name / '__init__.py').is_file():
        _import_from(name.resolve().name, name.resolve().parent, name, name.resolve() / '__init__.py')
    elif name.is_dir():
        files = sorted(name.glob('*.py'))
        if not files:
            raise UserError(f'--import {name}: no Python file is in this folder; name another.')
        for file in files:
            _load_file(file)
    elif _find_origin(str(name)) is not None:
        _import(str(name), name, Path())
    else:
        raise UserError(
            f'--import {name}: neither a Python file, nor a folder, nor an installed package; name the one that '
            'registers what is yours.'
        )


def _load_file(file: Path) -> None:
    if not file.is_file():
        raise UserError(
            f'--import {file}: no such Python file{say_where(file)}; name the file that registers what is yours.'
        )
    _import_from(file.stem, file.resolve().parent, file, file.resolve())


def _import_from(module: str, folder: Path, name: Path, file: Path) -> None:
    """Import a module of a folder, unless Python would find another one by that name."""
    loaded = sys.modules.get(module)
    origin = getattr(loaded, '__file__', '') if loaded else _find_origin(module)
    if origin is not None and origin != str(file):
        new = f'my_{module}.py' if name.suffix == '.py' else f'my_{module}'
        raise UserError(f'--import {name}: Python has another module "{module}" already; rename it, e.g. {new}.')
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # last, so that nothing installed is hidden by a neighbour of the file
    _import(module, name, file)


def _import(module: str, name: Path, file: Path) -> None:
    importlib.invalidate_caches()
    try:
        importlib.import_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f'--import {name}: {_find_line(error, name, file)}{_explain(error)}') from error


def _explain(error: BaseException) -> str:
    """What a module says that fails, in one line; of a package that is not there how to install it."""
    said = ' '.join(f'{type(error).__name__}: {error}'.split())
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    root = (missing or '').partition('.')[0]
    if root == 'basicsr':
        return f'{missing} is not in BasicSR 1.4.2; import the copy of BasicSR that has it, --import FOLDER/basicsr.'
    if not root or (root in sys.modules and missing != root):
        return said
    return f'it needs the package {root}; install it: pip install {_PIP.get(root, root.replace("_", "-"))}'


def _find_origin(name: str) -> str | None:
    """Where Python would find a module of that name now; None: nowhere."""
    if not all(part.isidentifier() for part in name.split('.')):
        return None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # the package that it is to be in
        return None
    return str(Path(spec.origin or '').resolve()) if spec else None


def _find_line(error: BaseException, name: Path, file: Path) -> str:
    """'line 3: ', the innermost one in the file, or 'hat/archs/x.py, line 3: ' in a folder."""
    if isinstance(error, SyntaxError):
        frames = [(error.filename or '', error.lineno)]
    else:
        frames = [(frame.filename, frame.lineno) for frame in traceback.extract_tb(error.__traceback__)]
    if name.suffix == '.py':
        lines = [line for found, line in frames if Path(found) == file]
        return f'line {lines[-1]}: ' if lines else ''
    folder = (file if file.is_dir() else file.parent).resolve()
    inside = [(Path(found), line) for found, line in frames if folder in Path(found).parents]
    return f'{inside[-1][0].relative_to(folder.parent)}, line {inside[-1][1]}: ' if inside else ''
