"""A study's protocol from its file, with a sentence for every mistake in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.protocol import GIVEN, KINDS, REPOSITORY, VALIDATIONS, Comparison, Method, Protocol, Search
from dukd_basicsr import options
from dukd_basicsr.errors import UserError, did_you_mean


def read_protocol(file: Path, vgg: Path | None = None) -> Protocol:
    """Read a protocol file.

    Args:
        file (Path): Its paths of options files start from the repository.
        vgg (Path | None): What `{vgg}` in a method's overrides stands for.

    Raises:
        UserError: Keys that are missing, unknown or impossible.
    """
    raw = options.load(file)
    optional = {'curves', 'per_image', 'threads', 'cost', 'students', 'precisions'}
    keys = {'title', 'base', 'common', 'train', 'tests', 'teacher', 'seeds', 'methods', 'learning_rate', 'comparisons'}
    _check_keys(file, '', raw, keys | optional, keys)
    methods = {name: _method(file, name, value or {}, vgg) for name, value in raw['methods'].items()}
    students, precisions = raw.get('students') or {}, raw.get('precisions') or {}
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
        precisions=precisions,
        search=_search(file, raw['learning_rate'], precisions),
        comparisons={
            name: _comparison(file, name, value, raw['seeds'], methods, (students, precisions))
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


def _search(file: Path, raw: Mapping[str, Any], precisions: Mapping[str, Any]) -> Search:
    keys, precision = {'rates', 'iterations', 'seed'}, raw.get('precision')
    _check_keys(file, 'learning_rate.', raw, keys | {'precision'}, keys)
    _among(file, 'learning_rate.precision', precision, (*precisions, None))
    return Search([float(rate) for rate in raw['rates']], int(raw['iterations']), int(raw['seed']), precision)


def _comparison(
    file: Path,
    name: str,
    raw: Mapping[str, Any],
    seeds: Sequence[int],
    methods: Mapping[str, Method],
    known: tuple[Mapping[str, Any], Mapping[str, Any]],
) -> Comparison:
    where = f'comparisons.{name}.'
    keys = {'title', 'kind', 'iterations', 'seeds', 'student', 'precision', 'methods'}
    _check_keys(file, where, raw, keys, {'kind', 'iterations'})
    _among(file, f'{where}kind', raw['kind'], KINDS)
    for key, names in zip(('student', 'precision'), known, strict=True):
        _among(file, f'{where}{key}', raw.get(key), (*names, None))
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
        raw.get('precision'),
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
