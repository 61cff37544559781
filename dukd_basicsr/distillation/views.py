"""Views: the inputs of one step, batched by size so that each network sees each size once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from dukd_basicsr.consistency import InvertibleTransform
from dukd_basicsr.errors import UserError


@dataclass(frozen=True)
class View:
    """One input that the student is trained on."""

    lq: Tensor
    """Clean input, (B, C, H, W) in [0, 1]; B may differ between views."""
    gt: Tensor | None = None
    """Ground truth, (B, C, s * H, s * W), where there is one."""
    label: Tensor | None = None
    """The teacher's answer to `lq`, same shape as `gt`, where it is known already."""
    ask_teacher: bool = True
    """Whether a term needs the label: the teacher is not run on a view without."""
    real: Tensor | None = None
    """What a discriminator is shown as real, same shape as `gt`, where it is not `gt`."""
    transform: InvertibleTransform | None = None
    """F of the student's input; the teacher always sees the clean one."""

    def select(self, samples: Tensor | None) -> View:
        """The view of some samples, before it has a transform.

        Args:
            samples (Tensor | None): Their places, int64 of shape (n,); None for all of them.
        """
        beside = (self.gt, self.label, self.real)
        gt, label, real = (None if each is None else pick(each, samples) for each in beside)
        return replace(self, lq=pick(self.lq, samples), gt=gt, label=label, real=real)

    def transform_input(self) -> Tensor:
        """F(u), what the student sees."""
        return self.lq if self.transform is None else self.transform(self.lq)

    def turn_back(self, output: Tensor) -> Tensor:
        """F^-1 of the student's output, (B, C, s * H, s * W): its answer for the clean input."""
        return output if self.transform is None else self.transform.inverse(output)


def pick(tensor: Tensor, samples: Tensor | None) -> Tensor:
    """The samples of (B, ...) at these places, int64 of shape (n,); all as they are for None."""
    return tensor if samples is None else tensor[samples]


def forward_by_size(net: Callable[[Tensor], Tensor], inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One pass of `net` for each spatial size among the inputs, instead of one for each input.

    Args:
        net (Callable): Maps (B, C, H, W) to (B, ...), sample by sample.
        inputs (Mapping[str, Tensor]): Tensors of shape (B_i, C, H_i, W_i) by name.

    Returns:
        dict[str, Tensor]: net's output for each input.
    """
    outputs: dict[str, Tensor] = {}
    for size in dict.fromkeys(x.shape[-2:] for x in inputs.values()):  # in order of appearance, so always the same
        names = [name for name, x in inputs.items() if x.shape[-2:] == size]
        parts = [inputs[name] for name in names]
        together = net(torch.cat(parts) if len(parts) > 1 else parts[0])
        outputs.update(zip(names, together.split([part.shape[0] for part in parts]), strict=True))
    return outputs


def label_views(teacher: Callable[[Tensor], Tensor], views: Mapping[str, View]) -> dict[str, Tensor]:
    """The teacher's label of each view that has a term for it.

    Args:
        teacher (Callable): Called on clean inputs, outside autograd, and only where a label is needed and unknown.
        views (Mapping[str, View]): The views of the step by name.

    Returns:
        dict[str, Tensor]: Label by the name of the view; views that need none are left out.
    """
    known = {name: view.label for name, view in views.items() if view.ask_teacher and view.label is not None}
    unknown = {name: view.lq for name, view in views.items() if view.ask_teacher and view.label is None}
    with torch.no_grad():
        return known | forward_by_size(teacher, unknown)


def answer_views(student: Callable[[Tensor], Tensor], views: Mapping[str, View]) -> dict[str, Tensor]:
    """S(F(u)) of each view u by name, to be turned back by who compares it. Carries the student's graph."""
    return forward_by_size(student, {name: view.transform_input() for name, view in views.items()})


def split(views: Mapping[str, View], parts: int) -> list[dict[str, View]]:
    """Cut every view of a step into parts of as many samples, with the draws that were made for them.

    Args:
        views (Mapping[str, View]): By name; view v has B_v samples.
        parts (int): How many; 1 returns the views as they are.

    Returns:
        list[dict[str, View]]: `parts` times all views by name, of B_v / parts samples each, in their order. Tensors
            share the memory of the given ones.

    Raises:
        UserError: `parts` does not divide a B_v, so that parts would weigh differently.
    """
    if parts == 1:
        return [dict(views)]
    for name, view in views.items():
        if view.lq.shape[0] % parts:
            raise UserError(
                f'train.accumulate: {view.lq.shape[0]} samples of {name} do not make {parts} parts of '
                'equal size; write an accumulate that divides batch_size_per_gpu.'
            )
    return [{name: _part(view, index, parts) for name, view in views.items()} for index in range(parts)]


def weigh_part(criterion: nn.Module, parts: int) -> float:
    """What a criterion's value for one part is to be multiplied by, so that the parts add up to that of the whole.

    Args:
        criterion (nn.Module): A loss over samples; BasicSR's say by `reduction` whether it is a mean or a sum.
        parts (int): How many parts there are.
    """
    return 1.0 if getattr(criterion, 'reduction', 'mean') == 'sum' else 1 / parts


def _part(view: View, index: int, parts: int) -> View:
    def cut(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.tensor_split(parts)[index]

    transform = view.transform
    if transform is not None:
        draws = tuple((op, draw.tensor_split(parts)[index]) for op, draw in transform.draws)
        transform = InvertibleTransform(draws, transform.size)
    gt, label, real = cut(view.gt), cut(view.label), cut(view.real)
    return replace(view, lq=view.lq.tensor_split(parts)[index], gt=gt, label=label, real=real, transform=transform)
