"""Seconds an iteration of every method, each alone in a process of its own, in turns: what a study's time axis is.

Cells may run side by side, so that the times in their logs say little. Here the batches of a cell are loaded first,
then `feed_data` + `optimize_parameters` (and the guard of our models) are timed, as iterations spread over the whole
run; a round's time is their mean, the method's that of its best round. One thread on the CPU is timed by the
processor's own seconds, which what else runs hardly changes. The teacher's labels of the whole cache are timed on a
part of the sub-images. `cost.json` among the records has what one machine measured: a study that goes on elsewhere
keeps its axis.

    python -m benchmarks.study.cost -opt FILE [--peer DIR] [--cache]      (in the working folder; prints JSON)
"""

from __future__ import annotations

import argparse
import json
import logging
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.study.cells import Cell, write_options
from benchmarks.study.protocol import Protocol
from benchmarks.study.run import Place, environment
from dukd_basicsr.errors import RunError

WARM_UP = 2
CHUNKS = 8
"""Of sub-images that the teacher's time is measured on."""


def file_of(records: Path) -> Path:
    """Where the seconds of a study stand: beside its finished cells."""
    return records / 'cost.json'


def read(file: Path) -> dict[str, Any]:
    """'seconds' by `key`; and once measured 'cache_seconds' and 'environment'."""
    return json.loads(file.read_text(encoding='utf-8')) if file.is_file() else {'seconds': {}}


def key(method: str, student: str | None, precision: str | None) -> str:
    """What a method's seconds with a student in a precision are called."""
    return ', '.join(filter(None, (method, student, precision)))


def update(protocol: Protocol, cells: Sequence[Cell], place: Place, anew: bool, file: Path) -> None:
    """Write the file: what is missing of it, or all of it anew.

    Args:
        protocol (Protocol): The study.
        cells (Sequence[Cell]): The first of each method, student and precision is measured.
        place (Place): The working folder, and the authors' code.
        anew (bool): Whether to measure what is there already.
        file (Path): cost.json.
    """
    content = read(file)
    first: dict[str, Cell] = {}
    for cell in cells:
        name = key(cell.method.name, cell.student, cell.precision)
        if anew or name not in content['seconds']:
            first.setdefault(name, cell)
            write_options(cell.file(place.work), cell.opt)  # it may have been finished on another machine
    rounds: dict[str, list[float]] = {name: [] for name in first}
    for number in range(protocol.cost['rounds'] if first else 0):
        for name, cell in first.items():
            found = in_own_process(protocol, cell, place)
            rounds[name].append(found.pop('seconds'))
            content['environment'] = found | {'threads': protocol.threads}
            sys.stderr.write(f'cost: round {number + 1}/{protocol.cost["rounds"]}, {name}: {rounds[name][-1]:.4f} s\n')
    content['seconds'] |= {name: min(times) for name, times in rounds.items()}
    if first and (anew or 'cache_seconds' not in content):
        cached = next((cell for cell in cells if cell.method.cached), None)
        if cached is not None:
            content['cache_seconds'] = in_own_process(protocol, cached, place, '--cache')['seconds']
    file.write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')


def in_own_process(protocol: Protocol, cell: Cell, place: Place, *extra: str) -> Mapping[str, Any]:
    """Measure one cell.

    Raises:
        RunError: The process failed.
    """
    theirs = ['--peer', str(place.peer)] if cell.method.needs == 'peer' else []
    command = [
        sys.executable,
        '-m',
        'benchmarks.study.cost',
        '-opt',
        str(cell.file(place.work)),
        '--iterations',
        str(protocol.cost['iterations']),
        *theirs,
        *extra,
    ]
    done = subprocess.run(
        command, cwd=place.work, env=environment(protocol.threads), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RunError(f'cost: {cell.name} ended with exit code {done.returncode}:\n{done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def measure(file: Path, iterations: int, peer: Path | None) -> dict[str, Any]:
    """Mean seconds of an iteration in this process, over the whole of its run."""
    import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

    # isort: split
    import torch
    from basicsr import train as stock
    from basicsr.models import build_model

    import benchmarks.bf16_model  # noqa: F401

    if peer:
        from benchmarks.study.peer import register

        register(peer)
    sys.argv = ['basicsr', '-opt', str(file)]
    opt, _ = stock.parse_options(str(Path.cwd()), is_train=True)
    opt['datasets'] = {'train': opt['datasets']['train'] | {'num_worker_per_gpu': 0}}
    loader = stock.create_train_val_dataloader(opt, logging.getLogger('cost'))[0]
    batches = list(islice(loader, WARM_UP + iterations))
    model = build_model(opt)
    total = int(opt['train']['total_iter'])
    numbers = [total] * WARM_UP + spread_over(total, iterations)  # a schedule costs most in its last iterations
    cuda, times = next(model.net_g.parameters()).is_cuda, []
    with tempfile.TemporaryDirectory() as folder:
        for number, batch in zip(numbers, batches, strict=True):
            start = seconds(cuda)
            model.feed_data(batch)
            model.optimize_parameters(number)
            if hasattr(model, 'guard'):
                model.guard.after_step(number, batch, model.log_dict, Path(folder))
            times.append(seconds(cuda) - start)
    return {'seconds': statistics.fmean(times[WARM_UP:]), 'torch': torch.__version__, 'machine': platform.machine()}


def spread_over(total: int, count: int) -> list[int]:
    """As many iterations, each in the middle of its share of the run: a schedule's spans have theirs."""
    return [1 + (2 * each + 1) * total // (2 * count) for each in range(count)]


def seconds(cuda: bool) -> float:
    """A clock: of the GPU's work that is done, of this process where it has one thread, else of the wall."""
    import torch

    if cuda:
        torch.cuda.synchronize()
    return time.process_time() if not cuda and torch.get_num_threads() == 1 else time.perf_counter()


def measure_cache(file: Path) -> dict[str, Any]:
    """Seconds in which the teacher labels all sub-images, from a part of them, by their pixels."""
    import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

    # isort: split
    import torch

    from dukd_basicsr import options
    from dukd_basicsr.data.cache import manifest as stamps
    from dukd_basicsr.data.cache.record import Layout
    from dukd_basicsr.distillation.labelling.labeller import Labeller
    from dukd_basicsr.distillation.labelling.source import Source
    from dukd_basicsr.distillation.teacher import build_teacher

    opt = options.load(file)
    dataset = opt['datasets']['train']
    stamp = stamps.read(Path(dataset['dataroot_upcycled'])) or {}
    layout = Layout(opt['scale'], stamp['size'], stamp['per_image'], tuple(stamp['parts']))
    source = Source(Path(dataset['dataroot_gt']), Path(dataset['dataroot_lq']), opt['scale'])
    labeller = Labeller(build_teacher(opt), layout, stamp['seed'], torch.device('cpu'))
    chunks = list(source.cut_chunks(2))
    some = chunks[:: max(1, len(chunks) // CHUNKS)]
    labeller.make_records(source.read_pairs(some[0]))
    pixels = 0
    start = seconds(False)
    for chunk in some:
        labeller.make_records(source.read_pairs(chunk))
        pixels += sum(height * width for height, width in map(source.shapes.get, chunk))
    spent = seconds(False) - start
    return {'seconds': spent * sum(height * width for height, width in source.shapes.values()) / pixels}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('-opt', type=Path, required=True)
    parser.add_argument('--iterations', type=int, default=10)
    parser.add_argument('--peer', type=Path)
    parser.add_argument('--cache', action='store_true', help='the teacher on the sub-images instead')
    args = parser.parse_args()
    found = measure_cache(args.opt) if args.cache else measure(args.opt, args.iterations, args.peer)
    sys.stdout.write(json.dumps(found) + '\n')


if __name__ == '__main__':
    main()
