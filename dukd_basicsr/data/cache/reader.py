"""The records of an upcycled cache, from whichever shard, in every process."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from dukd_basicsr.data.cache.shards import KEYS, find_shards
from dukd_basicsr.data.lmdb import LmdbReader


class CacheReader:
    """The records of a complete cache by key; may travel to workers, forked or spawned.

    Args:
        folder (Path): The cache.
    """

    def __init__(self, folder: Path) -> None:
        shards = find_shards(folder)
        self._readers = [LmdbReader(shard) for shard in shards]
        self._shard = {key: n for n, shard in enumerate(shards) for key in (shard / KEYS).read_text('ascii').split()}

    def __contains__(self, key: str) -> bool:
        return key in self._shard

    def value(self, key: str) -> AbstractContextManager[memoryview]:
        """The record of a sub-image as it lies in the file, gone after the block.

        Raises:
            KeyError: There is none.
            RunError: The shard cannot be opened.
        """
        return self._readers[self._shard[key]].value(key)
