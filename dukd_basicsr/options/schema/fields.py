"""Reads plain data from YAML into dataclasses and reports every difference, each with its key."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from dukd_basicsr.errors import did_you_mean
from dukd_basicsr.options import foreign
from dukd_basicsr.options.report import Report, join, read_text_number, show

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Section = TypeVar('Section', bound='DataclassInstance')
_NAMES: dict[Any, str] = {int: 'a whole number', float: 'a number', bool: 'true or false', str: 'text'}


def key(
    doc: str,
    *,
    default: Any = dataclasses.MISSING,
    factory: Any = dataclasses.MISSING,
    least: float | None = None,
    most: float | None = None,
    above: float | None = None,
    below: float | None = None,
    whole: bool = False,
    instead: str = '',
) -> Any:
    """A field of a section, with its documentation and limits.

    Args:
        doc (str): What it is, without a full stop; also said where it is missing.
        default (Any): Value where the key is missing; without it and `factory` the key is required.
        factory (Any): Makes that value.
        least (float | None): The smallest allowed number.
        most (float | None): The largest allowed number.
        above (float | None): Below all allowed numbers.
        below (float | None): Above all allowed numbers.
        whole (bool): A float must be a whole number (`!!float 5e3`).
        instead (str): What to write, said where the type is wrong.
    """
    limits = {'least': least, 'most': most, 'above': above, 'below': below, 'whole': whole, 'instead': instead}
    return dataclasses.field(default=default, default_factory=factory, metadata={'doc': doc, **limits})


def read_section(cls: type[Section], value: Any, path: str, report: Report) -> Section:
    """Read a mapping into a dataclass; what is wrong or missing is reported and None in the result.

    Args:
        cls (type): A dataclass whose fields are made by `key`; its class attribute OPEN allows other keys, SHARED those
            of other programs with a warning, and STRICT reports unknown and missing ones whatever the model.
        value (Any): Plain data; a number that YAML 1.1 takes for text becomes one, with a warning.
        path (str): Dotted key of this section, '' for the whole file.
        report (Report): Collects the errors.
    """
    if not isinstance(value, Mapping):
        report.error(path, f'{show(value)} is not a section of keys.')
        value = {}
    fields = {field.name: field for field in dataclasses.fields(cls)}
    strict = report.strict or getattr(cls, 'STRICT', False)
    misspelt = _report_unknown(cls, fields, value, path, report) if strict else set()
    hints: dict[str, Any] = get_hints(cls)
    result: dict[str, Any] = {}
    for name, field in fields.items():
        if name in value:
            result[name] = _read(hints[name], value[name], join(path, name), field.metadata, report)
            _keep_number(value, name, result[name])
        elif not is_required(field):
            continue
        else:
            result[name] = None
            if strict and name not in misspelt:
                report.error(join(path, name), f'missing key: {field.metadata["doc"]}.')
    return cls(**result)


def _report_unknown(
    cls: type, fields: Mapping[str, Any], value: Mapping[Any, Any], path: str, report: Report
) -> set[str]:
    """Report keys that are not fields; return the fields that they probably mean."""
    meant = set()
    shared = getattr(cls, 'SHARED', False)
    for name in value if not getattr(cls, 'OPEN', False) else ():
        full = join(path, name)
        if name in fields:
            continue
        misspelt = foreign.find_misspelt(name, fields) if foreign.is_word(name) else None
        if shared and misspelt is None and full not in report.moved and foreign.is_word(name):
            report.warn(full, foreign.explain(full))
            continue
        hint = f' Did you mean "{misspelt}"?' if misspelt else did_you_mean(str(name), fields)
        meant |= {field for field in fields if f'"{field}"' in hint}
        report.error(full, report.moved.get(full, f'unknown key.{hint}'))
    return meant


def _keep_number(owner: Any, place: Any, value: Any) -> None:
    """What trains is the plain data: a number that was text in it stands there as the number from now on."""
    if isinstance(owner[place], str) and isinstance(value, (int, float)):
        owner[place] = value


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Whether the key has no default."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


@functools.cache
def get_hints(cls: type) -> dict[str, Any]:
    """The declared types of a section's keys, by name."""
    return typing.get_type_hints(cls)


def _read(hint: Any, value: Any, path: str, limits: Mapping[str, Any], report: Report) -> Any:
    """One value of a declared type."""
    variants = _list_variants(hint)
    if value is None and type(None) in variants:
        return None
    sections = [variant for variant in variants if dataclasses.is_dataclass(variant)]
    if sections and (isinstance(value, Mapping) or not limits.get('instead')):
        return read_section(_choose(sections, value), value, path, report)
    for variant in variants:
        if _fits(variant, value):
            return _read_fitting(variant, value, path, limits, report)
    number = read_text_number(value, path, report) if {int, float} & {*variants} else None
    if number is not None and (float in variants or number.is_integer()):
        return _read_fitting(float, number if float in variants else int(number), path, limits, report)
    _report_type(variants, value, path, limits, report)
    return None


def _list_variants(hint: Any) -> tuple[Any, ...]:
    return typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _choose(sections: list[Any], value: Any) -> Any:
    """Of several sections the one whose `type` has this value; else the last."""
    given = value.get('type') if isinstance(value, Mapping) else None
    for section in sections:
        hint = get_hints(section).get('type')
        if hint is not None and _fits(hint, given):
            return section
    return sections[-1]


def _fits(hint: Any, value: Any) -> bool:
    """Whether the value has the declared type, apart from what is inside it."""
    origin = typing.get_origin(hint)
    if hint is Any:
        return True
    if origin is Literal:
        return any(type(value) is type(allowed) and value == allowed for allowed in typing.get_args(hint))
    if origin in (list, tuple):
        return isinstance(value, list)
    if origin is dict:
        return isinstance(value, Mapping)
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    return isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool))


def _read_fitting(hint: Any, value: Any, path: str, limits: Mapping[str, Any], report: Report) -> Any:
    """What is inside a value of the right type."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (list, tuple):
        items = [_read(inner[0], item, f'{path}[{index}]', limits, report) for index, item in enumerate(value)]
        for index, item in enumerate(items):
            _keep_number(value, index, item)
        return tuple(items) if origin is tuple else items
    if origin is dict:
        return {name: _read(inner[1], item, join(path, name), limits, report) for name, item in value.items()}
    if hint in (int, float):
        _check_limits(value, path, limits, report)
    return value


def _check_limits(value: float, path: str, limits: Mapping[str, Any], report: Report) -> None:
    least, most, above, below = (limits.get(name) for name in ('least', 'most', 'above', 'below'))
    if not math.isfinite(value):
        report.error(path, f'{value} is not a finite number.')
    elif limits.get('whole') and value != int(value):
        report.error(path, f'{value} is not a whole number.')
    elif least is not None and value < least:
        report.error(path, f'{value} is too small; the least is {least}.')
    elif most is not None and value > most:
        report.error(path, f'{value} is too large; the most is {most}.')
    elif above is not None and value <= above:
        report.error(path, f'{value} is too small; it must be above {above}.')
    elif below is not None and value >= below:
        report.error(path, f'{value} is too large; it must be below {below}.')


def _report_type(variants: tuple[Any, ...], value: Any, path: str, limits: Mapping[str, Any], report: Report) -> None:
    if limits.get('instead'):
        report.error(path, f'{show(value)} is not possible; {limits["instead"]}.')
    elif len(variants) == 1 and typing.get_origin(variants[0]) is Literal:
        hint = did_you_mean(str(value), map(str, typing.get_args(variants[0])))
        report.error(path, f'{show(value)} is unknown.{hint}')
    else:
        report.error(path, f'{show(value)} is not {" or ".join(map(_describe, variants))}.')


def _describe(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is type(None):
        return '~'
    if origin is Literal:
        return ' or '.join(f'"{allowed}"' for allowed in inner)
    if origin in (list, tuple):
        return 'a list, e.g. [0.9, 0.99]' if inner[0] in (int, float) else 'a list'
    return 'a section of keys' if origin is dict else _NAMES.get(hint, 'a section of keys')
