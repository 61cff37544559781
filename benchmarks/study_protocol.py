"""A study's protocol: data, networks, schedule, seeds and methods, read from its file."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dukd_basicsr import options
from dukd_basicsr.errors import UserError, did_you_mean

REPOSITORY = Path(__file__).resolve().parent.parent
GROUPS = ('main', 'rival', 'peer', 'control')
"""In the order in which they run and stand in the tables."""
GIVEN = {'vgg': "VGG's weights were not given (--vgg FILE)", 'peer': "the authors' code was not given (--peer DIR)"}
"""What a method may need of the command line, and why it did not run without."""


@dataclass(frozen=True)
class Method:
    """One row of the tables."""

    name: str
    title: str
    group: str
    overrides: dict[str, Any] = field(default_factory=dict)
    """Merged into base and common; ~ switches off."""
    seeds: int | None = None
    """How many of the protocol's; None: all for main, one for the others."""
    cached: bool = True
    """Whether its labels come from the cache; else it reads the pairs, and asks a live teacher if it has one."""
    needs: str | None = None
    """'vgg' or 'peer'."""


@dataclass(frozen=True)
class Protocol:
    """All that a study is made from."""

    title: str
    base: dict[str, Any]
    common: dict[str, Any]
    train: dict[str, Any]
    """folder, images of it (a pattern; default: all), name, and options of `basicsr prepare`."""
    tests: list[str]
    curves: list[str]
    """Those that are measured while training too."""
    teacher: str
    seeds: list[int]
    methods: dict[str, Method]
    per_image: int
    threads: int
    cost: dict[str, int]
    """iterations and rounds of a measurement."""
    budget: str | None
    """The method whose time is the larger of the two budgets."""

    @property
    def scale(self) -> int:
        return int(self.base['scale'])

    @property
    def total(self) -> int:
        return int(self.merged()['train']['total_iter'])

    @property
    def cache(self) -> str:
        return f'{self._root}_LR_bicubic_X{self.scale}_sub_upcycled.lmdb'

    @property
    def pairs(self) -> dict[str, str]:
        return {'dataroot_gt': f'{self._root}_HR_sub.lmdb',
                'dataroot_lq': f'{self._root}_LR_bicubic_X{self.scale}_sub.lmdb'}  # fmt: skip

    @property
    def _root(self) -> str:
        return f'datasets/{self.train["name"]}/{self.train["name"]}'

    def merged(self, names: Sequence[str] | None = None) -> dict[str, Any]:
        """Base and common, with the data of this study: test sets by name, those of the curves if none are given."""
        opt = merged(self.base, self.common)
        tests = {}
        for number, name in enumerate(self.curves if names is None else names):
            roots = {
                'dataroot_gt': f'datasets/{name}/GTmod{self.scale}',
                'dataroot_lq': f'datasets/{name}/LRbicx{self.scale}',
            }
            tests[f'val_{number}' if number else 'val'] = {
                'name': name, 'type': 'PairedImageDataset', **roots, 'io_backend': {'type': 'disk'}
            }  # fmt: skip
        opt['datasets'] = {'train': opt['datasets']['train'] | {'name': self.train['name'], **self.pairs}, **tests}
        return opt


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with nested overrides: a mapping goes into a mapping, anything else (~ too) replaces what is there."""
    result = copy.deepcopy(dict(base))
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result


def read_protocol(file: Path, vgg: Path | None = None) -> Protocol:
    """Read a protocol file.

    Raises:
        UserError: Keys that are missing, unknown or impossible.
    """
    raw = options.load(file)
    optional = {'curves', 'per_image', 'threads', 'cost', 'budget'}
    keys = {'title', 'base', 'common', 'train', 'tests', 'teacher', 'seeds', 'methods', *optional}
    for key in raw.keys() - keys:
        raise UserError(f'{file}: {key}: unknown key.{did_you_mean(key, keys)}')
    for key in sorted(keys - raw.keys() - optional):
        raise UserError(f'{file}: {key}: missing key; docs/study/protocol.yml has them all.')
    methods = {name: _method(file, name, value or {}, vgg) for name, value in raw['methods'].items()}
    budget = raw.get('budget')
    if budget is not None and budget not in methods:
        raise UserError(f'{file}: budget: {budget} is no method.{did_you_mean(budget, methods)}')
    protocol = Protocol(
        title=raw['title'],
        base=options.load(REPOSITORY / raw['base']),
        common=raw['common'] or {},
        train=raw['train'],
        tests=raw['tests'],
        curves=raw.get('curves', raw['tests']),
        teacher=raw['teacher'],
        seeds=raw['seeds'],
        methods=methods,
        per_image=raw.get('per_image', 4),
        threads=raw.get('threads', 1),
        cost={'iterations': 10, 'rounds': 3} | raw.get('cost', {}),
        budget=budget,
    )
    _check_frequencies(file, protocol)
    return protocol


def _method(file: Path, name: str, raw: Mapping[str, Any], vgg: Path | None) -> Method:
    known = {'title', 'group', 'overrides', 'seeds', 'cached', 'needs'}
    for key in raw.keys() - known:
        raise UserError(f'{file}: methods.{name}.{key}: unknown key.{did_you_mean(key, known)}')
    for key, allowed in (('group', GROUPS), ('needs', (*GIVEN, None))):
        if raw.get(key) not in allowed:
            raise UserError(
                f'{file}: methods.{name}.{key}: {raw.get(key)} is not one of {", ".join(map(str, allowed))}.'
            )
    values = {'title': name, **raw}
    values['overrides'] = _filled(raw.get('overrides') or {}, str(vgg.resolve()) if vgg else None)
    return Method(name=name, **values)


def _filled(value: Any, vgg: str | None) -> Any:  # noqa: ANN401
    """`{vgg}` replaced by the file of the command line."""
    if isinstance(value, Mapping):
        return {key: _filled(inner, vgg) for key, inner in value.items()}
    return vgg if value == '{vgg}' else value


def _check_frequencies(file: Path, protocol: Protocol) -> None:
    """A validation line has no iteration; that of the line before it counts."""
    opt = protocol.merged()
    every = [int(opt['logger']['print_freq']), int(opt['val']['val_freq']), protocol.total]
    if every[1] % every[0] or every[2] % every[1]:
        raise UserError(f'{file}: total_iter {every[2]} must be a multiple of val_freq {every[1]}, and that of '
                        f'print_freq {every[0]}; change common.')  # fmt: skip
