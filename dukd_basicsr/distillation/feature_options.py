"""An entry of `train.feature_opt`: its loss, and the modules of both networks that it reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn

from dukd_basicsr.distillation.taps import choose_pairs
from dukd_basicsr.distillation.teacher import PROBE_SIZE
from dukd_basicsr.errors import UserError
from dukd_basicsr.losses import TappedLoss
from dukd_basicsr.losses.feature_loss import GOING, NEEDS


@dataclass(frozen=True)
class Pairs:
    """Where one loss reads."""

    student: Sequence[str]
    teacher: Sequence[str]


def build_feature_loss(given: Mapping[str, Any], key: str) -> nn.Module:
    """The loss of an entry.

    Raises:
        UserError: Its class does not take these arguments, or compares two images and cannot read taps.
    """
    arguments = {name: value for name, value in given.items() if name not in ('type', 'taps')}
    try:
        loss: nn.Module = LOSS_REGISTRY.get(given['type'])(**arguments)
    except UserError as error:
        raise UserError(f'{key}: {error}') from None
    except Exception as error:  # a class of anyone's, which raises what it likes
        raise UserError(f'{key}: {given["type"]} cannot be built from these arguments ({error}).') from error
    tapped = isinstance(loss, TappedLoss)
    if given.get('taps') and not tapped:
        raise UserError(
            f'{key}.taps: {given["type"]} compares the outputs of both networks and reads no taps; leave taps out.'
        )
    unknown = [need for need in read_needs(loss) if need not in NEEDS or (need in GOING and not tapped)]
    if unknown:
        raise UserError(
            f'{key}: {given["type"]} needs "{unknown[0]}", which it cannot have; allowed in its `needs`: '
            f'{", ".join(NEEDS if tapped else NEEDS[:4])}.'
        )
    return loss


def read_needs(loss: nn.Module) -> Sequence[str]:
    """What a loss of anyone's says that it needs."""
    return getattr(loss, 'needs', ())


def take_only(teachers: Sequence[nn.Module], key: str) -> nn.Module:
    """The teacher whose features are read.

    Raises:
        UserError: There are several, or none, since its labels come from a cache.
    """
    if not teachers:
        raise UserError(
            f"{key}: the teacher's features are needed, but datasets.train.type: UpcycledImageDataset "
            'brings its outputs only; write PairedImageDataset.'
        )
    if len(teachers) > 1:
        raise UserError(f'{key}: {len(teachers)} teachers in network_t, but features are read from one; leave one.')
    return teachers[0]


def read_pairs(
    given: Mapping[str, Any] | None, student: nn.Module, teacher: nn.Module, loss: TappedLoss, key: str
) -> Pairs:
    """The taps of an entry, or the default ones.

    Raises:
        UserError: Unequal numbers of them, or fewer than the loss needs.
    """
    pairs = (
        Pairs(given['student'], given['teacher'])
        if given
        else Pairs(*choose_pairs(student, teacher, loss.default_taps))
    )
    count = len(pairs.student)
    if count != len(pairs.teacher):
        raise UserError(f'{key}: {count} of the student, but {len(pairs.teacher)} of the teacher; write as many.')
    if count < loss.least_taps:
        found = 'given' if given else f'found in the bodies of {type(student).__name__} and {type(teacher).__name__}'
        raise UserError(
            f'{key}: {type(loss).__name__} needs {loss.least_taps} or more of each network, {count} are '
            f'{found}; write taps: {{student: [...], teacher: [...]}} with names of modules.'
        )
    return pairs


def check_sizes(student: Sequence[torch.Size], teacher: Sequence[torch.Size], pairs: Pairs, what: str) -> None:
    """A network goes on from features of the size that its own have.

    Raises:
        UserError: A pair of taps has maps of unequal sizes.
    """
    for ours, theirs, paths in zip(student, teacher, zip(pairs.student, pairs.teacher, strict=True), strict=True):
        if ours[1:] != theirs[1:]:
            sizes = [f'{size[1]}x{size[2]}' for size in (ours, theirs)]
            raise UserError(
                f'{what} goes on from features, which needs maps of one size, but of an image of '
                f'{PROBE_SIZE}x{PROBE_SIZE} the student\'s "{paths[0]}" is {sizes[0]} and the teacher\'s '
                f'"{paths[1]}" {sizes[1]}; write other taps.'
            )
