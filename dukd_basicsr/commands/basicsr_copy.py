"""What somebody's copy of BasicSR has beside the installed one: most repositories bring such a copy along.

Two packages of one name cannot be imported, and the installed BasicSR is the one that this plugin mends. So the files
that only the copy has are imported as if they lay in the installed package (`basicsr.archs.safmn_arch`), where their
relative imports lead to BasicSR's own modules.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_PATTERNS = {
    'archs': '*_arch.py', 'data': '*_dataset.py', 'losses': '*.py', 'metrics': '*.py', 'models': '*_model.py',
}  # fmt: skip
"""Where a copy registers what, and in which files, as BasicSR itself looks for them."""


def is_copy(path: Path) -> bool:
    """Whether it is the package of a copy of BasicSR, one of its parts (`basicsr/archs`), or a file in one."""
    return _find_package(path) is not None


def list_modules(path: Path) -> list[tuple[str, Path]]:
    """The modules that a copy has and the installed BasicSR has not, by the names that they can be imported by now.

    Args:
        path (Path): As for `is_copy`; a file stands for itself.

    Returns:
        list: Name and file of each; losses and networks before the models that use them.
    """
    package = _find_package(path)
    if package is None:
        return []
    found = []
    for part, pattern in _PATTERNS.items():
        files = [path.resolve()] if path.is_file() else sorted((package / part).glob(pattern))
        own = importlib.import_module(f'basicsr.{part}')
        for file in files:
            if file.parent != package / part or not _is_asked_for(file, path) or _is_installed(part, file):
                continue
            if str(file.parent) not in own.__path__:
                own.__path__.append(str(file.parent))  # last: the installed modules come first
            found.append((f'basicsr.{part}.{file.stem}', file))
    return found


@contextmanager
def keep_registered() -> Iterator[None]:
    """While a copy is imported, names that are registered already keep what they stand for.

    A file of the copy may hold BasicSR's own losses once more beside the new one.
    """
    from basicsr.utils.registry import Registry

    register: Any = Registry._do_register

    def register_new(self: Any, name: str, obj: Any, suffix: str | None = None) -> None:
        if name not in self._obj_map:
            register(self, name, obj, suffix)

    Registry._do_register = register_new
    try:
        yield
    finally:
        Registry._do_register = register


def _find_package(path: Path) -> Path | None:
    """The folder `basicsr` that a path is of; None for anything else and for the installed BasicSR."""
    path = path.resolve()
    folder = path.parent if path.is_file() else path
    package = folder.parent if folder.name in _PATTERNS else folder
    spec = importlib.util.find_spec('basicsr')
    installed = [Path(each).resolve() for each in (spec and spec.submodule_search_locations) or ()]
    is_one = package.name == 'basicsr' and (package / '__init__.py').is_file() and package not in installed
    return package if is_one else None


def _is_asked_for(file: Path, path: Path) -> bool:
    path = path.resolve()
    return file == path or path in file.parents


def _is_installed(part: str, file: Path) -> bool:
    package = importlib.import_module('basicsr')
    return (Path(str(package.__file__)).parent / part / file.name).is_file()
