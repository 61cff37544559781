"""`--force_yml train:total_iter=1000`: values from the command line, parsed and never executed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, MutableMapping
from typing import Any

import yaml

from dukd_basicsr.errors import UserError, did_you_mean
from dukd_basicsr.options import safe_yaml

_DIGITS = 100
"""Of a whole number; Python does not read more than 4300, and `huge_number` refuses more than 20."""


def force_yml(opt: MutableMapping[str, Any], entries: Iterable[str]) -> None:
    """Change options in place.

    Defect: basicsr/utils/options.py:77 evaluates a list and :128 executes the key as Python.
    Symptom: `--force_yml 'train:a=[print(1)]'` and `'a"];print(1);opt["b=1'` run; a wrong key is a bare `KeyError`.
    Threads: none upstream.
    Here: keys are looked up, values are literals.

    Args:
        opt (MutableMapping): The options.
        entries (Iterable[str]): `key:key=value` each, as BasicSR writes them.

    Raises:
        UserError: No '=', a key whose parent is not in the file, a value that is not a literal or far too large.
    """
    for entry in entries:
        keys, equals, value = entry.partition('=')
        if not equals:
            raise UserError(f'--force_yml {entry}: write key:key=value, for instance train:total_iter=1000.')
        parsed = parse_value(value.strip())
        if safe_yaml.find_huge_number(parsed) is not None:
            raise UserError(f'--force_yml {keys}: a whole number of more than 64 bits; write a smaller one.')
        set_by_path(opt, keys.strip(), parsed)


def set_by_path(opt: MutableMapping[str, Any], path: str, value: Any) -> None:
    """Set `opt[a][b]` for the path 'a:b'; the last key may be new, its parents must exist.

    Raises:
        UserError: A parent that does not exist or holds no options.
    """
    *parents, last = path.split(':')
    node: Any = opt
    for parent in parents:
        if parent not in node:
            raise UserError(f'--force_yml {path}: there is no "{parent}".{did_you_mean(parent, map(str, node))}')
        node = node[parent]
        if not isinstance(node, MutableMapping):
            raise UserError(
                f'--force_yml {path}: "{parent}" holds {node!r} and no options of its own; set it as a '
                f'whole, or write its options into the file.'
            )
    node[last] = value


def parse_value(text: str) -> Any:
    """A value as BasicSR reads it: ~ or none, true, false, numbers (!!float too), lists, else the text itself.

    Raises:
        UserError: A list or mapping that does not consist of literals; `!!float` without a number.
    """
    words = {'~': None, 'none': None, 'true': True, 'false': False}
    if text.lower() in words:
        return words[text.lower()]
    number = text.removeprefix('!!float').strip()
    if text != number or re.fullmatch(r'[-+]?(\d+\.\d*|\.\d+|\d+(?=[eE]))([eE][-+]?\d+)?', number):
        try:
            return float(number)
        except ValueError as error:
            raise UserError(f'--force_yml: {text} is not a number; write for instance 1e-4.') from error
    if re.fullmatch(r'[-+]?\d+', text):
        return int(text[:_DIGITS])
    return _parse_collection(text) if text[:1] in ('[', '{') else text


def _parse_collection(text: str) -> Any:
    """Python's literals, as BasicSR's help shows them, else YAML's flow style, as the option file has them."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # the last two: nested too deeply
        try:
            safe_yaml.check_size(text)
            return yaml.safe_load(text)
        except safe_yaml.MISTAKES as error:
            raise UserError(f'--force_yml: {text} is not a list of plain values.') from error
