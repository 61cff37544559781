"""A study's cells: a method and a seed each, which is one options file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from study_logs import validations
from study_protocol import GROUPS, Method, Protocol, merged

from dukd_basicsr import options
from dukd_basicsr.errors import UserError, did_you_mean


@dataclass(frozen=True)
class Cell:
    """A method and a seed."""

    method: Method
    seed: int
    opt: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.opt['name'])

    def file(self, work: Path) -> Path:
        return work / 'options' / f'{self.name}.yml'

    def folder(self, work: Path) -> Path:
        return work / 'experiments' / self.name

    def finished(self, work: Path) -> bool:
        """Whether its last checkpoint is there and validated on every set."""
        if not (self.folder(work) / 'models' / 'net_g_latest.pth').is_file():
            return False
        last = validations(self.folder(work)).get(int(self.opt['train']['total_iter']), {})
        names = {value['name'] for key, value in self.opt['datasets'].items() if key.startswith('val')}
        return names <= last.keys()


def cells_of(protocol: Protocol, only: Sequence[str] = ()) -> list[Cell]:
    """Every cell, main before rivals before peers before controls, in each group seed by seed.

    Args:
        protocol (Protocol): The study.
        only (Sequence[str]): Names of methods; none means all.

    Raises:
        UserError: A name that is no method.
    """
    for name in only:
        if name not in protocol.methods:
            raise UserError(f'--only {name}: there is no such method.{did_you_mean(name, protocol.methods)}')
    order = list(protocol.methods)
    found = []
    for method in protocol.methods.values():
        count = method.seeds or (len(protocol.seeds) if method.group == 'main' else 1)
        if not only or method.name in only:
            found += [_cell(protocol, method, seed) for seed in protocol.seeds[:count]]
    return sorted(found, key=lambda cell: (
        GROUPS.index(cell.method.group), protocol.seeds.index(cell.seed), order.index(cell.method.name)))  # fmt: skip


def _cell(protocol: Protocol, method: Method, seed: int) -> Cell:
    opt = protocol.merged()
    if method.cached:
        opt['datasets']['train'] |= {'type': 'UpcycledImageDataset', 'dataroot_upcycled': protocol.cache}
    opt = merged(opt, method.overrides)
    opt |= {'name': f'{method.name}_s{seed}', 'manual_seed': seed}
    return Cell(method, seed, opt)


def available(cells: Sequence[Cell], given: Mapping[str, Path | None]) -> list[Cell]:
    """The cells whose needs are given."""
    return [cell for cell in cells if cell.method.needs is None or given.get(cell.method.needs)]


def write_options(file: Path, opt: Mapping[str, Any]) -> None:
    file.write_text(yaml.safe_dump(dict(opt), sort_keys=False, width=120), encoding='utf-8')


def check(cells: Sequence[Cell], work: Path, files: bool = True) -> None:
    """Write the options files of all cells after all of them have been checked; the authors' models check nothing.

    Args:
        cells (Sequence[Cell]): Those that are to run.
        work (Path): The working folder.
        files (bool): Whether to look at the files that the options name, too.

    Raises:
        UserError: Everything that is wrong in any of them, or a cell that was started with other options.
    """
    errors = conflicts(cells, work)
    for cell in cells:
        if cell.method.needs != 'peer':
            errors += _mistakes(cell, work, files)
    if errors:
        raise UserError(*dict.fromkeys(errors))
    for cell in cells:
        cell.file(work).parent.mkdir(parents=True, exist_ok=True)
        write_options(cell.file(work), cell.opt)


def conflicts(cells: Sequence[Cell], work: Path) -> list[str]:
    """What to say of cells that were started with other options than the protocol has now."""
    errors = []
    for cell in cells:
        there = options.load(cell.file(work)) if cell.file(work).is_file() else cell.opt
        if there != cell.opt and cell.folder(work).is_dir():
            errors.append(f'{cell.name} was started with other options ({", ".join(differences(there, cell.opt))}); '
                          f'delete {cell.folder(work)}, or take another --work.')  # fmt: skip
    return errors


def _mistakes(cell: Cell, work: Path, files: bool) -> list[str]:
    file = Path('options', f'{cell.name}.yml')
    try:
        options.check(cell.opt, file, is_train=True)
        if files:
            options.check_files(cell.opt, work, is_train=True)
    except UserError as error:
        return [message if str(file) in message else f'{file}: {message}' for message in error.messages]
    return []


def differences(there: Any, here: Any, path: str = '') -> Iterator[str]:  # noqa: ANN401
    """Dotted keys in which two options differ, e.g. 'train.total_iter: 2000 there, 4000 here'."""
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys([*there, *here]):
            yield from differences(there.get(key), here.get(key), f'{path}.{key}' if path else str(key))
    elif there != here:
        yield f'{path}: {there} there, {here} here'
