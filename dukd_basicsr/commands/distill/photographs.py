"""The user's photographs: which can be used, and which of them are kept for validation."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dukd_basicsr.data.atomic import write_file
from dukd_basicsr.data.cache.manifest import hash_file
from dukd_basicsr.data.images import SUFFIXES, UnusableImageError, find_images, read_image
from dukd_basicsr.errors import UserError

SHARE = 10
"""One of so many photographs is held out."""
FEWEST, MOST = 2, 20
"""Photographs that are held out."""
FEWEST_TO_TRAIN = 4
LARGEST_HELD_OUT = 1024
"""Side, in pixels, to which held-out photographs are cut in their middle: the teacher enlarges each of them."""
TRAIN, HELD_OUT, CALIBRATION = (Path('photographs') / name for name in ('train', 'held_out', 'calibration'))
"""Where they are collected, in the folder of the run."""


@dataclass(frozen=True)
class Photograph:
    """A file that can be trained on or validated with."""

    path: Path
    width: int
    height: int
    sha256: str


@dataclass(frozen=True)
class Survey:
    """What the photographs are used for."""

    train: Sequence[Photograph]
    held_out: Sequence[Photograph]
    """Where a folder of validation was given, its photographs."""
    too_small: int
    """Photographs that are left out because a training patch does not fit into them."""
    doubles: int
    """Photographs that are left out because the same file is there already, in training or validation."""
    of_own: bool = False
    """Whether the user gave the photographs to validate with."""


def survey(photos: Path, val: Path | None, side: int) -> Survey:
    """Look at every photograph and divide them.

    Which are held out is decided by the hash of their content, so that it depends on neither names nor order, and a
    photograph that is there twice is never on both sides.

    Args:
        photos (Path): Folder; the photographs lie directly in it.
        val (Path | None): Folder of photographs to validate with; None holds out some of the others.
        side (int): The shortest side that can be used, in pixels.

    Raises:
        UserError: No photographs, one that is none, or too few that are large enough.
    """
    own = [] if val is None else _look_at(val)
    small = [each for each in own if min(each.width, each.height) < side]
    if small:
        raise UserError(
            f'{small[0].path} is {small[0].width}x{small[0].height}, to validate with a side of at least '
            f'{side} pixels is needed: remove it from --val.'
        )
    every = _look_at(photos)
    seen = {each.sha256 for each in own}
    usable: list[Photograph] = []
    too_small = doubles = 0
    for each in every:
        if min(each.width, each.height) < side:
            too_small += 1
        elif each.sha256 in seen:
            doubles += 1
        else:
            seen.add(each.sha256)
            usable.append(each)
    count = 0 if own else min(max(FEWEST, round(len(usable) / SHARE)), MOST)
    if len(usable) < FEWEST_TO_TRAIN + count:
        held = '' if own else f', {count} of them to validate with'
        raise UserError(
            f'{photos}: {len(usable)} of its {len(every)} photographs can be used, with a side of at least {side} '
            f'pixels and each once; {FEWEST_TO_TRAIN + count} are needed{held}: add photographs.'
        )
    held_out = sorted(usable, key=lambda each: each.sha256)[:count]
    train = [each for each in usable if each not in held_out]
    return Survey(train, own or sorted(held_out, key=lambda each: each.path.name), too_small, doubles, bool(own))


def _look_at(folder: Path) -> list[Photograph]:
    """Size and hash of every photograph of a folder, by name.

    Raises:
        UserError: There is none, or one that is no image or cut off.
    """
    files = find_images(folder)
    if not files:
        inner = [path.name for path in sorted(folder.iterdir()) if find_images(path)]
        hint = f'; its folder {inner[0]} has some: give {folder / inner[0]}' if inner else ''
        raise UserError(f'{folder}: there are no photographs ({" ".join(SUFFIXES)}) in it{hint}.')
    found = []
    for path in files:
        try:
            with Image.open(path) as image:
                width, height = image.size
            found.append(Photograph(path, width, height, hash_file(path)))
        except (OSError, ValueError, Image.DecompressionBombError) as error:
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise UserError(f'{path} cannot be read as a photograph ({reason}): remove it or replace it.') from None
    return found


def collect(found: Survey, root: Path) -> None:
    """Put the photographs where `basicsr prepare` finds them, as links; held-out ones that are large are cut.

    Args:
        found (Survey): What is used for what.
        root (Path): The folder of the run; photographs that an earlier attempt has left in it go.

    Raises:
        UserError: One cannot be cut.
    """
    whole = found.held_out if found.of_own else [each for each in found.held_out if not _is_large(each)]
    links = {TRAIN / each.path.name: each.path for each in found.train}
    links |= {HELD_OUT / each.path.name: each.path for each in whole}
    cuts = {HELD_OUT / f'{each.path.name}.png': each.path for each in found.held_out if each not in whole}
    for folder in (TRAIN, HELD_OUT):
        (root / folder).mkdir(parents=True, exist_ok=True)
        for path in (root / folder).iterdir():
            if path.relative_to(root) not in {*links, *cuts}:
                path.unlink()
    for target, source in links.items():
        _link(source, root / target)
    for target, source in cuts.items():
        _cut(source, root / target)


def _is_large(photograph: Photograph) -> bool:
    return max(photograph.width, photograph.height) > LARGEST_HELD_OUT


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() or target.exists():
        return
    with suppress(OSError):  # systems where links are a privilege
        target.symlink_to(source)
        return
    try:
        os.link(source, target)
    except OSError:  # another disk
        shutil.copyfile(source, target)


def _cut(source: Path, target: Path) -> None:
    """The middle of a photograph, as PNG."""
    write_file(target, cv2.imencode('.png', read_middle(source, LARGEST_HELD_OUT))[1].tobytes())


def read_middle(path: Path, side: int, multiple: int = 1) -> np.ndarray:
    """The middle of a photograph.

    Args:
        path (Path): Its file.
        side (int): Height and width at most, in pixels.
        multiple (int): What height and width are multiples of.

    Returns:
        np.ndarray: (H, W, 3) uint8, BGR.

    Raises:
        UserError: It cannot be used for its pixels.
    """
    try:
        image = read_image(path)
    except UnusableImageError as error:
        raise UserError(f'{path} cannot be used: {error}; remove it or replace it.') from None
    height, width = (min(each, side) // multiple * multiple for each in image.shape[:2])
    top, left = (image.shape[0] - height) // 2, (image.shape[1] - width) // 2
    return image[top : top + height, left : left + width]
