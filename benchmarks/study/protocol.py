"""A study's protocol: data, networks, schedule, seeds, methods and comparisons, read from its file."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dukd_basicsr import options
from dukd_basicsr.errors import UserError, did_you_mean

REPOSITORY = Path(__file__).resolve().parents[2]
HELD_OUT = 'HeldOut'
"""Name of the set that learning rates are chosen on."""
KINDS = ('iterations', 'seconds', 'student', 'parts')
"""What a comparison is about: equal iterations, equal seconds, another student, other parts of the method."""
GIVEN = {'vgg': "VGG's weights were not given (--vgg FILE)", 'peer': "the authors' code was not given (--peer DIR)"}
"""What a method may need of the command line, and why it did not run without."""


@dataclass(frozen=True)
class Method:
    """One row of the tables."""

    name: str
    title: str
    overrides: dict[str, Any] = field(default_factory=dict)
    """Merged into base and common; ~ switches off."""
    main: bool = False
    """Whether it is in every comparison that names no methods."""
    cached: bool = True
    """Whether its labels come from the cache; else it reads the pairs, and asks a live teacher if it has one."""
    needs: str | None = None
    """'vgg' or 'peer'."""
    rate_of: str | None = None
    """The method whose learning rate it takes; None: its own is searched for."""
    rates: tuple[float, ...] = ()
    """Learning rates that are tried beside those that all methods try."""


@dataclass(frozen=True)
class Search:
    """How a method's learning rate is chosen: by its PSNR on the held-out photographs."""

    rates: list[float]
    iterations: int
    seed: int


@dataclass(frozen=True)
class Comparison:
    """Cells that are compared: some methods, each with its own number of iterations and its whole schedule in them."""

    name: str
    title: str
    kind: str
    iterations: dict[str, int]
    """By method."""
    seeds: list[int]
    student: str | None = None
    """A name of `Protocol.students`; None: that of base."""


@dataclass(frozen=True)
class Protocol:
    """All that a study is made from."""

    title: str
    base: dict[str, Any]
    common: dict[str, Any]
    train: dict[str, Any]
    """folder, images and held_out (patterns), name, and options of `basicsr prepare`."""
    tests: list[str]
    curves: list[str]
    """Those that are measured while training too."""
    teacher: str
    """Its file, under --data or --work."""
    seeds: list[int]
    methods: dict[str, Method]
    students: dict[str, dict[str, Any]]
    """Overrides of network_g."""
    search: Search
    comparisons: dict[str, Comparison]
    per_image: int
    threads: int
    cost: dict[str, int]
    """iterations and rounds of a measurement."""

    @property
    def scale(self) -> int:
        return int(self.base['scale'])

    @property
    def cache(self) -> str:
        return f'{self._root}_LR_bicubic_X{self.scale}_sub_upcycled.lmdb'

    @property
    def pairs(self) -> dict[str, str]:
        return {
            'dataroot_gt': f'{self._root}_HR_sub.lmdb',
            'dataroot_lq': f'{self._root}_LR_bicubic_X{self.scale}_sub.lmdb',
        }

    @property
    def _root(self) -> str:
        return f'datasets/{self.train["name"]}/{self.train["name"]}'

    def images(self, name: str) -> dict[str, Any]:
        """A test set as BasicSR's options have it."""
        roots = {
            'dataroot_gt': f'datasets/{name}/GTmod{self.scale}',
            'dataroot_lq': f'datasets/{name}/LRbicx{self.scale}',
        }
        return {'name': name, 'type': 'PairedImageDataset', **roots, 'io_backend': {'type': 'disk'}}

    def merged(self) -> dict[str, Any]:
        """Base and common, with the data of this study: training pairs, and the sets of the curves."""
        opt = merged(self.base, self.common)
        tests = {f'val_{number}' if number else 'val': self.images(name) for number, name in enumerate(self.curves)}
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

    Args:
        file (Path): Its paths of options files start from the repository.
        vgg (Path | None): What `{vgg}` in a method's overrides stands for.

    Raises:
        UserError: Keys that are missing, unknown or impossible.
    """
    raw = options.load(file)
    optional = {'curves', 'per_image', 'threads', 'cost', 'students'}
    keys = {'title', 'base', 'common', 'train', 'tests', 'teacher', 'seeds', 'methods', 'learning_rate', 'comparisons'}
    _check_keys(file, '', raw, keys | optional, keys)
    methods = {name: _method(file, name, value or {}, vgg) for name, value in raw['methods'].items()}
    students = raw.get('students') or {}
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
        students=students,
        search=_search(file, raw['learning_rate']),
        comparisons={
            name: _comparison(file, name, value, raw['seeds'], methods, students)
            for name, value in raw['comparisons'].items()
        },
        per_image=raw.get('per_image', 4),
        threads=raw.get('threads', 1),
        cost={'iterations': 10, 'rounds': 3} | raw.get('cost', {}),
    )
    _check_frequencies(file, protocol)
    return protocol


def _check_keys(file: Path, where: str, raw: Mapping[str, Any], known: set[str], needed: set[str]) -> None:
    for key in raw.keys() - known:
        raise UserError(f'{file}: {where}{key}: unknown key.{did_you_mean(key, known)}')
    for key in sorted(needed - raw.keys()):
        raise UserError(f'{file}: {where}{key}: missing key; docs/study/protocol.yml has them all.')


def _among(file: Path, where: str, value: Any, allowed: Sequence[Any] | Mapping[str, Any]) -> None:
    if value not in allowed:
        names = [name for name in allowed if name is not None]
        meant = did_you_mean(value, names) if isinstance(value, str) else ''
        raise UserError(f'{file}: {where}: {value} is not one of {", ".join(map(str, allowed))}.{meant}')


def _method(file: Path, name: str, raw: Mapping[str, Any], vgg: Path | None) -> Method:
    known = {'title', 'overrides', 'main', 'cached', 'needs', 'rate_of', 'rates'}
    _check_keys(file, f'methods.{name}.', raw, known, set())
    _among(file, f'methods.{name}.needs', raw.get('needs'), (*GIVEN, None))
    values = {'title': name, **raw}
    values['overrides'] = _filled(raw.get('overrides') or {}, str(vgg.resolve()) if vgg else None)
    values['rates'] = tuple(map(float, raw.get('rates', ())))
    return Method(name=name, **values)


def _search(file: Path, raw: Mapping[str, Any]) -> Search:
    keys = {'rates', 'iterations', 'seed'}
    _check_keys(file, 'learning_rate.', raw, keys, keys)
    return Search([float(rate) for rate in raw['rates']], int(raw['iterations']), int(raw['seed']))


def _comparison(
    file: Path,
    name: str,
    raw: Mapping[str, Any],
    seeds: Sequence[int],
    methods: Mapping[str, Method],
    students: Mapping[str, Any],
) -> Comparison:
    where = f'comparisons.{name}.'
    _check_keys(
        file, where, raw, {'title', 'kind', 'iterations', 'seeds', 'student', 'methods'}, {'kind', 'iterations'}
    )
    _among(file, f'{where}kind', raw['kind'], KINDS)
    _among(file, f'{where}student', raw.get('student'), (*students, None))
    given = raw['iterations']
    chosen = raw.get('methods') or list(
        given if isinstance(given, Mapping) else (key for key, method in methods.items() if method.main)
    )
    for method in chosen:
        _among(file, f'{where}methods', method, methods)
    iterations = {method: int(given[method] if isinstance(given, Mapping) else given) for method in chosen}
    return Comparison(
        name,
        raw.get('title', name),
        raw['kind'],
        iterations,
        list(seeds)[: raw.get('seeds', len(seeds))],
        raw.get('student'),
    )


def _filled(value: Any, vgg: str | None) -> Any:
    """`{vgg}` replaced by the file of the command line."""
    if isinstance(value, Mapping):
        return {key: _filled(inner, vgg) for key, inner in value.items()}
    return vgg if value == '{vgg}' else value


def _check_frequencies(file: Path, protocol: Protocol) -> None:
    """A validation line of a log has no iteration: that of the line before it counts, so there must be one."""
    every = int(protocol.merged()['logger']['print_freq'])
    lengths = {count for each in protocol.comparisons.values() for count in each.iterations.values()}
    for count in sorted(lengths | {protocol.search.iterations}):
        if count % VALIDATIONS or count // VALIDATIONS % every:
            raise UserError(
                f'{file}: {count} iterations: there are {VALIDATIONS} validations in a run, so a length '
                f'must be a multiple of {VALIDATIONS} times print_freq {every}.'
            )
    for method in protocol.methods.values():
        if method.rate_of is not None:
            _among(file, f'methods.{method.name}.rate_of', method.rate_of, protocol.methods)


VALIDATIONS = 6
"""Of a run, evenly spaced, the last at its end."""
