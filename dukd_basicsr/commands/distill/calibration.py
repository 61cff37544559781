"""LR images that int8's ranges are taken from: parts of the photographs that the student is trained on."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import cv2
import numpy as np

from datasets_prep.images import mod_crop, shrink
from dukd_basicsr.commands.distill.options_file import Settings
from dukd_basicsr.data.atomic import write_file
from dukd_basicsr.data.decoding import decode
from dukd_basicsr.data.images import find_images, read_image
from dukd_basicsr.data.lmdb import LmdbReader, read_meta_line

IMAGES = 32


def write_calibration(settings: Settings, root: Path, folder: Path) -> None:
    """Write LR images of the training set as PNGs, evenly chosen of all; those that are there stay.

    Args:
        settings (Settings): Of the run; where it degrades its HR images itself, they are shrunk by bicubic.
        root (Path): The folder of the run.
        folder (Path): Made if it is missing.
    """
    readers = _read_folder(settings, root) if settings.real else _read_lmdb(root / settings.lq_lmdb)
    names = list(readers)
    folder.mkdir(parents=True, exist_ok=True)
    for name in names[:: max(1, len(names) // IMAGES)][:IMAGES]:
        target = folder / f'{name}.png'
        if not target.exists():
            write_file(target, cv2.imencode('.png', readers[name]())[1].tobytes())


def _read_lmdb(lmdb: Path) -> dict[str, Callable[[], np.ndarray]]:
    """LR sub-images as `basicsr prepare` leaves them."""
    lines = (lmdb / 'meta_info.txt').read_text(encoding='utf-8').splitlines()
    reader = LmdbReader(lmdb)

    def read(key: str) -> np.ndarray:
        return decode(reader.get(key), f'the value of {key} in {lmdb}')

    return {key: partial(read, key) for key, _ in filter(None, map(read_meta_line, lines))}


def _read_folder(settings: Settings, root: Path) -> dict[str, Callable[[], np.ndarray]]:
    """HR sub-images of `basicsr prepare --preset real`, shrunk."""

    def read(path: Path) -> np.ndarray:
        return shrink(mod_crop(read_image(path), settings.scale), settings.scale)

    return {path.stem: partial(read, path) for path in find_images(root / settings.train_roots['dataroot_gt'])}
