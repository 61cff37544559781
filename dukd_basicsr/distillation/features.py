"""The losses of `train.feature_opt`, the taps that they read, and the adapters that are trained with the student."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn

from dukd_basicsr.distillation.taps import Taps, default_pairs, widths
from dukd_basicsr.distillation.teacher import PROBE_SIZE
from dukd_basicsr.errors import UserError
from dukd_basicsr.losses import FeatureLoss


@dataclass(frozen=True)
class _Pairs:
    """Where one loss reads."""

    student: Sequence[str]
    teacher: Sequence[str]


class FeatureTerms(nn.Module):
    """Losses by name between the plain views of student and teacher: of tapped features, or of their outputs.

    Args:
        feature_opt (Mapping): `train.feature_opt`: name to {type, arguments, taps}; a mapping without entries is no
            loss at all.
        student (nn.Module): Bare; gets hooks.
        teachers (Sequence[nn.Module]): Bare; only one can be tapped.
        channels (int): Of an input.
        seed (int): Draws the adapters, the same on all ranks.

    Raises:
        UserError: A module that does not exist or gives no map, unequal numbers of taps, several teachers or none.
    """

    def __init__(
        self,
        feature_opt: Mapping[str, Mapping[str, Any]],
        student: nn.Module,
        teachers: Sequence[nn.Module],
        channels: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.losses = nn.ModuleDict()
        self.pairs: dict[str, _Pairs] = {}
        for name, given in feature_opt.items():
            loss = _build(given, f'train.feature_opt.{name}')
            self.losses[name] = loss
            if isinstance(loss, FeatureLoss):
                key = f'train.feature_opt.{name}.taps'
                self.pairs[name] = _pairs(given.get('taps'), student, _one(teachers, key), loss, key)
        self.taps: list[Taps] = []
        if self.pairs:
            self._connect(student, teachers[0], channels, torch.Generator().manual_seed(seed))

    def __bool__(self) -> bool:
        return len(self.losses) > 0

    def _connect(self, student: nn.Module, teacher: nn.Module, channels: int, generator: torch.Generator) -> None:
        """Hook both networks, ask each once, and build the adapters on the student's device."""
        like = next(student.parameters())
        probe = like.new_zeros(1, channels, PROBE_SIZE, PROBE_SIZE)
        found = []
        for role, net in (('student', student), ('teacher', teacher)):
            paths = [path for pairs in self.pairs.values() for path in getattr(pairs, role)]
            taps = Taps(net, paths, f'the taps of the {role} in train.feature_opt')
            self.taps.append(taps)
            found.append(dict(zip(paths, widths(net, taps, paths, probe), strict=True)))
        for name, pairs in self.pairs.items():
            loss = self.losses[name]
            assert isinstance(loss, FeatureLoss)  # noqa: S101  for mypy
            loss.connect([found[0][path] for path in pairs.student], [found[1][path] for path in pairs.teacher],
                         generator)  # fmt: skip

    @contextmanager
    def reading(self, samples: int) -> Iterator[None]:
        """Keep the features of the first so many samples that both networks see."""
        with ExitStack() as stack:
            for taps in self.taps:
                stack.enter_context(taps.reading(samples))
            yield

    def forward(self, lq: Tensor, output: Tensor, label: Tensor | None) -> dict[str, Tensor]:
        """The weighted terms, 'l_' and the name of each; inside `reading` only.

        Args:
            lq (Tensor): The plain view, (B, C, H, W).
            output (Tensor): The student's answer, (B, C, s * H, s * W), with its graph.
            label (Tensor | None): The teacher's; None only where there are no losses.
        """
        terms = {}
        for name, loss in self.losses.items():
            if name in self.pairs:
                sides = zip(self.taps, (self.pairs[name].student, self.pairs[name].teacher), strict=True)
                features = [[taps.read(path, lq.shape[-2:]) for path in paths] for taps, paths in sides]
                terms[f'l_{name}'] = loss(*features)
            else:
                further = (lq,) if getattr(loss, 'needs_lq', False) else ()
                terms[f'l_{name}'] = loss(output, label, *further)
        return terms

    def trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name: of adapters, not of a frozen network that a loss asks."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def trained_state(self) -> dict[str, Tensor]:
        """Copies of their values on the CPU, for a training state."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self.trained().items()}

    @torch.no_grad()
    def load_trained(self, state: Mapping[str, Tensor], what: str) -> None:
        """Go on with the values of a training state.

        Args:
            state (Mapping[str, Tensor]): As `trained_state` gave it.
            what (str): Where it is from, for the message.

        Raises:
            UserError: It is of other losses.
        """
        own = self.trained()
        if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in state.items()}:
            raise UserError(f'{what} has adapters of another train.feature_opt; resume with the options that it was '
                            'trained with.')  # fmt: skip
        for name, parameter in own.items():
            parameter.copy_(state[name])

    def average_gradients(self) -> None:
        """The mean over all ranks, as DistributedDataParallel gives it to the student's."""
        gradients = [parameter.grad for parameter in self.trained().values() if parameter.grad is not None]
        if gradients:
            together = torch.cat([gradient.flatten() for gradient in gradients])
            torch.distributed.all_reduce(together)
            together /= torch.distributed.get_world_size()
            parts = together.split([gradient.numel() for gradient in gradients])
            torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])


def _build(given: Mapping[str, Any], key: str) -> nn.Module:
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
    if given.get('taps') and not isinstance(loss, FeatureLoss):
        raise UserError(f'{key}.taps: {given["type"]} compares the outputs of both networks and reads no taps; leave '
                        'taps out.')  # fmt: skip
    return loss


def _one(teachers: Sequence[nn.Module], key: str) -> nn.Module:
    if not teachers:
        raise UserError(f"{key}: the teacher's features are needed, but datasets.train.type: UpcycledImageDataset "
                        'brings its outputs only; write PairedImageDataset.')  # fmt: skip
    if len(teachers) > 1:
        raise UserError(f'{key}: {len(teachers)} teachers in network_t, but features are read from one; leave one.')
    return teachers[0]


def _pairs(
    given: Mapping[str, Any] | None, student: nn.Module, teacher: nn.Module, loss: FeatureLoss, key: str
) -> _Pairs:
    """The taps of an entry, or the default ones."""
    pairs = _Pairs(given['student'], given['teacher']) if given else _Pairs(*default_pairs(student, teacher))
    count = len(pairs.student)
    if count != len(pairs.teacher):
        raise UserError(f'{key}: {count} of the student, but {len(pairs.teacher)} of the teacher; write as many.')
    if count < loss.least_taps:
        found = 'given' if given else f'found in the bodies of {type(student).__name__} and {type(teacher).__name__}'
        raise UserError(f'{key}: {type(loss).__name__} needs {loss.least_taps} or more of each network, {count} are '
                        f'{found}; write taps: {{student: [...], teacher: [...]}} with names of modules.')  # fmt: skip
    return pairs
