"""The training-pair pool of Real-ESRGAN: a batch of pairs that were degraded at different steps."""

from __future__ import annotations

import torch
from torch import Tensor


class PairPool:
    """BasicSR's `_dequeue_and_enqueue` (basicsr/models/realesrnet_model.py:30-67), on any device and resumable.

    All samples of a batch are degraded with the same resize factors and modes. So pairs go into a pool first; once it
    is full, a step takes a random batch out and puts its own in. Until then it trains on its own.

    Stock shuffles the whole pool at every step and takes its first samples; here the samples are drawn and replaced
    where they are, which is the same draw without moving the pool. Pairs are kept in 8 bits, which real images and
    degraded ones are: nothing is lost, and the pool takes a quarter of stock's memory and goes into a state.

    Args:
        size (int): Pairs, a multiple of the batch.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.pairs: tuple[Tensor, Tensor] | None = None
        """LR and HR images, (size, C, H, W) uint8; None until the first batch."""
        self.filled = 0

    def exchange(self, lq: Tensor, gt: Tensor) -> tuple[Tensor, Tensor]:
        """Put a batch in and take one out; which samples is drawn from torch's global generator of the CPU.

        Args:
            lq (Tensor): (B, C, h, w), multiples of 1/255 in [0, 1].
            gt (Tensor): (B, C, s * h, s * w), likewise.

        Returns:
            tuple: LR and HR images of the batch to train on.

        Raises:
            ValueError: B does not divide the size of the pool, as stock asserts.
        """
        batch = lq.shape[0]
        if self.size % batch:
            raise ValueError(f'queue_size {self.size} is not a multiple of the batch {batch}.')
        if self.pairs is None:
            low, high = (x.new_empty(self.size, *x.shape[1:], dtype=torch.uint8) for x in (lq, gt))
            self.pairs = low, high
        if self.filled < self.size:
            places = torch.arange(self.filled, self.filled + batch)
            self.filled += batch
            out = lq, gt
        else:
            places = torch.randperm(self.size)[:batch]
            low, high = (kept[places.to(kept.device)].float() / 255 for kept in self.pairs)
            out = low, high
        for kept, new in zip(self.pairs, (lq, gt), strict=True):
            kept[places.to(kept.device)] = (new * 255).round().to(torch.uint8)
        return out

    def state(self) -> dict[str, Tensor]:
        """What a run needs to go on with the same pairs; empty before the first batch."""
        if self.pairs is None:
            return {}
        return {name: kept[: self.filled].cpu() for name, kept in zip(('lq', 'gt'), self.pairs, strict=True)}

    def load(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Go on from `state()`; of a pool that was larger the first pairs are taken, a smaller one is filled up."""
        if not state:
            return
        self.filled = min(self.size, state['lq'].shape[0])
        pairs = []
        for name in ('lq', 'gt'):
            kept = torch.empty(self.size, *state[name].shape[1:], dtype=torch.uint8, device=device)
            kept[: self.filled] = state[name][: self.filled].to(device)
            pairs.append(kept)
        self.pairs = pairs[0], pairs[1]
