"""What BasicSR and this plugin register, by name and signature, read from the source without importing it.

Importing basicsr takes seconds, and a mistake in an options file should be answered at once.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_PATTERNS = (
    'archs/*_arch.py', 'data/*_dataset.py', 'losses/*.py', 'metrics/*.py', 'models/*_model.py', 'evaluation/metrics.py',
)  # fmt: skip
REQUIRED = object()
"""Stands for the default of a parameter that has none."""
UNKNOWN = object()
"""Stands for a default that is computed and cannot be read from the source."""


@dataclass(frozen=True)
class Component:
    """A registered class or function."""

    parameters: Mapping[str, Any]
    """Names and defaults (or REQUIRED, UNKNOWN) in order, without `self`."""
    takes_any: bool
    """It has **kwargs, or its signature is not to be seen."""


def list_components(kind: str) -> dict[str, Component]:
    """Everything registered under one kind.

    Args:
        kind (str): 'arch', 'dataset', 'loss', 'metric' or 'model'.

    Returns:
        dict[str, Component]: By name: BasicSR's, this plugin's, and what the running process has registered itself.
    """
    return _read_source().get(kind, {}) | _read_registry(kind)


@functools.cache
def _read_source() -> dict[str, dict[str, Component]]:
    found: dict[str, dict[str, Component]] = {}
    spec = importlib.util.find_spec('basicsr')
    folders = [Path(folder) for folder in (spec and spec.submodule_search_locations) or ()]
    for folder in (*folders, Path(__file__).parents[1]):
        for pattern in _PATTERNS:
            for file in sorted(folder.glob(pattern)):
                text = file.read_text(encoding='utf-8')
                if '_REGISTRY.register' in text:
                    _read_module(ast.parse(text), found)
    return found


def _read_module(module: ast.Module, found: dict[str, dict[str, Component]]) -> None:
    """Add the registered definitions of one module."""
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    for node in module.body:
        if not isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            continue
        for decorator in node.decorator_list:
            kind = _find_kind(decorator)
            if kind is not None:
                found.setdefault(kind, {})[node.name] = _read_definition(node, classes)


def _find_kind(decorator: ast.expr) -> str | None:
    """'arch' for `@ARCH_REGISTRY.register()`."""
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    if isinstance(function, ast.Attribute) and function.attr == 'register' and isinstance(function.value, ast.Name):
        name, suffix = function.value.id, '_REGISTRY'
        return name.removesuffix(suffix).lower() if name.endswith(suffix) else None
    return None


def _read_definition(node: ast.ClassDef | ast.FunctionDef, classes: Mapping[str, ast.ClassDef]) -> Component:
    if isinstance(node, ast.FunctionDef):
        return _read_signature(node.args, skip=0)
    for item in node.body:
        if isinstance(item, ast.FunctionDef) and item.name in ('__init__', '__new__'):
            return _read_signature(item.args, skip=1)
    for base in node.bases:
        if isinstance(base, ast.Name) and base.id in classes:
            return _read_definition(classes[base.id], classes)
    return Component({}, takes_any=True)


def _read_signature(args: ast.arguments, skip: int) -> Component:
    names = [arg.arg for arg in (*args.posonlyargs, *args.args)]
    defaults: list[Any] = [REQUIRED] * (len(names) - len(args.defaults)) + [
        _read_literal(node) for node in args.defaults
    ]
    parameters = dict(list(zip(names, defaults, strict=True))[skip:])
    for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
        parameters[arg.arg] = REQUIRED if default is None else _read_literal(default)
    return Component(parameters, args.kwarg is not None)


def _read_literal(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return UNKNOWN


def _read_registry(kind: str) -> dict[str, Component]:
    """What is in BasicSR's registry now: the user's own train.py may have registered more."""
    module = sys.modules.get('basicsr.utils.registry')
    registry = getattr(module, f'{kind.upper()}_REGISTRY', ())
    known = _read_source().get(kind, {})
    return {name: _inspect(registered) for name, registered in registry if name not in known}


def _inspect(registered: Any) -> Component:
    try:
        parameters = inspect.signature(registered).parameters.values()
    except (TypeError, ValueError):
        return Component({}, takes_any=True)
    named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return Component(
        {p.name: REQUIRED if p.default is p.empty else p.default for p in named},
        any(p.kind is p.VAR_KEYWORD for p in parameters),
    )
