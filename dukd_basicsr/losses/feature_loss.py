"""What the losses of tapped features share: pairs of maps, adapters where widths differ, one size."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import skip_init

GOING = ('student_from', 'teacher_from')
NEEDS = ('lq', 'gt', 'output', 'label', *GOING)
"""What a loss may ask for, always of the plain view: the input `lq` (B, C, H, W); the ground truth `gt`, the student's
`output` and the teacher's `label`, (B, C, s * H, s * W) each; and, for a `TappedLoss`, each network as a `Going`."""
Going = Callable[[int, Tensor], Tensor]
"""A network that goes on from given features: from the number of a tap, and features (B, C_l, H_l, W_l) of its width
and size in place of what it answered there, to its image (B, C, s * H, s * W). Gradients reach the features, and the
student's parameters."""


class TappedLoss(nn.Module):
    """A loss that reads taps of both networks, pair by pair: its adapters, its random choices, and what it needs.

    `forward` takes the features of the student's taps, with their graph, those of the teacher's, and what `needs` names
    as keyword arguments; it answers a scalar.

    Args:
        loss_weight (float): The factor of this term.
    """

    same_width: bool = True
    """Whether maps of the same width are compared, so that adapters are built where widths differ."""
    least_taps: ClassVar[int] = 1
    """How many pairs of taps the loss needs."""
    default_taps: ClassVar[int] = 3
    """How many pairs it has where the options name none."""
    needs: ClassVar[tuple[str, ...]] = ()
    """Of `NEEDS`. A registered loss of the two outputs may have this attribute too."""

    def __init__(self, loss_weight: float = 1.0) -> None:
        super().__init__()
        self.loss_weight = loss_weight
        self.adapters = nn.ModuleList()

    def connect(self, student: Sequence[int], teacher: Sequence[int], generator: torch.Generator | None = None) -> None:
        """Build the adapters.

        Args:
            student (Sequence[int]): Channels of the student's taps.
            teacher (Sequence[int]): Channels of the teacher's, as many.
            generator (torch.Generator | None): Draws their weights, so that all ranks begin with the same.
        """
        pairs = zip(student, teacher, strict=True)
        self.adapters = nn.ModuleList(
            build_adapter(s, t, generator) if self.same_width and s != t else nn.Identity() for s, t in pairs
        )

    def draw(self, step: int, process: int) -> None:
        """Prepare the random choices of a step; called once before it, also where it is made in parts.

        Args:
            step (int): A seed, the same in all processes.
            process (int): A seed of this process.
        """

    def match(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Iterator[tuple[nn.Module, Tensor, Tensor]]:
        """Each tap's adapter, the student's map, and the teacher's in that map's size, detached."""
        adapters = self.adapters or [nn.Identity() for _ in student]
        for adapt, s, t in zip(adapters, student, teacher, strict=True):
            yield adapt, s, resize_map(t.detach(), s.shape[-2:])


class FeatureLoss(TappedLoss):
    """loss_weight * sum over the taps of `compare`; a method is a subclass that defines it, registered.

    The teacher's features carry no gradient. Where its map has another size, it is resized to the student's; where it
    has another width, a 1x1 convolution maps the student's channels to its, trained with the student and left out of
    the student's checkpoint.

    Args:
        loss_weight (float): The factor of this term.
    """

    def forward(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
        """The weighted loss.

        Args:
            student (Sequence[Tensor]): (B, C_l, H_l, W_l) for each tap l, with its graph.
            teacher (Sequence[Tensor]): As many, of any width and size.

        Returns:
            Tensor: A scalar.
        """
        terms = [self.compare(adapt(s), t) for adapt, s, t in self.match(student, teacher)]
        return self.loss_weight * torch.stack(terms).sum()

    def compare(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The loss of one pair of maps, (B, C, H, W) each, as a scalar: what a subclass defines."""
        raise NotImplementedError(f'{type(self).__name__} defines no compare(student, teacher).')


def build_adapter(inputs: int, outputs: int, generator: torch.Generator | None = None, side: int = 1) -> nn.Conv2d:
    """A convolution that starts as torch's do, but with a bias of 0 and no draw from the global generator.

    Args:
        inputs (int): Channels before.
        outputs (int): Channels after.
        generator (torch.Generator | None): Draws the weights.
        side (int): Of the kernel, odd; sizes stay.
    """
    convolution: nn.Conv2d = skip_init(nn.Conv2d, inputs, outputs, side, padding=side // 2)
    bound = (inputs * side**2) ** -0.5
    nn.init.uniform_(convolution.weight, -bound, bound, generator=generator)
    nn.init.zeros_(cast('Tensor', convolution.bias))
    return convolution


def resize_map(teacher: Tensor, size: torch.Size) -> Tensor:
    """A map in another size, bilinearly and antialiased; itself where it has that size.

    It is the teacher's that is resized: no gradient passes, for which CUDA has no deterministic kernel.
    """
    if teacher.shape[-2:] == size:
        return teacher
    return F.interpolate(teacher, list(size), mode='bilinear', antialias=True, align_corners=False)
