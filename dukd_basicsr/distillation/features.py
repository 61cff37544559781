"""The losses of `train.feature_opt`, the taps that they read, and the adapters that are trained with the student."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, cast

import torch
from torch import Tensor, nn

from dukd_basicsr.distillation.continuation import Continuation
from dukd_basicsr.distillation.feature_options import (
    Pairs,
    build_feature_loss,
    check_sizes,
    read_needs,
    read_pairs,
    take_only,
)
from dukd_basicsr.distillation.taps import Taps, find_shapes
from dukd_basicsr.distillation.teacher import PROBE_SIZE
from dukd_basicsr.errors import UserError
from dukd_basicsr.losses import TappedLoss
from dukd_basicsr.losses.feature_loss import GOING


class FeatureTerms(nn.Module):
    """Losses by name between the plain views of student and teacher: of tapped features, or of their outputs.

    Args:
        feature_opt (Mapping): `train.feature_opt`: name to {type, arguments, taps}; a mapping without entries is no
            loss at all.
        student (nn.Module): Bare; gets hooks.
        teachers (Sequence[nn.Module]): Bare; only one can be tapped.
        channels (int): Of an input.
        seed (int): Draws the adapters, the same on all ranks.
        precisions (Sequence[torch.dtype | None]): What student and teacher are computed in, see `reduce_precision`.

    Raises:
        UserError: A module that does not exist or gives no map, unequal numbers of taps, maps of unequal sizes where a
            loss goes on from them, several teachers or none.
    """

    def __init__(
        self,
        feature_opt: Mapping[str, Mapping[str, Any]],
        student: nn.Module,
        teachers: Sequence[nn.Module],
        channels: int,
        seed: int,
        precisions: Sequence[torch.dtype | None] = (None, None),
    ) -> None:
        super().__init__()
        self.losses = nn.ModuleDict()
        self.pairs: dict[str, Pairs] = {}
        for name, given in feature_opt.items():
            loss = build_feature_loss(given, f'train.feature_opt.{name}')
            self.losses[name] = loss
            if isinstance(loss, TappedLoss):
                key = f'train.feature_opt.{name}.taps'
                self.pairs[name] = read_pairs(given.get('taps'), student, take_only(teachers, key), loss, key)
        self.taps: list[Taps] = []
        self.continuations: dict[str, Continuation] = {}
        if self.pairs:
            networks = {'student': student, 'teacher': teachers[0]}
            like = next(student.parameters())
            probe = like.new_zeros(1, channels, PROBE_SIZE, PROBE_SIZE)
            self._connect(networks, probe, torch.Generator().manual_seed(seed))
            self._prepare_continuations(networks, probe, precisions)

    def describe_taps(self) -> list[str]:
        """What is compared, a line for each loss that reads features: 'fakd compares body.0 -> body.1, ...'."""
        return [
            f'{name} compares {", ".join(map(" -> ".join, zip(pairs.student, pairs.teacher, strict=True)))}'
            for name, pairs in self.pairs.items()
        ]

    def __bool__(self) -> bool:
        return len(self.losses) > 0

    def _connect(self, networks: Mapping[str, nn.Module], probe: Tensor, generator: torch.Generator) -> None:
        """Hook both networks, ask each once, and build the adapters on the student's device."""
        found: dict[str, dict[str, torch.Size]] = {}
        for role, net in networks.items():
            paths = [path for pairs in self.pairs.values() for path in getattr(pairs, role)]
            taps = Taps(net, paths, f'the taps of the {role} in train.feature_opt')
            self.taps.append(taps)
            found[role] = dict(zip(paths, find_shapes(net, taps, paths, probe), strict=True))
        for name, pairs in self.pairs.items():
            loss = cast('TappedLoss', self.losses[name])
            student = [found['student'][path] for path in pairs.student]
            teacher = [found['teacher'][path] for path in pairs.teacher]
            if set(loss.needs) & set(GOING):
                check_sizes(student, teacher, pairs, f'train.feature_opt.{name}.taps: {type(loss).__name__}')
            loss.connect([shape[0] for shape in student], [shape[0] for shape in teacher], generator)

    def _prepare_continuations(
        self, networks: Mapping[str, nn.Module], probe: Tensor, precisions: Sequence[torch.dtype | None]
    ) -> None:
        """The networks that some loss lets go on from features."""
        for (role, net), dtype in zip(networks.items(), precisions, strict=True):
            asking = [pairs for name, pairs in self.pairs.items() if f'{role}_from' in read_needs(self.losses[name])]
            paths = [path for pairs in asking for path in getattr(pairs, role)]
            if paths:
                self.continuations[role] = Continuation(net, paths, probe, dtype)

    def draw(self, step: int, process: int) -> None:
        """The random choices of a step's losses, before it.

        Args:
            step (int): A seed, the same in all processes.
            process (int): A seed of this process.
        """
        for loss in self.losses.values():
            if isinstance(loss, TappedLoss):
                loss.draw(step, process)

    @contextmanager
    def record(self, samples: int) -> Iterator[None]:
        """Keep the features of the first so many samples that both networks see."""
        with ExitStack() as stack:
            for taps in self.taps:
                stack.enter_context(taps.record(samples))
            yield

    def forward(self, lq: Tensor, output: Tensor, label: Tensor | None, gt: Tensor | None = None) -> dict[str, Tensor]:
        """The weighted terms, 'l_' and the name of each; inside `reading` only.

        Args:
            lq (Tensor): The plain view, (B, C, H, W).
            output (Tensor): The student's answer, (B, C, s * H, s * W), with its graph.
            label (Tensor | None): The teacher's; None only where there are no losses.
            gt (Tensor | None): The ground truth, where there is one.
        """
        there: dict[str, Any] = {'lq': lq, 'gt': gt, 'output': output, 'label': label}
        terms = {}
        for name, loss in self.losses.items():
            inputs: Sequence[Any] = (output, label)
            if name in self.pairs:
                pairs = self.pairs[name]
                sides = zip(self.taps, (pairs.student, pairs.teacher), strict=True)
                inputs = [[taps.read(path, lq.shape[-2:]) for path in paths] for taps, paths in sides]
                there |= {f'{role}_from': self._continue_from(role, pairs, lq) for role in self.continuations}
            terms[f'l_{name}'] = loss(*inputs, **{need: there[need] for need in read_needs(loss)})
        return terms

    def _continue_from(self, role: str, pairs: Pairs, lq: Tensor) -> Callable[[int, Tensor], Tensor]:
        paths, go_on = getattr(pairs, role), self.continuations[role]
        return lambda place, features: go_on(lq, paths[place], features)

    def list_trained(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name: of adapters, not of a frozen network that a loss asks."""
        return {name: parameter for name, parameter in self.named_parameters() if parameter.requires_grad}

    def copy_trained(self) -> dict[str, Tensor]:
        """Copies of their values on the CPU, for a training state."""
        return {name: parameter.detach().cpu().clone() for name, parameter in self.list_trained().items()}

    @torch.no_grad()
    def load_trained(self, state: Mapping[str, Tensor], what: str) -> None:
        """Go on with the values of a training state.

        Args:
            state (Mapping[str, Tensor]): As `copy_trained` gave it.
            what (str): Where it is from, for the message.

        Raises:
            UserError: It is of other losses.
        """
        own = self.list_trained()
        if {name: value.shape for name, value in own.items()} != {name: value.shape for name, value in state.items()}:
            raise UserError(
                f'{what} has adapters of another train.feature_opt; resume with the options that it was trained with.'
            )
        for name, parameter in own.items():
            parameter.copy_(state[name])

    def average_gradients(self) -> None:
        """The mean over all ranks, as DistributedDataParallel gives it to the student's."""
        gradients = [parameter.grad for parameter in self.list_trained().values() if parameter.grad is not None]
        if gradients:
            together = torch.cat([gradient.flatten() for gradient in gradients])
            torch.distributed.all_reduce(together)
            together /= torch.distributed.get_world_size()
            parts = together.split([gradient.numel() for gradient in gradients])
            torch._foreach_copy_(gradients, [part.view_as(g) for part, g in zip(parts, gradients, strict=True)])
