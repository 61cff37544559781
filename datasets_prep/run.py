"""One run of a preparation: from jobs to finished targets, or to one error and nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lmdb
import yaml
from tqdm import tqdm

from datasets_prep.staging import is_finished, stage, write_record
from datasets_prep.subimages import Job, Made, digest
from datasets_prep.writers import FolderWriter, LmdbWriter
from dukd_basicsr.data.prefetch import map_in_order
from dukd_basicsr.errors import UserError, format_bytes

_NAMED = 5  # how many files a message names


@dataclass(frozen=True)
class Target:
    """A folder to make (an LMDB if its name says so) and the parameters that decide what will be in it."""

    path: Path
    parameters: dict[str, Any]


@dataclass
class _Tally:
    """What has been read and written so far."""

    digests: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    too_small: dict[str, int] = field(default_factory=dict)
    items: int = 0
    smallest: int = sys.maxsize


def produce(
    work: Callable[[Job], Made], jobs: Sequence[Job], targets: Sequence[Target], workers: int | None, growth: float
) -> None:
    """Make every target that is not there yet; all of them appear at the end, or none.

    Args:
        work (Callable): `subimages.cut` or `subimages.pairs`.
        jobs (Sequence[Job]): In the order in which items are written.
        targets (Sequence[Target]): One for each of a result's `outputs`.
        workers (int | None): Threads; None: as many as CPUs.
        growth (float): A low guess of the targets' bytes for each byte of the sources.

    Raises:
        UserError: Something else is at a target's place; unusable images; none large enough; too little space.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    if workers < 1:
        raise UserError(f'{workers} workers cannot do anything: give --workers 1 or more.')
    pending = _list_pending(jobs, targets)
    if not pending:
        sys.stdout.write(f'{targets[0].path.parent}: all is there already, made from the same images.\n')
        return
    home = targets[0].path.parent
    made = [folder for folder in (home, *home.parents) if not folder.exists()]
    try:
        home.mkdir(parents=True, exist_ok=True)
        _check_space(home, int(growth * sum(path.stat().st_size for job in jobs for path in _list_files(job))))
        with stage([targets[index].path for index in pending]) as folders:
            tally = _write(work, jobs, targets, dict(zip(pending, folders, strict=True)), workers)
            _check(tally, jobs)
            for index, folder in zip(pending, folders, strict=True):
                write_record(folder, _make_record(targets[index], jobs, tally.digests))
    except (OSError, lmdb.DiskError) as error:
        raise UserError(
            f'{home} cannot be written ({error}): free some space there, or choose another --out.'
        ) from error
    finally:
        for folder in made:
            with suppress(OSError):  # it holds what was made
                folder.rmdir()
    _report(home, jobs, tally, 'pairs' if len(targets) > 1 else 'sub-images')


def print_fragment(dataset: dict[str, Any], scale: int, phase: str) -> None:
    """Write to stdout what an options file needs to use the data.

    Args:
        dataset (dict): name, dataroot_gt, dataroot_lq, io_backend, ...; type where it is no PairedImageDataset.
        scale (int): The data's scale.
        phase (str): Key under `datasets`: train, val, ...
    """
    options = {'scale': scale, 'datasets': {phase: {'type': 'PairedImageDataset'} | dataset}}
    text = yaml.safe_dump(options, sort_keys=False, allow_unicode=True, width=10**4)
    sys.stdout.write(f'For the options file:\n\n{text}\n')


def _list_pending(jobs: Sequence[Job], targets: Sequence[Target]) -> list[int]:
    """Which targets are still to be made. The images are only read where a target is there to compare them with."""
    if not any(target.path.exists() for target in targets):
        return list(range(len(targets)))
    bar = tqdm(jobs, desc='compare', unit='image', leave=False)
    digests = [digest(*(path.read_bytes() for path in _list_files(job))) for job in bar]
    records = [_make_record(target, jobs, digests) for target in targets]
    return [
        index
        for index, (target, record) in enumerate(zip(targets, records, strict=True))
        if not is_finished(target.path, record)
    ]


def _write(
    work: Callable[[Job], Made],
    jobs: Sequence[Job],
    targets: Sequence[Target],
    folders: dict[int, Path],
    workers: int,
) -> _Tally:
    tally = _Tally()
    with ExitStack() as stack:
        writers: dict[int, LmdbWriter | FolderWriter] = {}
        for index, folder in folders.items():
            asked = targets[index].parameters
            writer = (
                LmdbWriter(folder, asked.get('codec', 'png'))
                if '.lmdb' in folder.name
                else FolderWriter(folder, asked.get('meta_info', False))
            )
            stack.enter_context(writer)
            writers[index] = writer
        results = stack.enter_context(closing(map_in_order(work, jobs, workers, torch_threads=1)))
        bar = stack.enter_context(tqdm(results, total=len(jobs), desc='prepare', unit='image'))
        for made in bar:
            _count(tally, made)
            if tally.problems:  # nothing will be kept: the rest is gone through to name all that is wrong at once
                bar.set_postfix_str(f'{len(tally.problems)} unusable')
                continue
            for index, writer in writers.items():
                if made.outputs:
                    writer.add(made.outputs[index])
    return tally


def _count(tally: _Tally, made: Made) -> None:
    tally.digests.append(made.digest)
    if made.problem:
        tally.problems.append(f'{made.source} ({made.problem})')
    elif made.too_small is not None:
        tally.too_small[made.source.name] = made.too_small
    else:
        tally.items += len(made.outputs[0])
        tally.smallest = min(tally.smallest, *(side for item in made.outputs[0] for side in item.shape[:2]))


def _check(tally: _Tally, jobs: Sequence[Job]) -> None:
    """End the run if its data are not to be used."""
    if tally.problems:
        raise UserError(
            f'{len(tally.problems)} of {len(tally.digests)} images cannot be used, so nothing was written: '
            f'{_name_some(tally.problems)}. Mend or remove them and repeat the command.'
        )
    if not tally.items:
        raise UserError(f'All images are too small, so nothing was written: {_name_too_small(tally, jobs)}')


def _report(home: Path, jobs: Sequence[Job], tally: _Tally, what: str) -> None:
    used = len(jobs) - len(tally.too_small)
    sys.stdout.write(f'{home}: {tally.items} {what} of {used} images; the shortest HR side is {tally.smallest}.\n')
    if tally.too_small:
        sys.stdout.write(f'Left out as too small: {_name_too_small(tally, jobs)}\n')


def _name_too_small(tally: _Tally, jobs: Sequence[Job]) -> str:
    keep = max(min(tally.too_small.values()), jobs[0].multiple)
    return f'{len(tally.too_small)} of {len(jobs)} ({_name_some([*tally.too_small])}). To keep them: --min-size {keep}.'


def _make_record(target: Target, jobs: Sequence[Job], digests: Sequence[str]) -> dict[str, Any]:
    """What decides a target's bytes: the parameters, and the sources' names and contents."""
    lines = [f'{job.name} {content}' for job, content in zip(jobs, digests, strict=True)]
    return target.parameters | {'source': digest('\n'.join(lines).encode())}


def _list_files(job: Job) -> list[Path]:
    return [path for path in (job.source, *job.lr_sources) if path]


def _check_space(home: Path, needed: int) -> None:
    free = shutil.disk_usage(home).free
    if free < needed:
        raise UserError(
            f'{home} has {format_bytes(free)} of free space and needs at least {format_bytes(needed)}: '
            'free some, or choose another --out.'
        )


def _name_some(names: Sequence[str]) -> str:
    return ', '.join(names[:_NAMED]) + (' ...' if len(names) > _NAMED else '')
