"""Training pairs together with what a teacher said about them: one crop and one augmentation for all."""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.utils.registry import DATASET_REGISTRY
from torch import Tensor

from dukd_basicsr.data.cache import manifest as stamps
from dukd_basicsr.data.cache.reader import CacheReader
from dukd_basicsr.data.cache.record import Layout, unpack, unpack_input
from dukd_basicsr.data.decoding import decode
from dukd_basicsr.data.lmdb import LmdbReader
from dukd_basicsr.errors import UserError


class _Turn(NamedTuple):
    """One draw of stock's `augment`."""

    hflip: bool
    vflip: bool
    transpose: bool

    @classmethod
    def draw(cls, use_hflip: bool, use_rot: bool) -> _Turn:
        """As basicsr/data/transforms.py:120-122: the same numbers from Python's generator."""
        hflip = use_hflip and random.random() < 0.5
        vflip = use_rot and random.random() < 0.5
        return cls(hflip, vflip, use_rot and random.random() < 0.5)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Turn (H, W) or (H, W, C), as a view."""
        if self.hflip:
            image = image[:, ::-1]
        if self.vflip:
            image = image[::-1]
        return image.swapaxes(0, 1) if self.transpose else image


@DATASET_REGISTRY.register()
class UpcycledImageDataset(PairedImageDataset):
    """PairedImageDataset on LMDBs, plus the labels of a cache that `basicsr upcycle` has written.

    A sample has 'lq', 'gt', 'lq_path' and 'gt_path' as there (the very same ones from the same state of Python's
    random, without zoom-out), and of these what the cache and `parts` have, all RGB, float32, C x H x W:

    - lq_label: the teacher's answer to lq, cut from its answer to the whole sub-image;
    - zoom_in, zoom_in_label: `zoom_in_num` crops of the HR sub-image, anywhere in it, (num, C, H, W);
    - zoom_out, zoom_out_label: lq shrunk by the scale. Both are cut from the whole sub-image's, so with zoom-out the
      LR crop starts at multiples of the scale, where pixels of the shrunk image start too.

    All of them are turned alike. Everything random comes from Python's `random`.

    Args:
        opt (Mapping): As for PairedImageDataset with io_backend lmdb, and
            dataroot_upcycled (str): The cache.
            parts (list[str]): Which of 'lq', 'zoom_in', 'zoom_out' to read; default: all of the cache. From an options
                file they are set by its losses.
            zoom_in_num (int): Zoom-in crops of a sample, drawn from the stored ones without replacement; default 1.

    Raises:
        UserError: The cache is not complete, or not of these sub-images, patch and scale.
    """

    def __init__(self, opt: Mapping[str, Any]) -> None:
        super().__init__(opt)
        folder = Path(opt['dataroot_upcycled']).expanduser()
        stamp = stamps.read(folder)
        if stamp is None or stamp.get('version') != stamps.VERSION or not stamp['complete']:
            raise UserError(f'{folder} is not a complete upcycled cache: run basicsr upcycle (again).')
        self.layout = Layout(stamp['scale'], stamp['size'], stamp['per_image'], tuple(stamp['parts']))
        self.parts = frozenset(opt.get('parts', self.layout.parts))
        self.num = opt.get('zoom_in_num', 1)
        self.patch = opt['gt_size'] // opt['scale']
        self._cache = CacheReader(folder)
        self._gt, self._lq = LmdbReader(opt['dataroot_gt']), LmdbReader(opt['dataroot_lq'])
        lonely = [path['gt_path'] for path in self.paths if path['gt_path'] not in self._cache]
        if lonely:
            raise UserError(f'{folder} has no labels of {lonely[0]} ({len(lonely)} are missing): it is of other data.')
        if opt['scale'] != self.layout.scale or ('zoom_in' in self.parts and self.patch > self.layout.size):
            raise UserError(
                f'{folder} is of scale {self.layout.scale} with crops of {self.layout.size} pixels, which '
                f'does not fit scale: {opt["scale"]} and gt_size: {opt["gt_size"]}.'
            )

    def __getitem__(self, index: int) -> dict[str, Any]:
        paths = self.paths[index]
        key = paths['gt_path']
        with self._lq.value(key) as low, self._gt.value(key) as high, self._cache.value(key) as record:
            lq, gt = (
                decode(data, f'the value of {key} in {of.path}') for data, of in ((low, self._lq), (high, self._gt))
            )
            return self._sample(lq, gt, self.layout.read(record, *lq.shape[:2])) | paths

    def _sample(self, lq: np.ndarray, gt: np.ndarray, fields: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Crop, turn and convert: of each array, which may lie in a file, only what is in the sample is read."""
        s, patch = self.layout.scale, self.patch
        grid = s if 'zoom_out' in self.parts else 1
        top, left = (grid * random.randint(0, (side - patch) // grid) for side in lq.shape[:2])
        turn = _Turn.draw(self.opt['use_hflip'], self.opt['use_rot'])
        sample = {
            'lq': _to_image(turn(_cut(lq, top, left, patch))),
            'gt': _to_image(turn(_cut(gt, s * top, s * left, s * patch))),
        }
        if 'lq' in self.parts:
            sample['lq_label'] = _to_label(turn(_cut(fields['lq_label'], s * top, s * left, s * patch)))
        if 'zoom_in' in self.parts:
            sample |= self._zoom_in(gt, fields, turn)
        if 'zoom_out' in self.parts:
            small = turn(_cut(fields['zoom_out'], top // s, left // s, patch // s))
            sample['zoom_out'] = torch.from_numpy(unpack_input(small))
            sample['zoom_out_label'] = _to_label(turn(_cut(fields['zoom_out_label'], top, left, patch)))
        return sample

    def _zoom_in(self, gt: np.ndarray, fields: Mapping[str, np.ndarray], turn: _Turn) -> dict[str, Tensor]:
        """Crops and their labels; of stored crops larger than the patch a random part."""
        s, patch, spare = self.layout.scale, self.patch, self.layout.size - self.patch
        crops, labels = [], []
        for n in random.sample(range(self.layout.per_image), self.num):
            top, left = (random.randint(0, spare) for _ in range(2))
            at = fields['zoom_in_at'][n]
            crops.append(_to_image(turn(_cut(gt, at[0] + top, at[1] + left, patch))))
            labels.append(_to_label(turn(_cut(fields['zoom_in_label'][n], s * top, s * left, s * patch))))
        return {'zoom_in': torch.stack(crops), 'zoom_in_label': torch.stack(labels)}


def _cut(image: np.ndarray, top: int, left: int, size: int) -> np.ndarray:
    return image[top : top + size, left : left + size]


def _to_image(image: np.ndarray) -> Tensor:
    """(H, W, 3) uint8 BGR to (3, H, W) float32 RGB in [0, 1]."""
    planes = np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1))
    return torch.from_numpy(planes.astype(np.float32) / 255)


def _to_label(words: np.ndarray) -> Tensor:
    return torch.from_numpy(unpack(words))
