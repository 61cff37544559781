"""Files that are old or new, never half."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path

from dukd_basicsr.errors import RunError, UserError


def write_file(path: Path, data: bytes | memoryview) -> None:
    """Write beside the file, flush, and move it into its place; what was there stays until then.

    Args:
        path (Path): Its folder must exist.
        data (bytes | memoryview): The whole content.

    Raises:
        OSError: It cannot be written; nothing is left of the attempt.
    """
    temporary = path.with_name(f'{path.name}.tmp')
    try:
        with temporary.open('wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except (OSError, KeyboardInterrupt):
        temporary.unlink(missing_ok=True)
        raise
    _flush_folder(path.parent)


def write_result(path: Path, data: bytes | memoryview) -> None:
    """`write_file` for what a command leaves, with the folder made where it is missing.

    Raises:
        RunError: It cannot be written, in a sentence.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_file(path, data)
    except OSError as error:
        raise RunError(f'{path} cannot be written ({error.strerror or error}).') from None


def refuse_unwritable(folder: Path, option: str = '-o DIR') -> None:
    """Refuse a folder of results before the work is done.

    Args:
        folder (Path): May be missing; it is not made.
        option (str): What to type to give another.

    Raises:
        UserError: It, or what it would lie in, is a file or cannot be written to.
    """
    place = next(each for each in (folder, *folder.parents) if os.path.lexists(each))
    if not os.path.isdir(place):
        raise UserError(f'{place} is a file, but results go to a folder of that name; give another: {option}.')
    if not os.access(place, os.W_OK | os.X_OK) or not _takes_a_file(Path(place)):
        raise UserError(f'{place} cannot be written to; give another folder: {option}.')


def _takes_a_file(folder: Path) -> bool:
    """Whether a file can be made: `os.access` lets root write to /proc, and to what a server or a disk refuses."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _flush_folder(folder: Path) -> None:
    """Make a rename survive a power cut, where the system and the file system can."""
    if os.name == 'posix':
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems flush files only
                raise
        finally:
            os.close(descriptor)
