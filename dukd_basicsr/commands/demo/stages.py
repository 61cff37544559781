"""`basicsr demo`: a trained student distilled further in equal seconds, on embedded photographs; tables, pictures."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dukd_basicsr.commands.demo import gains, photographs
from dukd_basicsr.errors import UserError
from dukd_basicsr.options.shipped import find_folder

TEACHER, STUDENT = 'EDSR_x4_f48b8_demo.pth', 'EDSR_x4_f16b4_demo.pth'
CACHE = Path('datasets') / 'demo' / 'demo_X4_upcycled.lmdb'
HELD_OUT_SET = 'demo_held_out'
LABELS = 190


@dataclass(frozen=True)
class Run:
    """One training of the student."""

    title: str
    file: str
    name: str
    """The options file's."""
    cost: float
    """Of an iteration, in iterations of the student alone."""
    labels: int = LABELS
    """What its labels cost, in iterations of the student alone."""

    def iterations(self, alone: int) -> int:
        """How many take, with its labels, the seconds of so many of the student alone."""
        return max(10, round((alone - self.labels) / self.cost))


RUNS = (
    Run('the student alone', 'demo_edsr_x4.yml', 'demo_student_alone', 1.0, labels=0),
    Run('KD', 'demo_kd_edsr_x4.yml', 'demo_KD', 1.0),
    Run('DUKD', 'demo_dukd_edsr_x4.yml', 'demo_DUKD', 1.57),
    Run('DUKD in the batch', 'demo_dukd_in_batch_edsr_x4.yml', 'demo_DUKD_in_batch', 1.02),
)
"""Costs: seconds of an iteration in the logs of one demo, over those of the student alone; LABELS likewise."""
ALONE, LABELLED = RUNS[0], RUNS[2]


def run(root: Path, iterations: int) -> None:
    """Prepare data and labels, train the student further alone, with KD and with DUKD in two ways, and compare.

    Args:
        root (Path): Where `datasets/`, `experiments/` and `results/` go, as with every command of BasicSR.
        iterations (int): Of the student alone; the others have fewer, for equal seconds (`Run.cost`).

    Raises:
        UserError: A step failed; its log is named.
    """
    if iterations < 10:
        raise UserError(f'--iterations: {iterations} is too few to show anything; use at least 10.')
    started = time.monotonic()
    results = root / 'results' / 'demo'
    results.mkdir(parents=True, exist_ok=True)
    _heading('1/7', 'data: photographs of scikit-image, to LMDB')
    photographs.prepare(root)
    student = _place_networks(root)
    _heading('2/7', "the teacher's labels, once for all runs")
    labelling = _label(root, results / 'upcycle.log')
    costs = {}
    for number, each in enumerate(RUNS, 3):
        steps = each.iterations(iterations)
        _heading(f'{number}/7', f'training: {each.title}, {steps} iterations')
        spent = _train(root, each.file, steps, results / f'{Path(each.file).stem}.log')
        costs[each.name] = gains.Cost(steps, spent, 0 if each is ALONE else labelling)
    _heading('7/7', 'benchmark on the held-out photographs')
    from dukd_basicsr.evaluation.benchmark.tabulate import tabulate_networks

    tabulate_networks([find_folder() / each.file for each in RUNS], results, pictures=True, weights=[student])
    _write_gains(results, costs)
    sys.stdout.write(f'Done in {(time.monotonic() - started) / 60:.1f} min. Table, JSON, CSV and pictures: {results}\n')


def _place_networks(root: Path) -> Path:
    """The teacher and the student to start from, where the options files name them; returns the student's file."""
    folder = root / 'experiments' / 'pretrained_models'
    folder.mkdir(parents=True, exist_ok=True)
    for name in (TEACHER, STUDENT):
        shutil.copyfile(Path(__file__).parent / name, folder / name)
    return folder / STUDENT


def _label(root: Path, log: Path) -> float:
    """`basicsr upcycle` for all runs; returns its seconds. Labels of an earlier demo go, so that these are measured."""
    shutil.rmtree(root / CACHE, ignore_errors=True)
    started = time.monotonic()
    _basicsr(root, ['upcycle', '-opt', str(find_folder() / LABELLED.file)], log)
    return time.monotonic() - started


def _train(root: Path, file: str, iterations: int, log: Path) -> float:
    """One run of `basicsr train` in a process of its own (BasicSR's logger serves one run a process); its seconds."""
    _basicsr(root, [
        'train', '-opt', str(find_folder() / file), '--force_yml',
        f'train:total_iter={iterations}', f'train:scheduler:periods=[{iterations}]', f'val:val_freq={iterations}',
        f'logger:print_freq={max(1, iterations // 12)}', f'logger:save_checkpoint_freq={iterations}',
    ], log)  # fmt: skip
    return gains.seconds_of(log.read_text(encoding='utf-8'))


def _basicsr(root: Path, arguments: Sequence[str], log: Path) -> None:
    """One command in a process of its own; what matters of its output is shown, all of it is in the log.

    Of one thread, unless the environment says another number: as fast for networks so small, and its sums are rounded
    alike on machines of any number of cores.
    """
    command = [sys.executable, '-m', 'dukd_basicsr', *arguments]
    environment = {'OMP_NUM_THREADS': '1'} | os.environ
    with (
        log.open('w', encoding='utf-8') as copy,
        subprocess.Popen(  # noqa: S603
            command,
            cwd=root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding='utf-8',
        ) as process,
    ):
        for line in process.stdout or ():
            copy.write(line)
            if ', iter:' in line or line.startswith(('\t # ', f'basicsr {arguments[0]}:')) or 'Teacher on' in line:
                sys.stdout.write(line)
                sys.stdout.flush()
    if process.returncode:
        tail = ' '.join(log.read_text(encoding='utf-8').splitlines()[-1:])
        file = Path(arguments[2]).name
        raise UserError(
            f'basicsr {arguments[0]} of {file} failed with exit code {process.returncode} ({tail}); its log is {log}.'
        )


def _write_gains(results: Path, costs: dict[str, gains.Cost]) -> None:
    """The second table, to the terminal and under the first one in benchmark.md."""
    with (results / 'benchmark_images.csv').open(newline='', encoding='utf-8') as file:
        records = [record for record in csv.DictReader(file) if record['set'] == HELD_OUT_SET]
    table = gains.to_markdown(records, costs, ALONE.name, Path(STUDENT).stem)
    with (results / 'benchmark.md').open('a', encoding='utf-8') as file:
        file.write(f'\n{table}')
    sys.stdout.write(f'\n{table}\n')


def _heading(number: str, text: str) -> None:
    sys.stdout.write(f'\n[{number}] {text}\n')
    sys.stdout.flush()
