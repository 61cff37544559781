"""The values of an LMDB against its meta_info.txt: there, whole and of that size, without decoding them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dukd_basicsr.options.image_bytes import HEAD, TAIL, DamagedImageError, Size, inspect

_MEND = 'remove this LMDB and run basicsr prepare'


def lmdb_problem(folder: Path, sizes: Mapping[str, Size]) -> str | None:
    """What is wrong with the values of an LMDB. It is closed again; one that this process reads already is believed.

    Args:
        folder (Path): Folder of data.mdb.
        sizes (Mapping[str, Size]): Height and width of every image by its key.

    Returns:
        str | None: A sentence; None where nothing is wrong.
    """
    import lmdb

    if not (folder / 'data.mdb').stat().st_size:
        return f'{folder}/data.mdb is empty; {_MEND}.'
    try:
        with lmdb.open(str(folder), readonly=True, lock=False, readahead=False) as environment:
            length, needed = (folder / 'data.mdb').stat().st_size, _needed(environment)
            if length < needed:  # reading behind the end would end the process with SIGBUS
                return f'{folder}/data.mdb is cut off: it has {length} bytes of {needed}; {_MEND}.'
            damaged = _damaged(environment, sizes)
    except lmdb.Error as error:
        if 'already open' in str(error):
            return None
        return f'{folder}/data.mdb is damaged ({str(error).rpartition(": ")[2]}); {_MEND}.'
    if not damaged:
        return None
    key, what = next(iter(damaged.items()))
    return f'the image {key} of {folder} {what} ({len(damaged)} of {len(sizes)} are damaged); {_MEND}.'


def _needed(environment: Any) -> int:  # noqa: ANN401  lmdb has no types
    return (environment.info()['last_pgno'] + 1) * environment.stat()['psize']


def _damaged(environment: Any, sizes: Mapping[str, Size]) -> dict[str, str]:  # noqa: ANN401
    """What is wrong with each damaged image, by its key."""
    found = {}
    with environment.begin(buffers=True) as transaction:
        for key in sorted(sizes):  # as they lie in the file
            value = transaction.get(key.encode('ascii', 'replace'))
            what = 'is not there' if value is None else _problem(value, sizes[key])
            if what is not None:
                found[key] = what
    return found


def _problem(value: memoryview, expected: Size) -> str | None:
    try:
        size = inspect(bytes(value[:HEAD]), bytes(value[-TAIL:]), len(value))
    except DamagedImageError as error:
        return str(error)
    if size is None or size == expected:
        return None
    return f'is {size[0]}x{size[1]}, but its meta_info.txt says {expected[0]}x{expected[1]}'
