"""One process at a time writes to a place: a file beside it says which."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import SoftFileLock, Timeout

from dukd_basicsr.errors import UserError


@contextmanager
def hold(target: Path) -> Iterator[None]:
    """Keep other processes of this program from writing to a file or folder, until the block ends.

    The lock is the file `.<name>.lock` beside the target, with pid and host of its process. Where that process is of
    this host and has died, the lock is taken over. Folders that are made for it and stay empty are removed again.

    Args:
        target (Path): What is written to; it need not be there.

    Raises:
        UserError: Another process holds it, named by pid and host; or the lock cannot be written.
    """
    target = target.absolute()
    missing = [folder for folder in target.parents if not folder.exists()]
    file = target.with_name(f'.{target.name}.lock')
    lock = SoftFileLock(file)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=1)  # one that is ending may need a moment
    except Timeout:
        raise UserError(
            f'{target} is being written to by {_name_owner(file)}; wait until that has ended, or choose another name. '
            f'If it is gone, remove {file}.'
        ) from None
    except OSError as error:
        raise UserError(f'{target} cannot be written ({error.strerror or error}); choose another place.') from None
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # one that is not empty
            for folder in missing:
                folder.rmdir()


def _name_owner(file: Path) -> str:
    try:
        pid, host, *_ = file.read_text(encoding='utf-8').splitlines()
    except (OSError, ValueError):  # just released, or of another program
        return 'another process'
    return f'process {pid} on {host}'
