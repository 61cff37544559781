"""Micro-batches: a step's views in equal parts, so that its memory is that of one part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor, nn

from dukd_basicsr.consistency import InvertibleTransform
from dukd_basicsr.errors import UserError
from dukd_basicsr.views import View


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
            raise UserError(f'train.accumulate: {view.lq.shape[0]} samples of {name} do not make {parts} parts of '
                            'equal size; write an accumulate that divides batch_size_per_gpu.')  # fmt: skip
    return [{name: _part(view, index, parts) for name, view in views.items()} for index in range(parts)]


def share(criterion: nn.Module, parts: int) -> float:
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
    return replace(view, lq=view.lq.tensor_split(parts)[index], gt=cut(view.gt), label=cut(view.label),
                   transform=transform)  # fmt: skip
