"""Label consistency (AugKD section 3.4, Eqs. 5 and 6): an invertible augmentation F of the student's input.

The student is asked for F^-1(S(F(u))) = T(u): what it answers may not depend on how the input is turned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

INVOLUTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    'invert': lambda x: 1 - x,
    'hflip': lambda x: x.flip(-1),
    'vflip': lambda x: x.flip(-2),
    'transpose': lambda x: x.transpose(-2, -1),
}
"""The paper's operations, each its own inverse."""
OPERATIONS = (*INVOLUTIONS, 'permute', 'translate')
"""And two more, which reviewers asked for: the channels in another order, and a cyclic shift by whole LR pixels."""


@dataclass(frozen=True)
class InvertibleTransform:
    """One composition of operations a sample, drawn by `sample`.

    `inverse(self(x)) == x` for every composition: exactly for operations that move pixels, and for the inversion of
    values that 1 - x keeps exactly (multiples of 2^-24 in [0, 1]; else within half a unit of float32's last place at
    1). The authors' code applies the operations twice in the same order, which turns a sample by 180 degrees whenever
    a transpose meets exactly one flip: 12.6 % of samples at prob 0.3.

    Examples:
        >>> x = torch.rand(2, 3, 8, 8)
        >>> f = InvertibleTransform.sample(2, ops=('hflip', 'vflip', 'transpose'), prob=0.5)
        >>> torch.equal(f.inverse(f(x)), x)
        True
    """

    draws: tuple[tuple[str, Tensor], ...]
    """(operation, draw) in the order of application. The draw of an involution is a bool mask of shape (B,), that of
    permute the channel that each one is taken from, (B, C), and that of translate rows and columns, (B, 2)."""
    size: tuple[int, int] | None = None
    """(H, W) of the inputs; with translate, an output's scale is its size over this one."""

    @classmethod
    def sample(
        cls,
        batch_size: int,
        ops: Sequence[str] = tuple(INVOLUTIONS),
        prob: float = 0.3,
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        channels: int = 3,
        size: tuple[int, int] | None = None,
    ) -> InvertibleTransform:
        """Draw each operation for each sample with probability `prob`, independently.

        A permutation, where drawn, is uniform over all orders of the channels, a translation over all shifts.

        Args:
            batch_size (int): Number of samples B.
            ops (Sequence[str]): Names out of OPERATIONS, in the order of application.
            prob (float): In [0, 1].
            generator (torch.Generator | None): Source of the draws.
            device (torch.device | str | None): Where the draws live; default: the generator's device, else CPU.
            channels (int): C, for permute.
            size (tuple[int, int] | None): (H, W) of the inputs, for translate.

        Raises:
            ValueError: An unknown operation, a probability outside [0, 1], or translate without a size.
        """
        unknown = [op for op in ops if op not in OPERATIONS]
        if unknown:
            raise ValueError(f'unknown operations {unknown}; allowed: {sorted(OPERATIONS)}.')
        if not 0 <= prob <= 1:
            raise ValueError(f'prob must be within [0, 1], got {prob}.')
        if 'translate' in ops and size is None:
            raise ValueError('translate needs the size of the inputs.')
        drawn_on = generator.device if generator is not None else torch.device(device or 'cpu')
        masks = torch.rand(len(ops), batch_size, generator=generator, device=drawn_on) < prob
        draws = []
        for op, mask in zip(ops, masks, strict=True):
            if op == 'permute':
                order = torch.rand(batch_size, channels, generator=generator, device=drawn_on).argsort(1)
                mask = torch.where(mask[:, None], order, torch.arange(channels, device=drawn_on))
            elif op == 'translate':
                share = torch.rand(batch_size, 2, generator=generator, device=drawn_on)
                shift = torch.stack([part * side for part, side in zip(share.unbind(1), size or (), strict=True)], 1)
                mask = shift.long() * mask[:, None]
            draws.append((op, mask.to(device if device is not None else drawn_on)))
        return cls(tuple(draws), size)

    def __call__(self, x: Tensor) -> Tensor:
        """F: (B, C, H, W) with values in [0, 1] to the same shape. Samples that are not square never transpose."""
        for op, draw in self.draws:
            if op == 'permute':
                x = _permute(x, draw)
            elif op == 'translate':
                x = _translate(x, draw)
            else:
                x = _turn(op, x, draw)
        return x

    def inverse(self, y: Tensor) -> Tensor:
        """F^-1 on outputs of any scale: (B, C, s * H, s * W), undoing the operations in reverse order."""
        for op, draw in reversed(self.draws):
            if op == 'permute':
                y = _permute(y, draw.argsort(1))
            elif op == 'translate':
                y = _translate(y, -draw * (y.shape[-1] // self.size[-1] if self.size else 1))
            else:
                y = _turn(op, y, draw)
        return y


# No host synchronisation and no loop over samples in any of these.


def _turn(op: str, x: Tensor, mask: Tensor) -> Tensor:
    """An involution of the samples that the mask marks."""
    if op == 'transpose' and x.shape[-2] != x.shape[-1]:
        return x
    return torch.where(mask.view(-1, 1, 1, 1), INVOLUTIONS[op](x), x)


def _permute(x: Tensor, order: Tensor) -> Tensor:
    """Channel c of sample b taken from channel order[b, c]."""
    return x.gather(1, order[..., None, None].expand_as(x))


def _translate(x: Tensor, shift: Tensor) -> Tensor:
    """Sample b moved down by shift[b, 0] and right by shift[b, 1] pixels, around the edges."""
    for dim, by in ((-2, shift[:, 0]), (-1, shift[:, 1])):
        side = x.shape[dim]
        source = (torch.arange(side, device=x.device) - by[:, None]) % side
        shape = (-1, 1, side, 1) if dim == -2 else (-1, 1, 1, side)
        x = x.gather(dim, source.view(shape).expand_as(x))
    return x
