"""Targets that are there completely or not at all, and that know what they were made of."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from dukd_basicsr.errors import UserError

RECORD = '.prepare.json'  # hidden: BasicSR's folder datasets take every other file for an image


def is_finished(target: Path, record: Mapping[str, Any]) -> bool:
    """Whether `target` is there and was made as `record` says.

    Raises:
        UserError: Something else is there.
    """
    if not target.exists():
        return False
    try:
        found = json.loads((target / RECORD).read_text(encoding='utf-8'))
        if 'codec' in record:
            found = {'codec': 'png'} | found  # there was no other when the first records were written
    except (OSError, ValueError, TypeError):
        found = None
    if found == record:
        return True
    if not isinstance(found, dict):
        what = 'was not made by this command'
    else:
        differs = [key for key in record if found.get(key) != record[key]]
        what = 'was made with ' + ', '.join(
            'other images' if key == 'source' else f'{key} {found.get(key)} instead of {record[key]}' for key in differs
        )
    raise UserError(f'{target} exists and {what}: delete it, or choose another --name or --out.')


@contextmanager
def stage(targets: Sequence[Path]) -> Iterator[list[Path]]:
    """Give a new hidden folder for each target; move all into place at the end, or remove all after an exception.

    SIGTERM ends the block as Ctrl-C does. What a killed run left is removed at the next start.
    """
    folders = [target.parent / f'.{target.name}.tmp-{os.getpid()}' for target in targets]
    for target in targets:
        _remove_leftovers(target)
    try:
        with _sigterm_raises():
            for folder in folders:
                folder.mkdir(parents=True)
            yield folders
            for folder, target in zip(folders, targets, strict=True):
                folder.rename(target)
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Keep in `folder` what it was made of."""
    (folder / RECORD).write_text(json.dumps(record, indent=1) + '\n', encoding='utf-8')


def _remove_leftovers(target: Path) -> None:
    for folder in target.parent.glob(f'.{target.name}.tmp-*'):
        process = folder.name.rpartition('-')[2]
        if process.isdigit() and int(process) != os.getpid() and _is_alive(int(process)):
            raise UserError(
                f'Process {process} is writing {target} now ({folder}): wait for it, '
                'or delete that folder if the process is something else.'
            )
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(process: int) -> bool:
    if os.name != 'posix':  # on Windows os.kill ends the process; there, files in use cannot be deleted
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Turn SIGTERM into SystemExit inside the block, where signals can be handled (the main thread)."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
