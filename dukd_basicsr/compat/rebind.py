"""Put a function in the place of a stock one, in every module that holds it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from dukd_basicsr.errors import UserError


def rebind(module: str, name: str, ours: Callable[..., Any]) -> None:
    """Replace `module.name` by `ours`, also where other basicsr modules imported it by name. Idempotent.

    Args:
        module (str): The module that defines the stock function.
        name (str): The function, or `Class.method`.
        ours (Callable): Its replacement; `stock(ours)` is the replaced function from now on.

    Raises:
        UserError: The module or the name is not there.
    """
    *classes, attribute = name.split('.')
    try:
        owner: Any = import_module(module)
        home = str(owner.__file__)
        for cls in classes:
            owner = getattr(owner, cls)
        current = getattr(owner, attribute)
    except (ImportError, AttributeError) as error:
        where = getattr(sys.modules.get('basicsr'), '__file__', 'basicsr') if isinstance(error, ImportError) else home
        raise UserError(
            f'{where} has no {module}.{name}, so it is not BasicSR 1.4.x; uninstall or rename that copy and run: '
            'pip install --no-build-isolation basicsr==1.4.2'
        ) from error
    # A reloaded `ours` replaces an older `ours`, which knows the stock function.
    vars(ours)['stock'] = getattr(current, 'stock', current)
    setattr(owner, attribute, ours)  # it may have been inherited
    for module_name, holder in list(sys.modules.items()):
        if module_name == 'basicsr' or module_name.startswith('basicsr.'):
            for key, value in list(vars(holder).items()):
                if value is current:
                    setattr(holder, key, ours)


def stock(ours: Callable[..., Any]) -> Callable[..., Any]:
    """BasicSR's own function that `ours` has replaced."""
    return vars(ours)['stock']
