"""Random mutations of every shipped options file: each is accepted, or refused with sentences and exit code 2.

    python -m tests.torture.mutate_options [--examples 20000] [--seed 0] [--json FILE]

Each example takes a file of options/, changes it as data (keys lost, misspelt, doubled, swapped; values of another
type, huge, not finite, with control characters; deep nesting) or as text (lines and bytes lost, doubled, inserted;
YAML's tags, anchors and aliases; what is not UTF-8), adds random --force_yml entries to some, and runs the command line
as `basicsr train --check` (`basicsr test` for files without training) in an empty folder, up to where the networks
would be built. Anything else than exit code 0, or 2 with one sentence a line, is a failure: a traceback, a file that
was made, more than ten seconds. tests/torture/test_option_mutations.py runs a few of the same.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import copy
import datetime
import functools
import io
import json
import random
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

# isort: split
import cv2
import lmdb
import numpy as np
import yaml

from dukd_basicsr import cli, options
from dukd_basicsr.data.paths import work_in
from dukd_basicsr.training import dry_run, pipeline
from tests.toys import REPOSITORY

FILES = sorted((REPOSITORY / 'options').glob('*.yml'))
SECONDS = 10
"""An example that takes longer hangs."""
VALUES: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 4, 5, 16, 100_000, 10**18, 10**30, -(10**30), 10**400, 0.5, -0.0, 1e-30, 1e300,
    float('nan'), float('inf'), float('-inf'), '', ' ', 'x', '~', 'none', '1e-4', '1e400', '.', '..', '/', '~nobody/x',
    'a/b\\c', 'x.lmdb', '{}{}', '{0.__class__}', '%s', 'debug', 'auto', 'disk', 'lmdb', 'L1Loss', 'EDSR', 'SRModel',
    'PairedImageDataset', 'PerceptualLoss', 'CosineAnnealingRestartLR', 'x' * 100_000, '.' * 100_000, 'x/' * 3_000,
    '\0', 'a\nb\r\n', '\x1b[31mred', '\x85\u2028\u2029\x0b\x0c', '\ud800', '\U0001f600\u202e', b'\xff', [], [[]],
    [None], [1, 'x', {}], [0.9], [1e300, 1e300], [float('nan')] * 2, ['x'] * 1000, {}, {'type': None}, {'type': 'x'},
    {'type': []}, {'type': {}}, {1: 1, None: 2, 1.5: 3, False: 4, datetime.date(2001, 1, 1): 5}, {'': ''},
    {b'\xff': 1}, {'a\nb': 1}, {(1, 2): 1}, {'x' * 10_000: 1}, {'.': {'..': 1}}, {'type': 'L1Loss', 'loss_weight': 1.0},
    datetime.date(2001, 1, 1), datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc), {1, 'x'},
]  # fmt: skip
TEXTS = [
    '&a', '*a', '&a [*a]', '&a {b: *a}', '!!python/object/apply:os.system [touch x]', '!!python/name:os.system',
    '!!python/tuple [1]', '!!binary x', '!!binary gA==', '!!binary \u00e9', '!!set {a, b}', '!!omap [a: 1]', '!!omap x',
    '!!pairs [a: 1]', '!!timestamp x', '!!timestamp 2001-99-99', '!!int ""', '!!int x', '!!int 0b', '!!float ""',
    '!!float x', '!!bool x', '!!bool ""', '!!null x', '!!str [a]', '!!seq {a: b}', '!!map [a]', '!!merge x', '!x y',
    '!<tag:x> y', '!', '!!', '0x' + 'f' * 5000, '9' * 5000, '1' + '0' * 400, '-1:2:3', '1:' * 400 + '1.5', '0o17',
    '0b1', '1_000', '2001-01-01', '2001-12-14t21:59:43.10-05:00', '2001-12-14t21:59:43-99:99',
    '0001-01-01t00:00:00+23:59', '[' * 60, '[' * 3000, '[' * 100 + ']' * 100, '{a: ' * 60,
    '{a: ' * 300 + '1' + '}' * 300, '- ' * 3000, '? ' * 300, '<<: *a', '<<: {a: 1}', '? [a]\n: b', '? {a: b}\n: c',
    '---', '...', '--- x', '%YAML 1.1', '%TAG ! x:', '%', '\t',
    '|', '>-', '"', "'", '"\\ud800"', '"\\0"', '"\\e[31m"', '"\\N\\L\\P"', '"\\x"', '#', '- ', ': ', '@', '`', '~', '=',
    '.nan', '-.inf', '-0.0', '\u00e9', '\u202e', '\u2028', '\ufeff', '[1, 2', '{1', '}', ']', ',', 'x: y: z',
]  # fmt: skip
LAUGHS = ''.join(f'l{n}: &l{n} [{", ".join([f"*l{n - 1}" if n else "x"] * 10)}]\n' for n in range(12))
BYTES = [b'\0', b'\xff', b'\xfe\xff', b'\xef\xbb\xbf', b'\xc3', b'\xed\xa0\x80', b'\r', b'\r\n', b'\n', b'\t',
         b'\x1b', b'\x7f', b'\xc2\x85', b'\xe2\x80\xa8', b':', b'-', b' ', b'"', b'{', b'[', b'&', b'*', b'!',
         b'\xff' * 100]  # fmt: skip


class MutationError(AssertionError):
    """A mutated file that did not end as it must."""


def places(node: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) in plain data."""
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in list(items):
        yield node, key
        yield from places(value)


def delete(opt: dict, rng: random.Random) -> None:
    node, key = rng.choice(list(places(opt)))
    del node[key]


def replace(opt: dict, rng: random.Random) -> None:
    node, key = rng.choice(list(places(opt)))
    node[key] = copy.deepcopy(rng.choice(VALUES))


def copy_elsewhere(opt: dict, rng: random.Random) -> None:
    found = list(places(opt))
    (node, key), (source, name) = rng.choice(found), rng.choice(found)
    node[key] = copy.deepcopy(source[name])


def alias_elsewhere(opt: dict, rng: random.Random) -> None:
    """The same object twice, which YAML writes as anchor and alias."""
    found = list(places(opt))
    (node, key), (source, name) = rng.choice(found), rng.choice(found)
    if not any(inner is node for inner, _ in places(source[name])) and source[name] is not node:
        node[key] = source[name]


def swap(opt: dict, rng: random.Random) -> None:
    found = list(places(opt))
    (node, key), (other, name) = rng.choice(found), rng.choice(found)
    node[key], other[name] = copy.deepcopy(other[name]), copy.deepcopy(node[key])


def rename(opt: dict, rng: random.Random) -> None:
    """Misspell a key, or give it another kind of name."""
    node, key = rng.choice([place for place in places(opt) if isinstance(place[0], dict)])
    text = str(key)
    at = rng.randrange(len(text) or 1)
    names = [text[:at] + text[at + 1 :], text[:at] + text[at : at + 1] + text[at:], text.upper(),
             text[:at] + text[at + 1 : at + 2] + text[at : at + 1] + text[at + 2 :], f'{key}_1', None, 1, 1.5,
             True, '', 'x' * 5000, 'a\nb', '\x1b[2J', datetime.date(2001, 1, 1)]  # fmt: skip
    node[rng.choice(names)] = node.pop(key)


def add(opt: dict, rng: random.Random) -> None:
    """A key of another section, or a section a second time."""
    found = [place for place in places(opt) if isinstance(place[0], dict)]
    (node, key), (source, name) = rng.choice(found), rng.choice(found)
    node[rng.choice([f'{key}2', name])] = copy.deepcopy(source[name])


def nest(opt: dict, rng: random.Random) -> None:
    node, key = rng.choice(list(places(opt)))
    for _ in range(rng.choice([1, 1, 2, 60])):
        node[key] = {key: node[key]} if rng.random() < 0.5 else [node[key]]


DATA: list[Callable[[dict, random.Random], None]] = [
    delete, replace, replace, replace, rename, add, copy_elsewhere, alias_elsewhere, swap, nest
]  # fmt: skip


def mutate_data(opt: dict, rng: random.Random) -> dict:
    """One to four changes of the options as data."""
    opt = copy.deepcopy(opt)
    for _ in range(rng.choice([1, 1, 1, 1, 2, 3, 4])):
        operation = rng.choice(DATA)
        if any(isinstance(node, dict) for node, _ in places(opt)):
            operation(opt, rng)
    return opt


def mutate_text(text: bytes, rng: random.Random) -> bytes:
    """One to three changes of the options as text."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        text = rng.choice([_cut, _insert, _lines, _value, _value, _value, _laugh])(text, rng)
    return text


def _cut(text: bytes, rng: random.Random) -> bytes:
    start = rng.randrange(len(text) + 1)
    return text[:start] + text[start + rng.choice([1, 10, len(text)]) :]


def _insert(text: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(text) + 1)
    return text[:at] + rng.choice([rng.choice(BYTES), rng.choice(TEXTS).encode()]) + text[at:]


def _lines(text: bytes, rng: random.Random) -> bytes:
    lines = text.splitlines(keepends=True) or [b'']
    at, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    change = rng.choice(['delete', 'double', 'move', 'indent', 'tab'])
    if change in ('indent', 'tab'):
        lines[at] = (b'  ' if change == 'indent' else b'\t') + lines[at]
    elif change == 'double':
        lines.insert(other, lines[at])
    else:
        line = lines.pop(at)
        lines[other:other] = [line] if change == 'move' else []
    return b''.join(lines)


def _value(text: bytes, rng: random.Random) -> bytes:
    """Another value behind the colon of a line."""
    lines = text.split(b'\n')
    at = rng.randrange(len(lines))
    lines[at] = lines[at].partition(b': ')[0] + b': ' + rng.choice(TEXTS).encode()
    return b'\n'.join(lines)


def _laugh(text: bytes, rng: random.Random) -> bytes:
    """Aliases of aliases: short text, 10^12 values."""
    lines = text.split(b'\n')
    at = rng.randrange(len(lines))
    lines[at] = lines[at].partition(b':')[0] + b': *l%d' % rng.choice([1, 3, 5, 11])
    return LAUGHS.encode() + b'\n'.join(lines)


def entries(opt: dict, rng: random.Random) -> list[str]:
    """Random `--force_yml` entries; most name a key that is there."""
    found = []
    for _ in range(rng.choice([1, 1, 2, 5])):
        path, node = [], opt
        while isinstance(node, dict) and node and (not path or rng.random() < 0.8):
            path.append(rng.choice(list(node)))
            node = node[path[-1]]
        value = rng.choice([rng.choice(TEXTS), str(rng.choice(VALUES[:8] + VALUES[14:])), '[1, 2', '{a: 1}', '[' * 500,
                            '[' + '-' * 5000 + '1]', '[print(1)]', '!!float', '!!float x', '\udcff', '{**1}', '[1]*9',
                            '{[]: 1}', '[!!int ""]', '[!!bool x]', '[' + '9' * 5000 + ']', '{a: &a [*a]}'])  # fmt: skip
        name = ':'.join(map(str, path)) + rng.choice([''] * 8 + [':', ':x', 'x', ':0', '\0', '"];print(1);opt["b'])
        found.append(name + rng.choice(['='] * 9 + ['']) + value)
    return found


def example(rng: random.Random) -> tuple[Path, bytes, list[str]]:
    """A shipped file, its mutated text, and entries for --force_yml."""
    file = rng.choice(FILES)
    opt, text = options.load(file), file.read_bytes()
    if rng.random() < 0.5:
        with_images(opt)
        text = dump(opt)
    kind = rng.choice(['data'] * 6 + ['text', 'text', 'both', 'entries'])
    if kind in ('data', 'both'):
        text = dump(mutate_data(opt, rng))
    if kind in ('text', 'both'):
        text = mutate_text(text, rng)
    forced = entries(opt, rng) if kind == 'entries' or rng.random() < 0.05 else []
    return file, text, forced


def with_images(opt: dict) -> None:
    """Let the options name what `images` has made."""
    for dataset in opt['datasets'].values():
        suffix = '.lmdb' if dataset['io_backend']['type'] == 'lmdb' else ''
        dataset.update(dataroot_gt=f'images/gt{suffix}', dataroot_lq=f'images/x{opt["scale"]}{suffix}')
        dataset.pop('filename_tmpl', None)


def dump(opt: Any) -> bytes:
    dumper = getattr(yaml, 'CSafeDumper', yaml.SafeDumper)
    try:
        return yaml.dump(opt, Dumper=dumper, sort_keys=False).encode()
    except (yaml.YAMLError, UnicodeEncodeError):  # the C dumper does not write lone surrogates
        return yaml.safe_dump(opt, sort_keys=False).encode()


def images(folder: Path) -> None:
    """Twenty pairs of images, as folders and as LMDBs, that half of the examples name."""
    for kind, side in (('gt', 576), ('x2', 288), ('x3', 192), ('x4', 144)):
        plain, packed = folder / 'images' / kind, folder / 'images' / f'{kind}.lmdb'
        plain.mkdir(parents=True)
        png = _black(side)
        environment = lmdb.open(str(packed), map_size=2**24, sync=False, lock=False)
        with environment, environment.begin(write=True) as transaction:
            for number in range(20):
                (plain / f'{number}.png').write_bytes(png)
                transaction.put(str(number).encode(), png)
        (packed / 'meta_info.txt').write_text(''.join(f'{number}.png ({side},{side},3) 1\n' for number in range(20)))


@functools.cache
def _black(side: int) -> bytes:
    return cv2.imencode('.png', np.zeros((side, side, 3), np.uint8))[1].tobytes()


def attempt(file: Path, text: bytes, forced: list[str], folder: Path) -> str:
    """Run the command line on a mutated file.

    Args:
        file (Path): The shipped file; without training in it, the command is `basicsr test`.
        text (bytes): What the mutated file holds.
        forced (list[str]): Entries for --force_yml.
        folder (Path): Empty but for the images that `images` makes, and afterwards again.

    Returns:
        str: 'accepted' or 'refused'.

    Raises:
        MutationError: A traceback, no sentence, more than one line a sentence, a file left behind, a hang.
    """
    command = 'test' if file.name.startswith(('test', 'benchmark')) else 'train'
    argv = [command, '-opt', 'x.yml', *(['--check'] if command == 'train' else [])]
    argv += ['--force_yml', *forced] if forced else []
    (folder / 'x.yml').write_bytes(text)
    errors = io.TextIOWrapper(io.BytesIO(), 'utf-8', errors='backslashreplace', newline='')  # as sys.stderr
    try:
        with contextlib.redirect_stderr(errors), work_in(folder), _limited(), _without_networks():
            code = cli.main(argv)
    except SystemExit as stop:  # argparse
        code = stop.code
        if code == 2 and forced:
            return 'refused'
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        raise MutationError(f'{argv}: {"".join(traceback.format_exception(error)[-3:])}') from error
    errors.seek(0)
    said = errors.read()
    (folder / 'x.yml').unlink()
    _judge(argv, code, said, [path.name for path in folder.iterdir() if path.name != 'images'])
    return 'refused' if code else 'accepted'


def _judge(argv: list[str], code: Any, said: str, left: list[str]) -> None:
    lines = said.splitlines()
    wrong = [line for line in lines if not (line.startswith(f'basicsr {argv[0]}: ') and line.isprintable())]
    errors = [line for line in lines if not line.startswith(f'basicsr {argv[0]}: warning: ')]
    if code not in (0, 2) or left or wrong or bool(errors) != (code == 2):
        raise MutationError(f'{argv}: exit code {code}, left {left}, lines {[line[:300] for line in wrong]}')
    if max(map(len, lines), default=0) > 5000:
        raise MutationError(f'{argv}: a sentence of {max(map(len, lines))} characters: {max(lines, key=len)[:200]}')


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def stop(*_: object) -> None:
        raise TimeoutError(f'more than {SECONDS} s')

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def _without_networks() -> Iterator[None]:
    with mock.patch.object(dry_run, 'run'), mock.patch.object(pipeline, 'test'):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--examples', type=int, default=20_000)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter(accepted=0, refused=0, failed=0)
    failures: dict[str, str] = {}
    start, slowest = time.perf_counter(), 0.0
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        images(folder)
        for number in range(args.examples):
            begun = time.perf_counter()
            try:
                outcome = attempt(*example(random.Random(f'{args.seed}-{number}')), folder)
            except MutationError as failure:
                outcome = 'failed'
                failures.setdefault(str(failure).strip().splitlines()[-1][:200], f'{number}: {failure}')
                # What one example leaves behind is not the next one's.
                folder = Path(tempfile.mkdtemp(dir=name))
                images(folder)
            counts[outcome] += 1
            slowest = max(slowest, time.perf_counter() - begun)
    for text in failures.values():
        sys.stderr.write(f'{text}\n\n')
    result = {'files': len(FILES), 'mutations': args.examples, 'seed': args.seed, **counts,
              'slowest_s': slowest, 'seconds': time.perf_counter() - start}  # fmt: skip
    print('| files | mutations | accepted | refused in a sentence | tracebacks, hangs, files made | slowest s |\n'
          '|---|---|---|---|---|---|')  # fmt: skip
    print(f'| {result["files"]} | {args.examples:,} | {counts["accepted"]:,} | {counts["refused"]:,} '
          f'| {counts["failed"]:,} | {slowest:.2f} |')  # fmt: skip
    if args.json:
        args.json.write_text(json.dumps(result, indent=2) + '\n', encoding='utf-8')
    sys.exit(1 if counts['failed'] else 0)


if __name__ == '__main__':
    main()
