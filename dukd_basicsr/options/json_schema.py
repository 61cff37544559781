"""A JSON Schema of options files, for editors: completion, documentation and checks while one types.

It is made from the sections of `schema/` and from what is registered (`components`), so that it cannot lag behind them.
What must agree between keys (`rules/`) is not in it: it accepts whatever `options.check` accepts without a warning, and
more. A key that nothing reads, and a number that is text in YAML 1.1, are underlined where `check` warns of them. Of a
model that is neither this plugin's nor BasicSR's SRModel it knows the general keys only.
"""

from __future__ import annotations

import dataclasses
import inspect
import json
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal

from dukd_basicsr.options.components import REQUIRED, Component, list_components
from dukd_basicsr.options.rules.real import MODEL as REAL_MODEL
from dukd_basicsr.options.rules.runs import STRICT_MODELS
from dukd_basicsr.options.schema.fields import get_hints, is_required
from dukd_basicsr.options.schema.file import Metric, Options, OtherDataset, PairedDataset, TrainDataset
from dukd_basicsr.options.schema.real import RealDataset, RealOptions
from dukd_basicsr.options.schema.upcycled import UpcycledDataset

Schema = dict[str, Any]
DIALECT = 'https://json-schema.org/draft/2020-12/schema'
_TYPES: dict[Any, str] = {int: 'integer', float: 'number', bool: 'boolean', str: 'string', type(None): 'null'}
_LIMITS = {'least': 'minimum', 'most': 'maximum', 'above': 'exclusiveMinimum', 'below': 'exclusiveMaximum'}
_GENERAL = ('name', 'model_type', 'scale', 'num_gpu', 'manual_seed')
"""Keys that every model of BasicSR reads."""


def write_schema() -> str:
    """The schema as text in ASCII, one line a key."""
    return _lay_out(make_schema(), 4) + '\n'


def _lay_out(value: Any, levels: int, indent: str = '') -> str:
    """JSON with a line for each entry of the upper levels of sections."""
    if not levels or not isinstance(value, dict) or not value:
        return json.dumps(value)
    inner = f'{indent} '
    lines = [f'{inner}{json.dumps(name)}: {_lay_out(each, levels - 1, inner)}' for name, each in value.items()]
    return '{\n' + ',\n'.join(lines) + f'\n{indent}}}'


def make_schema() -> Schema:
    """The schema of an options file, in the 2020-12 draft of JSON Schema.

    Returns:
        dict: Plain data; `$defs` has a section for each dataclass of `schema/` and each registered network, loss and
        metric.
    """
    definitions: dict[str, Schema] = {}
    for section in (Options, RealOptions):
        _define(section, definitions)
    general = {name: definitions['Options']['properties'][name] for name in _GENERAL}
    definitions['OtherOptions'] = {'type': 'object', 'properties': general}
    known = [name for name in STRICT_MODELS if name != REAL_MODEL]
    return {
        '$schema': DIALECT,
        'title': 'Options of dukd-basicsr and BasicSR 1.4',
        'description': 'Written by: basicsr options schema. A key without default is required where it stands.',
        'type': 'object',
        'if': _has('model_type', [REAL_MODEL]),
        'then': {'$ref': '#/$defs/RealOptions'},
        'else': {
            'if': {'anyOf': [_has('model_type', known), {'not': {'required': ['model_type']}}]},
            'then': {'$ref': '#/$defs/Options'},
            'else': {'$ref': '#/$defs/OtherOptions'},
        },
        '$defs': dict(sorted(definitions.items())),
    }


def _define(section: type, definitions: dict[str, Schema]) -> Schema:
    """Describe a dataclass under `$defs`, once, and what is inside it; returns a reference to it."""
    reference = {'$ref': f'#/$defs/{section.__name__}'}
    if section.__name__ in definitions:
        return reference
    made: Schema = {'description': _describe(section), 'type': 'object'}
    definitions[section.__name__] = made
    fields = {field.name: field for field in dataclasses.fields(section)}
    hints = get_hints(section)
    is_open = getattr(section, 'OPEN', False)
    made['properties'] = {name: _describe_field(field, hints[name], definitions) for name, field in fields.items()}
    made['required'] = [name for name, field in fields.items() if is_required(field)]
    if is_open and hints.get('type') is str:
        kind = {Metric: 'metric', OtherDataset: 'dataset'}.get(section, 'loss')
        _add_components(made, kind, definitions, arguments=section is not OtherDataset)
    elif not is_open:
        made['additionalProperties'] = False
    if section in (Options, RealOptions):
        made['properties'] |= _describe_mappings(section, made['properties'], definitions)
    return reference


def _describe(section: type) -> str:
    return inspect.cleandoc(section.__doc__ or '').split('\n\n')[0].replace('\n', ' ')


def _describe_field(field: dataclasses.Field[Any], hint: Any, definitions: dict[str, Schema]) -> Schema:
    instead = field.metadata['instead'] if hint is type(None) else ''
    made: Schema = {'description': f'{field.metadata["doc"]}{instead and ": " + instead}'}
    made |= _describe_type(hint, field.metadata, definitions)
    default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
    return made | _describe_default(default)


def _describe_default(value: Any) -> Schema:
    """`default`, where the value is plain data."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = dataclasses.asdict(value)
    try:
        return {'default': json.loads(json.dumps(value, allow_nan=False))}
    except (TypeError, ValueError):  # it has none
        return {}


def _describe_type(hint: Any, limits: Mapping[str, Any], definitions: dict[str, Schema]) -> Schema:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        variants = typing.get_args(hint)
        sections: list[type] = [each for each in variants if isinstance(each, type) and dataclasses.is_dataclass(each)]
        if len(sections) > 1:
            return _choose_by_type([(section, _define(section, definitions)) for section in sections])
        return _join([_describe_type(variant, limits, definitions) for variant in variants])
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return {'enum': list(inner)}
    if origin in (list, tuple):
        return {'type': 'array', 'items': _describe_type(inner[0], limits, definitions)}
    if origin is dict:
        return {'type': 'object', 'additionalProperties': _describe_type(inner[1], limits, definitions)}
    if dataclasses.is_dataclass(hint):
        return _define(typing.cast('type', hint), definitions)
    return {} if hint is Any else {'type': _TYPES[hint]} | _describe_limits(hint, limits)


def _describe_limits(hint: Any, limits: Mapping[str, Any]) -> Schema:
    if hint not in (int, float):
        return {}
    whole: Schema = {'multipleOf': 1} if limits['whole'] else {}
    return whole | {word: limits[name] for name, word in _LIMITS.items() if limits[name] is not None}


def _join(variants: list[Schema]) -> Schema:
    """Any of several: as one list of values or of types where these say all, which editors explain best."""
    if all('enum' in variant or variant == {'type': 'null'} for variant in variants):
        return {'enum': [value for variant in variants for value in variant.get('enum', [None])]}
    rest = [variant for variant in variants if variant != {'type': 'null'}]
    if len(rest) == 1 and isinstance(rest[0].get('type'), str) and len(variants) == 2:
        return rest[0] | {'type': [rest[0]['type'], 'null']}
    return {'anyOf': variants}


def _choose_by_type(sections: list[tuple[type, Schema]]) -> Schema:
    """Of several sections the one whose `type` has the value that is there; else the last."""
    *firsts, last = sections
    made = last[1]
    for section, reference in reversed(firsts):
        made = {'if': _has('type', typing.get_args(get_hints(section)['type'])), 'then': reference, 'else': made}
    return made


def _has(key: str, values: Iterable[str]) -> Schema:
    return {'required': [key], 'properties': {key: {'enum': list(values)}}}


def _describe_mappings(section: type, made: Schema, definitions: dict[str, Schema]) -> Schema:
    """The keys of a file whose sections the dataclasses leave open: networks and data sets."""
    network: Schema = {'description': 'A registered network; other keys are its arguments.', 'type': 'object'}
    network |= {'properties': {'type': {'type': 'string'}}, 'required': ['type']}
    if 'Network' not in definitions:
        definitions['Network'] = network
        _add_components(network, 'arch', definitions, arguments=True)
    one = {'$ref': '#/$defs/Network'}
    several = {'type': 'array', 'items': one}
    none: Schema = {'type': 'null'}
    networks: dict[str, Schema] = {
        'network_g': one,
        'network_t': {'anyOf': [one, several, none]},
        'network_d': {'anyOf': [one, none]},
    }
    described: Schema = {name: {'description': made[name]['description'], **value} for name, value in networks.items()}
    real = RealDataset if section is RealOptions else None
    datasets = {
        'description': made['datasets']['description'],
        'type': 'object',
        'patternProperties': {
            '^train(_|$)': _define(real, definitions) if real else _choose_dataset(TrainDataset, definitions),
            '^(val|test)(_|$)': _choose_dataset(PairedDataset, definitions),
        },
        'additionalProperties': False,
    }
    return described | {'datasets': datasets}


def _choose_dataset(paired: type, definitions: dict[str, Schema]) -> Schema:
    other = _define(OtherDataset, definitions)
    sections = [(UpcycledDataset, _define(UpcycledDataset, definitions))] if paired is TrainDataset else []
    return _choose_by_type([*sections, (paired, _define(paired, definitions)), (OtherDataset, other)])


def _add_components(made: Schema, kind: str, definitions: dict[str, Schema], arguments: bool) -> None:
    """Offer the registered names as `type`, and each one's arguments beside it; any other name may be a user's own."""
    components = list_components(kind)
    made['properties']['type'] |= {'examples': sorted(components)}
    cases = [_offer(name, component, made, kind, definitions) for name, component in sorted(components.items())]
    if arguments:
        made['allOf'] = cases


def _offer(name: str, component: Component, made: Schema, kind: str, definitions: dict[str, Schema]) -> Schema:
    """What is asked for where `type` has this name; of **kwargs nothing can be said."""
    definitions[f'{kind}.{name}'] = _describe_component(component, needs_all=kind == 'arch')
    case: Schema = {'$ref': f'#/$defs/{kind}.{name}'}
    if not component.takes_any:
        case['propertyNames'] = {'enum': [*dict.fromkeys([*made['properties'], *component.parameters])]}
    return {'if': _has('type', [name]), 'then': case}


def _describe_component(component: Component, needs_all: bool) -> Schema:
    made: Schema = {'properties': {name: _describe_argument(value) for name, value in component.parameters.items()}}
    needed = [name for name, value in component.parameters.items() if value is REQUIRED] if needs_all else []
    return made | ({'required': needed} if needed else {})


def _describe_argument(default: Any) -> Schema:
    """No text where the default is a number; `options.check` asks for no more either."""
    number = isinstance(default, (int, float)) and not isinstance(default, bool)
    made: Schema = {'not': {'type': 'string'}} if number else {}
    return made | _describe_default(default)
