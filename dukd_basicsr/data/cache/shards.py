"""The LMDBs of a cache: each process writes one of its own, readers see them as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import lmdb

KEYS = 'keys.txt'
"""Beside a shard of a complete cache: its keys, one a line."""
_SPARE = 64 * 2**20
_PAGE = 4096


class Shard:
    """Where one process writes; a context manager.

    Args:
        folder (Path): The cache.
        rank (int): The rank of the process, which names its LMDB.
        nbytes (int): What will be added, so that the map is large enough (the file is only as large as its data).
    """

    def __init__(self, folder: Path, rank: int, nbytes: int) -> None:
        path = _name_shard(folder, rank)
        used = (path / 'data.mdb').stat().st_size if (path / 'data.mdb').is_file() else 0
        path.mkdir(parents=True, exist_ok=True)
        size = -(-(used + nbytes + nbytes // 8 + _SPARE) // _PAGE) * _PAGE
        self._env = lmdb.open(str(path), map_size=size, readahead=False)

    def __enter__(self) -> Shard:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._env.close()

    def put(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Add records in one transaction: after a kill all of them are there, or none."""
        with self._env.begin(write=True) as transaction:
            for key, record in records:
                transaction.put(key.encode('ascii'), record)


def find_shards(folder: Path) -> list[Path]:
    """The shards, in the order of their processes."""
    return sorted(path.parent for path in folder.glob('shard-*/data.mdb'))


def read_keys(folder: Path) -> set[str]:
    """The keys of all records that are there, while or after they are written."""
    return {key for path in find_shards(folder) for key in _read_keys(path)}


def write_key_files(folder: Path) -> None:
    """Keep beside each shard which keys it has, for readers; the records are all there."""
    for path in find_shards(folder):
        (path / KEYS).write_text('\n'.join(_read_keys(path)) + '\n', encoding='ascii')


def _read_keys(path: Path) -> list[str]:
    with (
        lmdb.open(str(path), readonly=True, lock=False, readahead=False) as env,
        env.begin() as transaction,
    ):
        return [bytes(key).decode('ascii') for key in transaction.cursor().iternext(values=False)]


def _name_shard(folder: Path, rank: int) -> Path:
    return folder / f'shard-{rank:05d}'
