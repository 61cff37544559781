"""BasicSR's LMDB backend: shared in a process, at home in every worker, with a sentence for what is not there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basicsr.utils.file_client import LmdbBackend


def init_lmdb_backend(
    self: LmdbBackend,
    db_paths: str | Path | list[str],
    client_keys: str | list[str] = 'default',
    readonly: bool = True,
    lock: bool = False,
    readahead: bool = False,
    **kwargs: Any,
) -> None:
    """`LmdbBackend.__init__`: name the LMDBs; each is opened when it is first read.

    Defect: basicsr/utils/file_client.py:112 opens an environment a dataset and keeps it in the dataset.
    Symptoms: `lmdb.Error: The environment '...' is already open in this process` when two datasets name one LMDB;
    `TypeError: cannot pickle 'Environment' object` with spawn workers (Windows, macOS, DDP) once the parent has read an
    image; forked workers go on with the parent's environment, which LMDB forbids.
    Threads: NVlabs/MambaVision#119, jnwatson/py-lmdb#289, baudm/parseq#6, pytorch/vision#689.
    Here: `data.lmdb_reader.LmdbReader`, one environment an LMDB and process.

    Args:
        self (LmdbBackend): Gets `db_paths` and, by client key, the readers.
        db_paths (str | Path | list[str]): LMDBs.
        client_keys (str | list[str]): A name for each.
        readonly (bool): For `lmdb.open`, as the rest.
        lock (bool): See there.
        readahead (bool): See there.
        kwargs: More for `lmdb.open`.

    Raises:
        ValueError: Not as many keys as LMDBs.
    """
    from dukd_basicsr.data.lmdb import LmdbReader

    keys = [client_keys] if isinstance(client_keys, str) else client_keys
    self.db_paths = [str(path) for path in db_paths] if isinstance(db_paths, list) else [str(db_paths)]
    self._client = {
        key: LmdbReader(path, readonly, lock, readahead, **kwargs)
        for key, path in zip(keys, self.db_paths, strict=True)
    }


def get_from_lmdb(self: LmdbBackend, filepath: str | Path, client_key: str) -> bytes:
    """`LmdbBackend.get`: the value of a key.

    Defect: basicsr/utils/file_client.py:125-127 returns None for a key that is not there.
    Symptom: `TypeError: a bytes-like object is required, not 'NoneType'` from img_util.py:127, without any name.
    Threads: none upstream.
    Here: an exception that names key and LMDB, in the parent of a worker too.

    Args:
        self (LmdbBackend): The backend.
        filepath (str | Path): The key.
        client_key (str): Which LMDB.

    Returns:
        bytes: The encoded image.

    Raises:
        UnreadableImageError: No such key; a RunError and RuntimeError.
        RunError: The LMDB cannot be opened.
    """
    return self._client[client_key].get(str(filepath))
