"""BasicSR's registries: a name is found without a remark."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basicsr.utils.registry import Registry


def get_registered(self: Registry, name: str, suffix: str = 'basicsr') -> Any:
    """`Registry.get`: the class or function of that name.

    Defect: basicsr/utils/registry.py:60 prints to stdout whenever it looks for `name_suffix`, whether that is there or
    not; BasicSR registers its own SRVGGNetCompact with the suffix.
    Symptom: "Name SRVGGNetCompact is not found, use name: SRVGGNetCompact_basicsr!" in every run with that network, by
    every process, and before the exception for a misspelt name.
    Threads: none upstream.
    Here: the same look-up in silence.

    Args:
        self (Registry): Of architectures, models, losses, metrics or data sets.
        name (str): The registered name.
        suffix (str): `name_suffix` is taken where `name` is not registered.

    Returns:
        Any: What was registered.

    Raises:
        KeyError: Neither name is registered.
    """
    for each in (name, f'{name}_{suffix}'):
        if each in self:
            return self._obj_map[each]
    raise KeyError(f"No object named '{name}' found in '{self._name}' registry!")
