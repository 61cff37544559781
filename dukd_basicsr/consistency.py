"""Label consistency (AugKD section 3.2, Eq. 6): an invertible augmentation F of the student's input.

The student is asked for F^-1(S(F(u))) = T(u): what it answers may not depend on how the input is turned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Every operation is its own inverse, so F^-1 is the same operations in reverse order.
OPERATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    'invert': lambda x: 1 - x,
    'hflip': lambda x: x.flip(-1),
    'vflip': lambda x: x.flip(-2),
    'transpose': lambda x: x.transpose(-2, -1),
}


@dataclass(frozen=True)
class InvertibleTransform:
    """One composition of operations a sample, drawn by `sample`.

    `inverse(self(x)) == x` for every composition: exactly for flips and transposes, and for the inversion of values
    that 1 - x keeps exactly (multiples of 2^-24 in [0, 1]; else within half a unit of float32's last place at 1).
    The authors' code applies the operations twice in the same order, which turns a sample by 180 degrees whenever a
    transpose meets exactly one flip: 12.6 % of samples at prob 0.3.
    """

    draws: tuple[tuple[str, Tensor], ...]
    """(operation, bool mask of shape (B,)) in the order of application."""

    @classmethod
    def sample(
        cls,
        batch_size: int,
        ops: Sequence[str] = ('invert', 'hflip', 'vflip', 'transpose'),
        prob: float = 0.3,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
    ) -> InvertibleTransform:
        """Draw each operation for each sample with probability `prob`, independently.

        Args:
            batch_size (int): Number of samples B.
            ops (Sequence[str]): Names out of OPERATIONS, in the order of application.
            prob (float): In [0, 1].
            generator (torch.Generator | None): Source of the draws.
            device (torch.device | str | None): Where the masks live; default: the generator's device, else CPU.

        Raises:
            ValueError: An unknown operation or a probability outside [0, 1].
        """
        unknown = [op for op in ops if op not in OPERATIONS]
        if unknown:
            raise ValueError(f'unknown operations {unknown}; allowed: {sorted(OPERATIONS)}.')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be within [0, 1], got {prob}.')
        drawn_on = generator.device if generator is not None else torch.device(device or 'cpu')
        draws = torch.rand(len(ops), batch_size, generator=generator, device=drawn_on) < prob
        draws = draws.to(device if device is not None else drawn_on)
        return cls(tuple(zip(ops, draws, strict=True)))

    def __call__(self, x: Tensor) -> Tensor:
        """F: (B, C, H, W) with values in [0, 1] to the same shape. Samples that are not square never transpose."""
        return _apply(self.draws, x)

    def inverse(self, y: Tensor) -> Tensor:
        """F^-1 on outputs of any scale: (B, C, s * H, s * W), undoing the operations in reverse order."""
        return _apply(self.draws[::-1], y)


def _apply(draws: Sequence[tuple[str, Tensor]], x: Tensor) -> Tensor:
    """Each operation on the samples that its mask marks; no host synchronisation, no loop over samples."""
    square = x.shape[-2] == x.shape[-1]
    for op, mask in draws:
        if op != 'transpose' or square:
            x = torch.where(mask.view(-1, 1, 1, 1), OPERATIONS[op](x), x)
    return x
