"""A study's cells: a method, a student, a length, a learning rate and a seed, which is one options file.

Comparisons share cells: the name says all that a cell is, so that one that two of them ask for is run once.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from benchmarks.study.logs import validations
from benchmarks.study.protocol import VALIDATIONS, Method, Protocol, merged
from dukd_basicsr import options
from dukd_basicsr.data.checks.files import check_files
from dukd_basicsr.errors import UserError

OURS = {'SRModel': 'BF16SRModel'}
"""Stock's model trains in float32 alone; this one, of benchmarks/bf16_model.py, computes the same in bfloat16."""


@dataclass(frozen=True)
class Cell:
    """One training run."""

    method: Method
    student: str | None
    precision: str | None
    iterations: int
    rate: float
    seed: int
    opt: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.opt['name'])

    @property
    def digest(self) -> str:
        """Of everything that its options say."""
        return hashlib.sha256(json.dumps(self.opt, sort_keys=True).encode('utf-8')).hexdigest()

    def file(self, work: Path) -> Path:
        return work / 'options' / f'{self.name}.yml'

    def folder(self, work: Path) -> Path:
        return work / 'experiments' / self.name

    def weights(self, work: Path) -> Path:
        return self.folder(work) / 'models' / 'net_g_latest.pth'

    def trained(self, work: Path) -> bool:
        """Whether its last checkpoint is there and validated on every set."""
        if not self.weights(work).is_file():
            return False
        last = validations(self.folder(work)).get(self.iterations, {})
        names = {value['name'] for key, value in self.opt['datasets'].items() if key.startswith('val')}
        return names <= last.keys()


def make_cell(
    protocol: Protocol,
    method: str,
    iterations: int,
    rate: float,
    seed: int,
    student: str | None = None,
    precision: str | None = None,
) -> Cell:
    """The options of one cell; its schedule is stretched to its length."""
    chosen = protocol.methods[method]
    opt = protocol.merged()
    if chosen.cached:
        opt['datasets']['train'] |= {'type': 'UpcycledImageDataset', 'dataroot_upcycled': protocol.cache}
    if student is not None:
        opt['network_g'] = merged(opt['network_g'], protocol.students[student])
    opt = merged(opt, chosen.overrides)
    if precision is not None:
        opt['train'] = merged(opt['train'], protocol.precisions[precision])
        opt['model_type'] = OURS.get(opt['model_type'], opt['model_type'])
    stretch(opt['train'], iterations)
    opt['train']['optim_g']['lr'] = rate
    opt['val']['val_freq'] = iterations // VALIDATIONS
    parts = [method, *filter(None, (student, precision)), str(iterations), f'lr{rate:g}', f's{seed}']
    opt |= {'name': '_'.join(parts), 'manual_seed': seed}
    return Cell(chosen, student, precision, iterations, rate, seed, opt)


def stretch(train: dict[str, Any], iterations: int) -> None:
    """Change `total_iter`, and with it all that schedulers name in iterations, in proportion."""
    factor = iterations / int(train['total_iter'])
    train['total_iter'] = iterations
    for key in ('periods', 'milestones'):
        if key in train['scheduler']:
            train['scheduler'][key] = [round(each * factor) for each in train['scheduler'][key]]
    schedule = (train.get('dukd_opt') or {}).get('schedule') or {}
    for key in ('start', 'end'):
        if schedule.get(key) is not None:
            schedule[key] = round(schedule[key] * factor)


def search_cells(protocol: Protocol, method: str) -> list[Cell]:
    """One for each learning rate that is tried."""
    search = protocol.search
    tried = [*search.rates, *protocol.methods[method].rates]
    return [
        make_cell(protocol, method, search.iterations, rate, search.seed, precision=search.precision) for rate in tried
    ]


def cells_of(protocol: Protocol, comparison: str, rates: Mapping[str, float]) -> list[Cell]:
    """The cells of a comparison, seed by seed; those of methods without a learning rate yet are left out."""
    chosen = protocol.comparisons[comparison]
    return [
        make_cell(protocol, method, count, rates[method], seed, chosen.student, chosen.precision)
        for seed in chosen.seeds
        for method, count in chosen.iterations.items()
        if method in rates
    ]


def write_options(file: Path, opt: Mapping[str, Any]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(dict(opt), sort_keys=False, width=120), encoding='utf-8')


def check(cells: Sequence[Cell], work: Path, files: bool = True) -> None:
    """Write the options files of cells after all of them have been checked; the authors' models check nothing.

    Args:
        cells (Sequence[Cell]): Those that are to run.
        work (Path): The working folder.
        files (bool): Whether to look at the files that the options name, too.

    Raises:
        UserError: Everything that is wrong in any of them, or a cell that was started with other options.
    """
    import benchmarks.bf16_model  # noqa: F401  OURS, which the check looks up

    errors = conflicts(cells, work)
    for cell in cells:
        if cell.method.needs != 'peer':
            errors += _mistakes(cell, work, files)
    if errors:
        raise UserError(*dict.fromkeys(errors))
    for cell in cells:
        write_options(cell.file(work), cell.opt)


def conflicts(cells: Sequence[Cell], work: Path) -> list[str]:
    """What to say of cells that were started with other options than the protocol has now."""
    errors = []
    for cell in cells:
        there = options.load(cell.file(work)) if cell.file(work).is_file() else cell.opt
        if there != cell.opt and cell.folder(work).is_dir():
            errors.append(
                f'{cell.name} was started with other options ({", ".join(differences(there, cell.opt))}); '
                f'delete {cell.folder(work)}, or take another --work.'
            )
    return errors


def _mistakes(cell: Cell, work: Path, files: bool) -> list[str]:
    file = Path('options', f'{cell.name}.yml')
    try:
        options.check(cell.opt, file, is_train=True)
        if files:
            check_files(cell.opt, work, is_train=True)
    except UserError as error:
        return [message if str(file) in message else f'{file}: {message}' for message in error.messages]
    return []


def differences(there: Any, here: Any, path: str = '') -> Iterator[str]:
    """Dotted keys in which two options differ, e.g. 'train.total_iter: 2000 there, 4000 here'."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys([*there, *here]):
            yield from differences(there.get(key), here.get(key), f'{path}.{key}' if path else str(key))
    elif there != here:
        yield f'{path}: {there} there, {here} here'
