"""LMDBs that are opened when they are first read: once in a process, and again in every process."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import lmdb

from dukd_basicsr.errors import RunError, UnreadableImageError

_META_LINE = re.compile(r'([^.\s]+)\.\S+ \((\d+),\s*(\d+)(?:,\s*\d+)?\)')
_MEND = 'remove this LMDB and run basicsr prepare again.'


class _Process:
    """The environments that one process has open; each is closed when its last reader is gone."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.environments: WeakValueDictionary[tuple[str, int], Any] = WeakValueDictionary()


_processes: dict[int, _Process] = {}


class LmdbReader:
    """One LMDB for reading: any number of readers, also after a fork and in spawned processes, which get it pickled.

    LMDB allows one environment a file and process, and none to be used in a forked child.

    Args:
        path (str | Path): Folder of data.mdb.
        readonly (bool): As BasicSR opens it, like the next two.
        lock (bool): Whether to lock against writers.
        readahead (bool): Whether the system reads ahead.
        kwargs: More for `lmdb.open`. Where several readers share an environment, those of the first one count.
    """

    def __init__(
        self, path: str | Path, readonly: bool = True, lock: bool = False, readahead: bool = False, **kwargs: object
    ) -> None:
        self.path = str(path)
        self._options: dict[str, Any] = {'readonly': readonly, 'lock': lock, 'readahead': readahead, **kwargs}
        self._process = 0
        self._environment: Any = None

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), '_process': 0, '_environment': None}

    def get(self, key: str) -> bytes:
        """A copy of a value.

        Raises:
            UnreadableImageError: No such key.
            RunError: The LMDB cannot be opened.
        """
        with self.value(key) as value:
            return bytes(value)

    @contextmanager
    def value(self, key: str) -> Iterator[memoryview]:
        """A value as it lies in the file, without a copy; gone after the block. Raises as `get` does."""
        if self._process != os.getpid():
            self._environment = _open_shared(self.path, self._options)
            self._process = os.getpid()
        with self._environment.begin(buffers=True) as transaction:
            value = transaction.get(key.encode('ascii', 'replace'))
            if value is None:
                raise UnreadableImageError(f'{self.path} has no key {key}, which its meta_info.txt names: {_MEND}')
            yield value


def _open_shared(path: str, options: dict[str, Any]) -> Any:
    here = _processes.get(os.getpid()) or _enter_process()
    with here.lock:
        try:
            # With the inode: an LMDB that was made anew at its old place is another one.
            key = os.path.realpath(path), (Path(path) / 'data.mdb').stat().st_ino
            environment = here.environments.get(key)
            if environment is None:
                environment = lmdb.open(path, **options)
                missing = find_missing_end(path, environment)
                if missing:
                    environment.close()
                    raise RunError(f'{missing}; {_MEND}')
                here.environments[key] = environment
        except (OSError, lmdb.Error) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise RunError(f'{path} cannot be opened as an LMDB ({why}): {_MEND}') from error
    return environment


def _enter_process() -> _Process:
    """Start with nothing. What a fork has left counts as open in this process for py-lmdb, and must not be used."""
    for parent in list(_processes.values()):
        for environment in list(parent.environments.values()):
            environment.close()
    return _processes.setdefault(os.getpid(), _Process())


def find_missing_end(path: str | Path, environment: Any) -> str | None:
    """Whether an LMDB was cut off; reading behind the end of its file would end the process with SIGBUS.

    Args:
        path (str | Path): Folder of data.mdb.
        environment (Any): It, opened.

    Returns:
        str | None: A sentence without its full stop; None where the file is whole.
    """
    needed = (environment.info()['last_pgno'] + 1) * environment.stat()['psize']
    size = (Path(path) / 'data.mdb').stat().st_size
    return f'{path}/data.mdb is cut off: it has {size} bytes of {needed}' if size < needed else None


def read_meta_line(line: str) -> tuple[str, tuple[int, int]] | None:
    """Key and (height, width) of a line of meta_info.txt, `name.png (height,width,3) 1`; None for another text."""
    match = _META_LINE.match(line)
    return (match[1], (int(match[2]), int(match[3]))) if match else None
