"""The two kinds of targets: LMDBs as BasicSR reads them, and plain folders of PNGs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import lmdb

from datasets_prep.codecs import LEVEL, Codec
from datasets_prep.subimages import Item

_MAP_STEP = 64 * 2**20


class FolderWriter:
    """Writes items as `<key>.png` into a folder that exists.

    Args:
        folder (Path): The folder.
        meta_info (bool): Whether to list them in its meta_info.txt, as RealESRGANDataset wants it. Datasets that take
            every file of a folder for an image want none.
    """

    def __init__(self, folder: Path, meta_info: bool = False) -> None:
        self.folder = folder
        self.meta_info = meta_info

    def __enter__(self) -> FolderWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def add(self, items: Sequence[Item]) -> None:
        """Write the PNGs of one image."""
        for item in items:
            (self.folder / f'{item.key}.png').write_bytes(item.data)
        if self.meta_info:
            with (self.folder / 'meta_info.txt').open('a', encoding='ascii', newline='\n') as lines:
                lines.writelines('{}.png ({},{},{})\n'.format(item.key, *item.shape) for item in items)


class LmdbWriter:
    """Writes items into an LMDB with BasicSR's meta_info.txt (`key.png (h,w,c) level` a line, in order).

    BasicSR's own writer reserves 10 times a guess, or 1 TB, which Windows allocates at once, and fails where the
    guess was low (BasicSR#61, EDVR#134). This one grows the map by steps: the file is never much larger than its data.

    Args:
        folder (Path): An existing, empty folder.
        codec (Codec): Of the items.
    """

    def __init__(self, folder: Path, codec: Codec = 'png') -> None:
        self._codec = codec
        # Durable at the end and not at every image: until then the folder is not in its place anyway.
        self._env = lmdb.open(str(folder), map_size=_MAP_STEP, sync=False)
        self._map_size = _MAP_STEP
        self._meta = (folder / 'meta_info.txt').open('w', encoding='ascii', newline='\n')

    def __enter__(self) -> LmdbWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._meta.close()
        try:
            if kind is None:
                self._env.sync(True)
        finally:
            self._env.close()

    def add(self, items: Sequence[Item]) -> None:
        """Write the sub-images of one image, in one transaction."""
        while True:
            try:
                with self._env.begin(write=True) as transaction:
                    for item in items:
                        transaction.put(item.key.encode('ascii'), item.data)
                break
            except lmdb.MapFullError:
                self._map_size += _MAP_STEP
                self._env.set_mapsize(self._map_size)
        for item in items:
            height, width, channels = item.shape
            self._meta.write(f'{item.key}.{self._codec} ({height},{width},{channels}) {LEVEL}\n')
