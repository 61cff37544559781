"""What a study starts: `basicsr prepare` and `upcycle` for its data, and a child process for every cell."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from study_cells import Cell, write_options
from study_logs import last_iteration
from study_protocol import REPOSITORY, Protocol
from tqdm import tqdm

from dukd_basicsr.cache import stamp as stamps
from dukd_basicsr.errors import RunError, RunStopped, UserError


def prepare(protocol: Protocol, data: Path, work: Path) -> None:
    """Make what is missing of the training LMDBs, the test sets, the teacher's place and the cache."""
    for folder in ('options', 'logs', 'experiments/pretrained_models'):
        (work / folder).mkdir(parents=True, exist_ok=True)
    scale = str(protocol.scale)
    if not all((work / root).is_dir() for root in protocol.pairs.values()):
        extra = [text for key, value in protocol.train.items() if key not in ('folder', 'images', 'name')
                 for text in (f'--{key}', str(value))]  # fmt: skip
        folder = _chosen(protocol, data / protocol.train['folder'], work)
        basicsr(work, 'prepare', folder, '--name', protocol.train['name'], '--scale', scale, *extra)
    for name in protocol.tests:
        if not (work / 'datasets' / name / f'LRbicx{scale}').is_dir():
            basicsr(work, 'prepare', data / name, '--preset', 'benchmark', '--name', name, '--scale', scale)
    teacher = work / protocol.base['path']['pretrain_network_t']
    if not teacher.is_file():
        shutil.copyfile(data / protocol.teacher, teacher)
    if not (stamps.read(work / protocol.cache) or {}).get('complete'):
        file = work / 'options' / 'upcycle.yml'
        write_options(file, protocol.merged() | {'name': 'upcycle'})
        basicsr(work, 'upcycle', '-opt', file, '-o', protocol.cache, '--per_image', str(protocol.per_image))


def _chosen(protocol: Protocol, folder: Path, work: Path) -> Path:
    """The folder of training images, or one with copies of those that `images` chooses.

    Raises:
        UserError: It chooses none.
    """
    pattern = protocol.train.get('images')
    if pattern is None:
        return folder
    chosen = work / 'images' / protocol.train['name']
    found = sorted(folder.glob(pattern))
    if not found:
        raise UserError(f'train.images: no file of {folder} is like {pattern}.')
    chosen.mkdir(parents=True, exist_ok=True)
    for image in found:
        shutil.copyfile(image, chosen / image.name)
    return chosen


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
    paths = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / 'benchmarks')])
    return os.environ | {'PYTHONPATH': paths} | ({'OMP_NUM_THREADS': str(threads)} if threads else {})


@dataclass
class Running:
    """A cell's process."""

    cell: Cell
    process: subprocess.Popen
    done: int = 0


def run(cells: Sequence[Cell], work: Path, jobs: int, threads: int, peer: Path | None) -> list[str]:
    """Run what is not finished, `jobs` at once; a cell that was stopped goes on where it stopped.

    Returns:
        list[str]: What to say of every cell that failed.

    Raises:
        RunStopped: Ctrl-C or SIGTERM; the children have saved their state.
    """
    waiting = [cell for cell in cells if not cell.finished(work)]
    total = {cell.name: int(cell.opt['train']['total_iter']) for cell in cells}
    running: list[Running] = []
    failed: list[str] = []
    began = {cell.name: last_iteration(cell.folder(work)) for cell in waiting}
    initial = sum(began.values()) + sum(total[cell.name] for cell in cells if cell not in waiting)
    bar = tqdm(total=sum(total.values()), initial=initial, desc='study', unit='it', smoothing=0.02, dynamic_ncols=True,
               mininterval=0.5 if sys.stderr.isatty() else 30)  # fmt: skip
    with bar, _stopping(running):
        while waiting or running:
            while waiting and len(running) < jobs:
                cell = waiting.pop(0)
                running.append(Running(cell, _start(cell, work, threads, peer), began[cell.name]))
            time.sleep(0.5)
            for each in running[:]:
                now = last_iteration(each.cell.folder(work))
                bar.update(max(now - each.done, 0))
                each.done = max(now, each.done)
                if each.process.poll() is not None:
                    running.remove(each)
                    failed += _failure(each, work)
            names = ', '.join(f'{each.cell.name} {each.done}/{total[each.cell.name]}' for each in running)
            bar.set_postfix_str(f'{len(waiting)} cells wait; {names}', refresh=False)
    return failed


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


def _start(cell: Cell, work: Path, threads: int, peer: Path | None) -> subprocess.Popen:
    """Its own session: a Ctrl-C of the terminal reaches this program alone, which hands it on."""
    program = ['-m', 'dukd_basicsr', 'train']
    if cell.method.needs == 'peer':
        program = [str(REPOSITORY / 'benchmarks' / 'study_peer.py'), '--peer', str(peer)]
    command = [sys.executable, *program, '-opt', str(Path('options', f'{cell.name}.yml')), '--auto_resume']
    with (work / 'logs' / f'{cell.name}.log').open('ab') as log:
        return subprocess.Popen(
            command, cwd=work, env=environment(threads), stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )


def _failure(each: Running, work: Path) -> list[str]:
    if each.process.returncode == 0 and each.cell.finished(work):
        return []
    log = work / 'logs' / f'{each.cell.name}.log'
    lines = re.split(r'[\r\n]+', log.read_text(encoding='utf-8', errors='replace').strip())
    return [
        f'{each.cell.name} ended with exit code {each.process.returncode} ({log}):\n    ' + '\n    '.join(lines[-6:])
    ]
