"""What PyYAML's safe loaders let through: nesting that overflows the stack, aliases without end, endless numbers."""

from __future__ import annotations

from typing import Any

import yaml

MISTAKES = (yaml.YAMLError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What PyYAML raises for text that is no plain YAML: `!!int ""` is an IndexError, `!!bool x` a KeyError,
`!!timestamp x` an AttributeError, `!!float x` a ValueError, a list as a key a TypeError."""
MOST_NESTED = 50
"""Sections within sections; libyaml crashes the process from about 20,000 on."""
MOST_VALUES = 10_000
"""Values with every alias written out: ten lines of aliases can stand for 10^10."""


def check_size(text: str) -> None:
    """Refuse YAML that is nested too deeply or stands for too many values, without building any.

    Args:
        text (str): One document.

    Raises:
        yaml.YAMLError: It is too large, or not YAML.
    """
    anchors: dict[str, int] = {}
    opened: list[tuple[str | None, int]] = []
    total = 0
    for event in yaml.parse(text, Loader=getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):
        if isinstance(event, yaml.CollectionEndEvent):
            anchor, before = opened.pop()
            anchors[anchor or ''] = total - before
            continue
        if isinstance(event, yaml.AliasEvent) and any(event.anchor == anchor for anchor, _ in opened):
            raise _refuse(event, f'*{event.anchor} inside of &{event.anchor}')
        if isinstance(event, yaml.CollectionStartEvent):
            opened.append((event.anchor, total))
        if isinstance(event, yaml.NodeEvent):
            total += anchors.get(event.anchor or '', 1) if isinstance(event, yaml.AliasEvent) else 1
        if len(opened) > MOST_NESTED:
            raise _refuse(event, f'more than {MOST_NESTED} levels deep')
        if total > MOST_VALUES:
            raise _refuse(event, f'more than {MOST_VALUES} values')


def _refuse(event: Any, problem: str) -> yaml.YAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def find_huge_number(value: Any, path: str = '') -> str | None:
    """The dotted path of a whole number of more than 64 bits, which neither floats nor torch can hold; else None.

    Args:
        value (Any): Plain data.
        path (str): Of the data itself.
    """
    if isinstance(value, int) and value.bit_length() > 64:
        return path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    inner = (find_huge_number(item, f'{path}.{name}' if path else str(name)) for name, item in items)
    return next((found for found in inner if found is not None), None)
