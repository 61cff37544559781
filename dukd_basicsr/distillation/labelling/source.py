"""The training LMDBs that a cache is made from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from dukd_basicsr.data.decoding import decode
from dukd_basicsr.data.lmdb import LmdbReader, read_meta_line
from dukd_basicsr.distillation.labelling.labeller import Pair
from dukd_basicsr.errors import UserError


class Source:
    """A pair of LMDBs as BasicSR reads them, that `options.check_files` has passed.

    Args:
        gt (Path): HR sub-images.
        lq (Path): LR sub-images.
        scale (int): HR size over LR size.
    """

    def __init__(self, gt: Path, lq: Path, scale: int) -> None:
        self.scale = scale
        lines = (lq / 'meta_info.txt').read_text(encoding='utf-8').splitlines()
        self.shapes = dict(filter(None, map(read_meta_line, lines)))
        """Height and width of every LR sub-image by key, in the order of the file."""
        self._gt, self._lq = LmdbReader(gt), LmdbReader(lq)

    def cut_chunks(self, most: int) -> Iterator[list[str]]:
        """All keys in lists of at most `most` whose sub-images have one size."""
        by_size: dict[tuple[int, int], list[str]] = {}
        for key, shape in self.shapes.items():
            by_size.setdefault(shape, []).append(key)
        for alike in by_size.values():
            yield from (alike[n : n + most] for n in range(0, len(alike), most))

    def read_pairs(self, keys: Sequence[str]) -> list[Pair]:
        """Decode sub-images.

        Raises:
            UserError: One has not the size that meta_info.txt says.
        UnreadableImageError: One is missing or cannot be decoded.
        """
        return [
            Pair(key, self._read_image(self._lq, key, 1), self._read_image(self._gt, key, self.scale)) for key in keys
        ]

    def _read_image(self, reader: LmdbReader, key: str, scale: int) -> np.ndarray:
        image = decode(reader.get(key), f'the value of {key} in {reader.path}')
        if image.shape[:2] != tuple(scale * side for side in self.shapes[key]):
            raise UserError(
                f'{key} of {reader.path} is not the size that meta_info.txt says: remove the LMDB and run '
                'basicsr prepare again.'
            )
        return np.ascontiguousarray(image[..., ::-1])
