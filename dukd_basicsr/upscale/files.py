"""Which files are enlarged and what the results are called, known and checked before anything is computed."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dukd_basicsr.data import images
from dukd_basicsr.data.atomic import refuse_unwritable
from dukd_basicsr.errors import UserError, say_where

SUFFIXES = (*images.SUFFIXES, '.gif')
"""Taken from folders; a file that is named itself may have any."""
SHOWN = 3
"""How many names a message lists."""


@dataclass(frozen=True)
class Job:
    """One image to enlarge."""

    source: Path
    target: Path
    comparison: Path | None
    """Where its comparison picture goes."""

    @property
    def outputs(self) -> tuple[Path, ...]:
        """All files that it writes."""
        return (self.target,) if self.comparison is None else (self.target, self.comparison)

    def is_done(self) -> bool:
        """Whether all of them are there; none is ever half-written."""
        return all(os.path.lexists(file) for file in self.outputs)


def plan(inputs: Sequence[Path], out: Path, kind: str, compare: bool, force: bool) -> list[Job]:
    """Find all images and name their results: `out`, the path below the folder that was given, the new suffix.

    Args:
        inputs (Sequence[Path]): Files, and folders that are searched with all of their sub-folders. Hidden files and
            what is in `out` are left alone.
        out (Path): Folder of the results; may be missing.
        kind (str): Suffix of the results.
        compare (bool): Whether each gets a comparison picture, in `out`/compare.
        force (bool): Whether results may be there already.

    Raises:
        UserError: An input that is not there or a folder without images; two results of one name; a result that is
            there, or is one of the inputs; a folder that cannot be written to.
    """
    jobs: dict[tuple[str, Path], Job] = {}  # `Path.resolve` fails on links in a circle
    for source, relative in _find(inputs, os.path.realpath(out)):
        target = out / relative.with_name(f'{relative.stem}.{kind}')
        comparison = out / 'compare' / relative.with_name(f'{relative.stem}.png') if compare else None
        jobs.setdefault((os.path.realpath(source), target), Job(source, target, comparison))
    planned = list(jobs.values())
    _refuse_one_name(planned)
    _refuse_inputs(planned)
    if not force:
        _refuse_existing(planned)
    for folder in sorted({file.parent for job in planned for file in job.outputs}):
        refuse_unwritable(folder)
    return planned


def _find(inputs: Iterable[Path], out: str) -> Iterator[tuple[Path, Path]]:
    """Every image, and its path below the input that it was found in."""
    for path in inputs:
        if os.path.isfile(path):  # `Path.is_file` fails where the folder may not be looked into
            yield path, Path(path.name)
            continue
        if os.path.exists(path) and not os.path.isdir(path):  # reading a FIFO waits for its writer for ever
            raise UserError(f'{path}: neither a regular file nor a folder; give images, or folders of images.')
        if not os.path.isdir(path):
            raise UserError(
                f'{path}: there is no such file or folder{say_where(path)}; give images, or folders of images.'
            )
        found = list(_walk(path, out))
        if not found:
            raise UserError(f'{path}: no images in this folder or below; {", ".join(SUFFIXES)} are taken.')
        yield from ((file, file.relative_to(path)) for file in found)


def _walk(folder: Path, out: str) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        raise UserError(f'{error.filename}: this folder cannot be looked into ({error.strerror}).')

    for place, folders, names in os.walk(folder, onerror=refuse):
        here = Path(place)
        folders[:] = sorted(
            name for name in folders if not name.startswith('.') and os.path.realpath(here / name) != out
        )
        yield from (
            here / name for name in sorted(names) if not name.startswith('.') and name.lower().endswith(SUFFIXES)
        )


def _refuse_one_name(jobs: Sequence[Job]) -> None:
    """Case does not count, as on the file systems of Windows and macOS."""
    owners: dict[str, Job] = {}
    for job in jobs:
        for file in job.outputs:
            other = owners.setdefault(str(file).casefold(), job)
            if other is not job:
                raise UserError(
                    f'{other.source} and {job.source} would both become {file}; rename one, or enlarge them into two '
                    'folders.'
                )


def _refuse_inputs(jobs: Sequence[Job]) -> None:
    sources = {os.path.realpath(job.source) for job in jobs}
    lost = [file for job in jobs for file in job.outputs if os.path.realpath(file) in sources]
    if lost:
        raise UserError(
            f'{_name(lost)} would be written over, but it is what is to be enlarged; give another folder: -o DIR.'
        )


def _refuse_existing(jobs: Sequence[Job]) -> None:
    there = [file for job in jobs for file in job.outputs if os.path.lexists(file)]
    if there:
        verb = 'exists' if len(there) == 1 else 'exist'
        raise UserError(f'{_name(there)} {verb} already; give another folder, or write over them with --force.')


def _name(files: Sequence[Path]) -> str:
    """'a.png, b.png, c.png and 9 more'."""
    more = f' and {len(files) - SHOWN} more' if len(files) > SHOWN else ''
    return f'{", ".join(map(str, files[:SHOWN]))}{more}'
