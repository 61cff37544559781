"""Generations of a run: networks, EMA and training state of one iteration, complete or not there at all.

Every file is written beside its place, flushed to the disk and moved there; the training state comes last and names
the others by their SHA-256, so a generation exists from the moment its state does. Layout and names are BasicSR's:
`models/net_g_<iter>.pth` and `training_states/<iter>.state`.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import re
import time
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from dukd_basicsr.data.atomic import write_file
from dukd_basicsr.errors import RunError

FILES = 'files'
"""Key of the state under which its other files are: name in `models/` to SHA-256."""
STATE_KEYS = frozenset({'epoch', 'iter', 'optimizers', 'schedulers'})
_ATTEMPTS = 3
_ITERATION = re.compile('0|[1-9][0-9]*')
"""As a file is named by: 010 would be looked for as 10."""


@dataclass(frozen=True)
class Generation:
    """A complete generation."""

    path: Path
    """Its training state's file."""
    state: dict[str, Any]
    """On the CPU: STATE_KEYS, FILES and what the run adds."""


class IncompleteError(ValueError):
    """Why a state is not that of a complete generation, in a few words."""


def save(content: Mapping[str, Any], path: Path) -> str:
    """Write `torch.save(content)` so that the file is old or new, never half.

    Args:
        content (Mapping): Tensors and plain values.
        path (Path): Its folder must exist.

    Returns:
        str: SHA-256 of the file.

    Raises:
        RunError: It cannot be written, after three attempts a second apart; what was at `path` is still there.
    """
    buffer = io.BytesIO()
    torch.save(dict(content), buffer)
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            write_file(path, buffer.getbuffer())
        except OSError as error:
            if attempt == _ATTEMPTS:
                raise RunError(f'{path} cannot be written ({error.strerror or error}); what was saved before is '
                               'intact: make room, then go on with --auto_resume.') from None  # fmt: skip
            time.sleep(1)  # a network file system may recover
        else:
            break
    return hashlib.sha256(buffer.getbuffer()).hexdigest()


def find_newest(states: Path, models: Path) -> tuple[Generation | None, list[str]]:
    """The newest complete generation, and 'file (reason)' of each newer one that is not.

    Args:
        states (Path): The folder `training_states`; other names than `<iter>.state` are not looked at.
        models (Path): The folder `models`.
    """
    passed: list[str] = []
    for iteration in sorted(list_iterations(states), reverse=True):
        path = states / f'{iteration}.state'
        try:
            return read(path, models), passed
        except IncompleteError as error:
            passed.append(f'{path.name} ({error})')
    return None, passed


def list_iterations(states: Path) -> list[int]:
    """The iterations of which there is a training state, complete or not."""
    return [int(path.stem) for path in states.glob('*.state') if _ITERATION.fullmatch(path.stem) and path.is_file()]


def read(path: Path, models: Path) -> Generation:
    """Read a training state and check that its generation is complete. Nothing in it is executed.

    Args:
        path (Path): The training state.
        models (Path): The folder of the networks that it names.

    Raises:
        IncompleteError: Damaged, of another iteration than its name says, or a network that is missing or another one.
    """
    _check_archive(path)
    try:
        state = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError:  # torch's own words advise to switch the protection off
        raise IncompleteError('refused: loading it would run code that it brings along') from None
    except Exception as error:  # torch.load raises a dozen kinds for a damaged file
        raise IncompleteError(f'{type(error).__name__}: {str(error).strip().splitlines()[0]}') from None
    if not _is_state(state):
        raise IncompleteError('no training state of BasicSR')
    if _ITERATION.fullmatch(path.stem) and state['iter'] != int(path.stem):
        raise IncompleteError(f'it is the state of iteration {state["iter"]}')
    for name, digest in state.get(FILES, {}).items():
        _check_network(models / Path(name).name, digest)
    if not state.get(FILES):
        _check_stock_networks(models, state['iter'])
    return Generation(path, state)


def _is_state(content: Any) -> bool:
    """Whether it is what `save_training_state` writes, ours or stock's."""
    if not isinstance(content, dict) or not content.keys() >= STATE_KEYS:
        return False
    files = content.get(FILES, {})
    return (
        all(type(content[key]) is int for key in ('epoch', 'iter'))
        and all(isinstance(content[key], list) for key in ('optimizers', 'schedulers'))
        and isinstance(files, dict)
        and all(isinstance(name, str) for name in files)
    )


def _check_archive(path: Path) -> None:
    """Torch reads its archives without looking at their check sums."""
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except Exception as error:  # zipfile too raises a dozen kinds
        raise IncompleteError(f'truncated or damaged: {error}' if path.stat().st_size else 'empty') from None
    if damaged is not None:
        raise IncompleteError(f'damaged: {damaged}')


def _check_stock_networks(models: Path, iteration: int) -> None:
    """BasicSR's own states do not say which files belong to them."""
    networks = list(models.glob(f'net_*_{iteration}.pth'))
    if not networks:
        raise IncompleteError(f'net_g_{iteration}.pth is not there')
    for path in networks:
        try:
            _check_archive(path)
        except IncompleteError as error:
            raise IncompleteError(f'{path.name} is {error}') from None


def _check_network(path: Path, digest: str) -> None:
    if not path.is_file():
        raise IncompleteError(f'{path.name} is not there')
    with path.open('rb') as file:
        found = hashlib.file_digest(file, 'sha256') if hasattr(hashlib, 'file_digest') else hashlib.sha256(file.read())
    if found.hexdigest() != digest:
        raise IncompleteError(f'{path.name} is damaged or of another run')


def prune(states: Path, models: Path, keep: int, current: int, protected: Iterable[int]) -> None:
    """Remove the generations up to `current` except its last `keep` and the protected ones.

    The state goes first: what is left of a generation in between is not one.

    Args:
        states (Path): The folder `training_states`.
        models (Path): The folder `models`.
        keep (int): How many of the last to keep, at least 1.
        current (int): The iteration saved last; newer files are of a run that this one passed over and stay.
        protected (Iterable[int]): Iterations that stay too.
    """
    known = sorted(iteration for iteration in list_iterations(states) if iteration <= current)
    for iteration in set(known[:-keep]) - set(protected):
        (states / f'{iteration}.state').unlink()
        for path in models.glob(f'net_*_{iteration}.pth'):
            path.unlink()
