"""From sub-images to records: the teacher is asked in batches of one size."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from dukd_basicsr.data.cache.record import Layout, draw_positions, pack, pack_input, unpack, unpack_input
from dukd_basicsr.errors import RunError
from dukd_basicsr.upcycling import zoom_out


class Pair(NamedTuple):
    """One sub-image, (H, W, 3) uint8 RGB."""

    key: str
    lq: np.ndarray
    gt: np.ndarray


@dataclass(frozen=True)
class Labeller:
    """Makes the records of sub-images."""

    teacher: nn.Module
    layout: Layout
    seed: int
    """Of the positions of zoom-in crops."""
    device: torch.device

    def make_records(self, pairs: Sequence[Pair]) -> list[tuple[str, bytes]]:
        """Keys and records of sub-images of one size.

        Raises:
            RunError: Not even one image fits into the GPU's memory.
        """
        height, width = pairs[0].lq.shape[:2]
        lq = self._stack([pair.lq for pair in pairs])
        fields: dict[str, np.ndarray] = {}
        if 'lq' in self.layout.parts:
            fields['lq_label'] = self._ask_packed(lq)
        if 'zoom_in' in self.layout.parts:
            fields['zoom_in_at'], fields['zoom_in_label'] = self._zoom_in(pairs, height * width)
        if 'zoom_out' in self.layout.parts:
            s = self.layout.scale
            fields['zoom_out'] = pack_input(zoom_out(lq[..., : height // s * s, : width // s * s], s))
            # The teacher is asked for what the student will see, after rounding.
            fields['zoom_out_label'] = self._ask_packed(
                torch.from_numpy(unpack_input(fields['zoom_out'])).to(self.device)
            )
        return [
            (pair.key, self.layout.write({name: part[n] for name, part in fields.items()}, height, width))
            for n, pair in enumerate(pairs)
        ]

    def measure_psnr(self, pair: Pair, record: bytes) -> float:
        """PSNR in dB of a stored label against its ground truth: a right number proves that the teacher is right."""
        fields = self.layout.read(record, *pair.lq.shape[:2])
        label = np.moveaxis(unpack(fields['lq_label']), 0, -1).clip(0, 1)
        error = float(np.square(label - pair.gt / np.float32(255)).mean())
        return -10 * math.log10(max(error, 1e-10))

    def _zoom_in(self, pairs: Sequence[Pair], pixels: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions and words of the crops, in batches of about the pixels that the whole sub-images have."""
        size, num = self.layout.size, self.layout.per_image
        at = np.stack([draw_positions(self.seed, pair.key, num, size, pair.gt.shape) for pair in pairs])
        crops = [
            pair.gt[top : top + size, left : left + size]
            for pair, places in zip(pairs, at, strict=True)
            for top, left in places
        ]
        step = max(1, len(pairs) * pixels // size**2)
        words = [self._ask_packed(self._stack(crops[n : n + step])) for n in range(0, len(crops), step)]
        return at, np.concatenate(words).reshape(len(pairs), num, *words[0].shape[1:])

    def _stack(self, images: Sequence[np.ndarray]) -> Tensor:
        batch = torch.from_numpy(np.stack(images)).to(self.device, non_blocking=True)
        return batch.permute(0, 3, 1, 2).float() / 255

    def _ask_packed(self, lq: Tensor) -> np.ndarray:
        return pack(self._ask(lq))

    def _ask(self, lq: Tensor) -> Tensor:
        """The teacher's answer; a batch too large for the GPU is asked in halves."""
        try:
            with torch.no_grad():
                return self.teacher(lq)
        except torch.cuda.OutOfMemoryError:
            if lq.shape[0] == 1:
                raise RunError(
                    f'the GPU has no memory for one image of {lq.shape[-2]}x{lq.shape[-1]}: try --precision bf16.'
                ) from None
        half = lq.shape[0] // 2
        return torch.cat([self._ask(lq[:half]), self._ask(lq[half:])])
