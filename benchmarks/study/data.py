"""A study's data: `basicsr prepare` and `upcycle`, the held-out photographs apart, and the references' numbers."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from benchmarks.study import records
from benchmarks.study.cells import write_options
from benchmarks.study.protocol import HELD_OUT, Protocol
from benchmarks.study.run import Place, basicsr, environment, identity
from dukd_basicsr.data.cache import manifest as stamps
from dukd_basicsr.errors import RunError, UserError


def prepare(protocol: Protocol, data: Path, place: Place) -> None:
    """Make what is missing of the training LMDBs, the test sets, the teacher's place, the cache and the references."""
    work = place.work
    for folder in ('options', 'logs', 'experiments/pretrained_models'):
        (work / folder).mkdir(parents=True, exist_ok=True)
    training, held_out = split(protocol, data / protocol.train['folder'])
    scale = str(protocol.scale)
    if not all((work / root).is_dir() for root in protocol.pairs.values()):
        extra = [
            text
            for key, value in protocol.train.items()
            if key not in ('folder', 'images', 'held_out', 'name')
            for text in (f'--{key}', str(value))
        ]
        folder = _copied(training, work / 'images' / protocol.train['name'])
        basicsr(work, 'prepare', folder, '--name', protocol.train['name'], '--scale', scale, *extra)
    for name in (*protocol.tests, HELD_OUT):
        if not (work / 'datasets' / name / f'LRbicx{scale}').is_dir():
            folder = _copied(held_out, work / 'images' / HELD_OUT) if name == HELD_OUT else data / name
            basicsr(work, 'prepare', folder, '--preset', 'benchmark', '--name', name, '--scale', scale)
    teacher = work / protocol.base['path']['pretrain_network_t']
    if not teacher.is_file():
        shutil.copyfile(_teacher(protocol, data, work), teacher)
    if not (stamps.read(work / protocol.cache) or {}).get('complete'):
        file = work / 'options' / 'upcycle.yml'
        write_options(file, protocol.merged() | {'name': 'upcycle'})
        basicsr(work, 'upcycle', '-opt', file, '-o', protocol.cache, '--per_image', str(protocol.per_image))
    _references(protocol, place)


def _teacher(protocol: Protocol, data: Path, work: Path) -> Path:
    """The teacher's file, under --data or under --work.

    Raises:
        UserError: It is under neither.
    """
    for folder in (data, work):
        if (folder / protocol.teacher).is_file():
            return folder / protocol.teacher
    raise UserError(f'teacher: there is no {protocol.teacher} in {data} or {work}.')


def split(protocol: Protocol, folder: Path) -> tuple[list[Path], list[Path]]:
    """The images to train on, and those that learning rates are chosen on.

    Raises:
        UserError: A pattern chooses none.
    """
    chosen = {key: sorted(folder.glob(protocol.train.get(key, '*'))) for key in ('images', 'held_out')}
    for key, found in chosen.items():
        if not found:
            raise UserError(f'train.{key}: no file of {folder} is like {protocol.train.get(key)}.')
    held_out = set(chosen['held_out'])
    return [file for file in chosen['images'] if file not in held_out], chosen['held_out']


def _copied(files: Iterable[Path], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / file.name)
    return folder


def _references(protocol: Protocol, place: Place) -> None:
    """The teacher's pictures, and its record and bicubic's beside the cells'."""
    stamp = stamps.read(place.work / protocol.cache) or {}
    pictures = all((place.work / 'teacher' / name).is_dir() for name in place.sets)
    if pictures and records.references(place.records):
        return
    file, out = place.work / 'options' / 'references.yml', place.work / 'references.json'
    write_options(file, protocol.merged() | {'name': 'references'})
    measured(place.work, protocol, '-opt', str(file), '--sets', *place.sets, '--references', '-o', str(out))
    found = json.loads(out.read_text(encoding='utf-8'))
    record = found | {'data': identity(found, stamp)}
    there = records.references(place.records)
    if there and there['data'] != record['data']:
        raise UserError(
            f'{place.records}: the finished cells are of other data than that of {place.work}; '
            'take the same images and teacher, or another --records.'
        )
    records.write(place.records, 'references', record)


def measured(work: Path, protocol: Protocol, *arguments: str) -> None:
    """Run `evaluate` in the working folder.

    Raises:
        RunError: It failed.
    """
    command = [sys.executable, '-m', 'benchmarks.study.evaluate', *arguments]
    if subprocess.run(command, cwd=work, env=environment(protocol.threads), check=False).returncode:
        raise RunError('the teacher could not be measured; see above.')
