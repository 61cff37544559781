"""Data Upcycling Knowledge Distillation (DUKD / AugKD, ICLR 2025) as a plugin for BasicSR.

Importing this package is light: no torch. What is public is imported when it is asked for. Before the first `import
basicsr`, by whichever module of this package or of yours, today's stack is supplied with what BasicSR expects of it.
`import dukd_basicsr.plugin` registers everything with BasicSR; the `basicsr` command does it for you. See docs/api.md.
"""

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import MetaPathFinder
from types import ModuleType
from typing import Any

__version__ = '0.1.0'

_PURE = {
    'imresize': 'dukd_basicsr.resize',
    'zoom_in': 'dukd_basicsr.upcycling',
    'zoom_out': 'dukd_basicsr.upcycling',
    'InvertibleTransform': 'dukd_basicsr.consistency',
}
"""Public names that need torch alone, and their modules."""
_PLUGGED = {
    'Teacher': 'dukd_basicsr.distillation.teacher',
    'DistillModel': 'dukd_basicsr.models.distill_model',
    'DUKDModel': 'dukd_basicsr.models.dukd_model',
}
"""Public names that need BasicSR."""


class _Preparation(MetaPathFinder):
    """Python asks it where the modules of `basicsr` are; it makes their import possible, and lets the others answer.

    Where `basicsr` itself is may be asked without importing it; its first line imports the first of them.
    """

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> None:
        if name.startswith('basicsr.'):
            import_module('dukd_basicsr.compat.imports').prepare_import()


if not any(type(finder).__name__ == _Preparation.__name__ for finder in sys.meta_path):  # this module is reloaded
    sys.meta_path.insert(0, _Preparation())


def __getattr__(name: str) -> Any:
    """Import a public name the first time that it is asked for."""
    module = (_PURE | _PLUGGED).get(name)
    if module is None:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted([*(name for name in globals() if name.startswith('__')), *_PURE, *_PLUGGED])
