"""Data Upcycling Knowledge Distillation (DUKD / AugKD, ICLR 2025) as a plugin for BasicSR.

Importing this package is light: no torch. What is public is imported when it is asked for, and BasicSR is made
importable first where it is needed: `from dukd_basicsr import DUKDModel`. `import dukd_basicsr.plugin` registers
everything with BasicSR; the `basicsr` command does it for you. See docs/api.md.
"""

from importlib import import_module
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


def __getattr__(name: str) -> Any:
    """Import a public name the first time that it is asked for."""
    module = (_PURE | _PLUGGED).get(name)
    if module is None:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    if name in _PLUGGED:
        import_module('dukd_basicsr.plugin')
    return getattr(import_module(module), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_PURE, *_PLUGGED])
