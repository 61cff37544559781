"""The files of onnxruntime-web that a page needs: from npm by the lock file beside this module, or from the user."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dukd_basicsr.data.atomic import write_file
from dukd_basicsr.errors import UserError

PACKAGE = 'onnxruntime-web'
FILES = ('ort.wasm.bundle.min.mjs', 'ort-wasm-simd-threaded.wasm')
"""Of the package's dist/: what runs on the processor alone, which every browser has."""
_INSIDE = ('', 'dist', 'ort', f'node_modules/{PACKAGE}/dist')
"""Where in a folder they may be: itself, the package, a page that was written before, a project that uses it."""
_SECONDS = 600
"""That npm may take for its 33 MB."""


@dataclass(frozen=True)
class Lock:
    """One exact version, by the hash of its archive."""

    version: str
    integrity: str
    """As npm writes it: 'sha512-' and the digest in base64."""

    @property
    def archive(self) -> str:
        """What npm calls the archive."""
        return f'{PACKAGE}-{self.version}.tgz'

    def matches(self, content: bytes) -> bool:
        """Whether these are the bytes that were locked."""
        return self.integrity == f'sha512-{base64.b64encode(hashlib.sha512(content).digest()).decode()}'


def read_lock() -> Lock:
    """What package-lock.json says."""
    lock = json.loads(Path(__file__).with_name('package-lock.json').read_text('utf-8'))
    entry = lock['packages'][f'node_modules/{PACKAGE}']
    return Lock(entry['version'], entry['integrity'])


def find_runtime(given: Path | None = None) -> dict[str, bytes]:
    """The runtime's files.

    Args:
        given (Path | None): A folder with them, taken as it is, or npm's archive of the locked version. Default: the
            archive in this user's cache, fetched by npm the first time.

    Returns:
        dict[str, bytes]: Name to content, for `FILES`.

    Raises:
        UserError: They are not there, are not what was locked, or cannot be fetched; the sentence says what to do.
    """
    lock = read_lock()
    if given is None:
        return _unpack(_fetch(lock), lock.archive)
    if given.is_dir():
        return _read_folder(given, lock)
    try:
        content = given.read_bytes()
    except OSError as error:
        raise UserError(f'--web-runtime {given}: it cannot be read ({error.strerror}).') from None
    if not lock.matches(content):
        raise UserError(
            f'--web-runtime {given}: this is not the archive of {PACKAGE} {lock.version} (its SHA-512 is another); '
            f'fetch that by: npm pack {PACKAGE}@{lock.version}'
        )
    return _unpack(content, str(given))


def find_cache() -> Path:
    """This user's folder for what can be fetched again: $XDG_CACHE_HOME/dukd_basicsr, else ~/.cache/dukd_basicsr."""
    return Path(os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache') / 'dukd_basicsr'


def _read_folder(folder: Path, lock: Lock) -> dict[str, bytes]:
    for place in (folder / inside for inside in _INSIDE):
        if all((place / name).is_file() for name in FILES):
            return {name: (place / name).read_bytes() for name in FILES}
    raise UserError(
        f'--web-runtime {folder}: {" and ".join(FILES)} are not in it; give the dist folder of {PACKAGE} '
        f'{lock.version}, or its archive.'
    )


def _fetch(lock: Lock) -> bytes:
    """The archive, from the cache or by npm; a damaged one in the cache is fetched again."""
    kept = find_cache() / lock.archive
    if kept.is_file() and lock.matches(content := kept.read_bytes()):
        return content
    npm = shutil.which('npm')
    if npm is None:
        raise UserError(_explain(lock, 'npm is not installed'))
    with tempfile.TemporaryDirectory() as folder:
        _run([npm, 'pack', f'{PACKAGE}@{lock.version}', '--ignore-scripts', '--pack-destination', folder], lock)
        fetched = Path(folder) / lock.archive
        content = fetched.read_bytes() if fetched.is_file() else b''
    if not lock.matches(content):
        raise UserError(_explain(lock, 'what npm fetched is not what was locked: its SHA-512 is another'))
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_file(kept, content)
    except OSError:  # a cache that cannot be written only costs time
        pass
    return content


def _run(command: Sequence[str], lock: Lock) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(_explain(lock, f'npm could not fetch it ({type(error).__name__})')) from None
    if done.returncode:
        reasons = [line for line in done.stderr.splitlines() if 'error' in line.lower()] or ['it gave no reason']
        raise UserError(_explain(lock, f'npm could not fetch it ({reasons[0].strip()})'))


def _explain(lock: Lock, reason: str) -> str:
    return (
        f'The page needs {PACKAGE} {lock.version}, but {reason}; on a machine that reaches the npm registry run '
        f'"npm pack {PACKAGE}@{lock.version}", and give the file here: --web-runtime {lock.archive}'
    )


def _unpack(archive: bytes, name: str) -> dict[str, bytes]:
    """The files out of npm's archive; nothing else of it is looked at."""
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive), mode='r:gz') as tar:
        for file in FILES:
            try:
                content = tar.extractfile(f'package/dist/{file}')
            except KeyError:
                content = None
            if content is None:
                raise UserError(f'{name}: dist/{file} is not in it.')
            found[file] = content.read()
    return found
