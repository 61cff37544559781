"""What a study starts: a child process for every cell's training, then one for its numbers, until none is missing."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from benchmarks.study import records
from benchmarks.study.cells import OURS, Cell
from benchmarks.study.logs import last_iteration
from benchmarks.study.protocol import REPOSITORY, Protocol
from dukd_basicsr.errors import RunError, RunStopped

Plan = Callable[[], Sequence[Cell]]
"""The cells that can run now, in their order, those with a record left out; asked again whenever one has finished."""


@dataclass(frozen=True)
class Place:
    """Where a study runs."""

    work: Path
    records: Path
    """Folder of the finished cells."""
    peer: Path | None = None
    """The authors' code."""
    sets: tuple[str, ...] = ()
    """Of which a finished cell's numbers are measured."""


@dataclass
class Running:
    """A cell's process: of its training, or, once that is done, of its numbers."""

    cell: Cell
    process: subprocess.Popen
    done: int = 0


def basicsr(work: Path, *arguments: str | Path, threads: int | None = None) -> None:
    """Run one command of the product in the working folder.

    Raises:
        RunError: It failed; what it said is on the terminal.
    """
    command = [sys.executable, '-m', 'dukd_basicsr', *map(str, arguments)]
    done = subprocess.run(command, cwd=work, env=environment(threads), check=False)
    if done.returncode:
        raise RunError(f'basicsr {arguments[0]} failed with exit code {done.returncode}.')


def environment(threads: int | None = None) -> dict[str, str]:
    return os.environ | {'PYTHONPATH': str(REPOSITORY)} | ({'OMP_NUM_THREADS': str(threads)} if threads else {})


def run(plan: Plan, place: Place, jobs: int, protocol: Protocol) -> list[str]:
    """Run what the plan has, `jobs` at once; a cell that was stopped goes on where it stopped.

    Args:
        plan (Plan): Which cells; a cell that failed is not tried again.
        place (Place): Where.
        jobs (int): Cells side by side.
        protocol (Protocol): Threads of each process.

    Returns:
        list[str]: What to say of every cell that failed.

    Raises:
        RunStopped: Ctrl-C or SIGTERM; the children have saved their state.
    """
    running: list[Running] = []
    failed: dict[str, str] = {}
    with (
        _stopping(running),
        tqdm(
            desc='study', unit='it', smoothing=0.02, dynamic_ncols=True, mininterval=0.5 if sys.stderr.isatty() else 30
        ) as bar,
    ):
        waiting = list(plan())
        while True:
            busy = {each.cell.name for each in running} | failed.keys()
            waiting = [cell for cell in waiting if cell.name not in busy]
            while waiting and len(running) < jobs:
                running.append(begin(waiting.pop(0), place, protocol))
            if not running:
                return list(failed.values())
            time.sleep(0.5)
            if any([_ended(each, running, place, protocol, failed) for each in running[:]]):
                waiting = list(plan())
            _show(bar, running, len(waiting), place.work)


def begin(cell: Cell, place: Place, protocol: Protocol) -> Running:
    """Start what a cell lacks: its training, or only its numbers."""
    start = _measure if cell.trained(place.work) else _train
    return Running(cell, start(cell, place, protocol), last_iteration(cell.folder(place.work)))


def _ended(each: Running, running: list[Running], place: Place, protocol: Protocol, failed: dict[str, str]) -> bool:
    """Whether a cell has left `running`, with its record written or its failure told."""
    if each.process.poll() is None:
        return False
    numbers = _numbers(each.cell, place.work)
    if each.process.returncode == 0 and numbers.is_file():
        keep(each.cell, place)
    elif each.process.returncode == 0 and each.cell.trained(place.work):
        each.process = _measure(each.cell, place, protocol)
        return False
    else:
        failed[each.cell.name] = _failure(each, place.work)
    running.remove(each)
    return True


def keep(cell: Cell, place: Place) -> None:
    """Make a record of a cell's numbers."""
    found = json.loads(_numbers(cell, place.work).read_text(encoding='utf-8'))
    data = (records.references(place.records) or {}).get('data', {})
    records.write(place.records, cell.name, records.of_cell(cell, found, data))


def _numbers(cell: Cell, work: Path) -> Path:
    return cell.folder(work) / 'numbers.json'


def _show(bar: tqdm, running: Sequence[Running], waiting: int, work: Path) -> None:
    for each in running:
        now = last_iteration(each.cell.folder(work))
        bar.update(max(now - each.done, 0))
        each.done = max(now, each.done)
    names = ', '.join(f'{each.cell.name} {each.done}/{each.cell.iterations}' for each in running)
    bar.set_postfix_str(f'{waiting} cells wait; {names}', refresh=False)


@contextlib.contextmanager
def _stopping(running: list[Running]) -> Iterator[None]:
    """SIGINT and SIGTERM are handed on to the children as SIGTERM, which makes them save and leave with 75."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise RunStopped('stopped; every cell is saved, and the same command goes on.') from None
    finally:
        for each in running:
            each.process.terminate()
        for each in running:
            each.process.wait()
        signal.signal(signal.SIGTERM, before)


def _train(cell: Cell, place: Place, protocol: Protocol) -> subprocess.Popen:
    program = ['-m', 'dukd_basicsr', 'train']
    if cell.opt['model_type'] in OURS.values():
        program += ['--import', str(REPOSITORY / 'benchmarks' / 'bf16_model.py')]
    if cell.method.needs == 'peer':
        program = ['-m', 'benchmarks.study.peer', '--peer', str(place.peer)]
    return _start(cell, place, protocol, *program, '-opt', str(Path('options', f'{cell.name}.yml')), '--auto_resume')


def _measure(cell: Cell, place: Place, protocol: Protocol) -> subprocess.Popen:
    return _start(cell, place, protocol, *measuring(cell, place))


def measuring(cell: Cell, place: Place) -> list[str]:
    """Arguments of Python that measure a trained cell."""
    return [
        '-m',
        'benchmarks.study.evaluate',
        '-opt',
        str(Path('options', f'{cell.name}.yml')),
        '--sets',
        *place.sets,
        '-o',
        str(_numbers(cell, place.work)),
    ]


def _start(cell: Cell, place: Place, protocol: Protocol, *arguments: str) -> subprocess.Popen:
    """Its own session: a Ctrl-C of the terminal reaches this program alone, which hands it on."""
    with (place.work / 'logs' / f'{cell.name}.log').open('ab') as log:
        return subprocess.Popen(
            [sys.executable, *arguments],
            cwd=place.work,
            env=environment(protocol.threads),
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _failure(each: Running, work: Path) -> str:
    log = work / 'logs' / f'{each.cell.name}.log'
    lines = re.split(r'[\r\n]+', log.read_text(encoding='utf-8', errors='replace').strip())
    return f'{each.cell.name} ended with exit code {each.process.returncode} ({log}):\n    ' + '\n    '.join(lines[-6:])


def identity(found: Mapping[str, Any], stamp: Mapping[str, Any]) -> dict[str, Any]:
    """What data a study's numbers are about: fingerprints of the training images, of the teacher, of the test images.

    Args:
        found (Mapping): From `evaluate.measure_references`.
        stamp (Mapping): The cache's stamp.
    """
    return {
        'training': stamp['data'],
        'teacher': stamp['teacher'].get('weights'),
        'per_image': stamp['per_image'],
        'sets': found['digests'],
    }
