"""LR images that int8's ranges are taken from: parts of the photographs that the student is trained on."""

from __future__ import annotations

from pathlib import Path

import cv2

from dukd_basicsr.data.atomic import write_file
from dukd_basicsr.data.decoding import decode
from dukd_basicsr.data.lmdb import LmdbReader, read_meta_line

IMAGES = 32


def write_calibration(lmdb: Path, folder: Path) -> None:
    """Write sub-images of an LMDB as PNGs, evenly chosen of all; those that are there stay.

    Args:
        lmdb (Path): LR sub-images, as `basicsr prepare` leaves them.
        folder (Path): Made if it is missing.
    """
    lines = (lmdb / 'meta_info.txt').read_text(encoding='utf-8').splitlines()
    keys = [key for key, _ in filter(None, map(read_meta_line, lines))]
    reader = LmdbReader(lmdb)
    folder.mkdir(parents=True, exist_ok=True)
    for key in keys[:: max(1, len(keys) // IMAGES)][:IMAGES]:
        target = folder / f'{key}.png'
        if not target.exists():
            image = decode(reader.get(key), f'the value of {key} in {lmdb}')
            write_file(target, cv2.imencode('.png', image)[1].tobytes())
