"""A guard before every optimizer step: gradients are clipped, and a step without a finite loss is not made.

Nothing waits for the device: the verdict stays there as the fused optimizer's `found_inf`, and the host reads a copy
of it one step later on CUDA, when the next step's work has been queued.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MethodType
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Optimizer

from dukd_basicsr.errors import RunError
from dukd_basicsr.training.checkpoints import save


@dataclass(frozen=True)
class _Step:
    iteration: int
    batch: Mapping[str, Any]
    terms: Mapping[str, Tensor]
    bad: _Copy


class _Copy:
    """A number on its way to the host: reading it waits for what was queued before it, not for what came after."""

    def __init__(self, value: Tensor) -> None:
        self.value, self.arrived = value, None
        if value.is_cuda:
            self.value = torch.empty_like(value, device='cpu', pin_memory=True).copy_(value, non_blocking=True)
            self.arrived = torch.cuda.current_stream(value.device).record_event()

    def __bool__(self) -> bool:
        if self.arrived is not None:
            self.arrived.synchronize()
        return bool(self.value)


class StepGuard:
    """Skips steps whose loss or gradient is not finite, counts them, and ends the run after too many in a row.

    Args:
        limit (int): Steps in a row without a finite loss or gradient that end the run (`train.nonfinite_limit`).
        max_norm (float | None): Larger gradients are scaled down to this norm (`train.grad_clip`).
        log (Callable): Takes a warning.
        rank (int | None): Of this process among those that train together; None where it trains alone, which a process
            of several does too when it measures what a step needs.
    """

    def __init__(self, limit: int, max_norm: float | None, log: Callable[[str], None], rank: int | None = None) -> None:
        self.limit, self.max_norm, self.log, self.rank = limit, max_norm, log, rank
        self.skipped = 0
        self.in_a_row = 0
        self.found: Tensor | None = None
        self._blamed: Tensor | None = None
        self._loss: Tensor | None = None
        self._scale: Tensor | None = None
        self._judged: dict[Optimizer, tuple[Tensor, Tensor]] = {}
        """Norm of the gradient, and verdict, of steps to come."""
        self._steps: deque[_Step] = deque()

    def attach(self, optimizer: Optimizer) -> None:
        """Look at every step of an optimizer.

        Torch's fused ones take `found_inf` and skip the step on the device. For any other the host waits for the
        verdict, once a step, and does not make it.
        """
        if getattr(optimizer, '_step_supports_amp_scaling', False):
            optimizer.register_step_pre_hook(self._before_step)
            return
        make_step = optimizer.step

        def guarded(this: Any, *args: Any, **kwargs: Any) -> Any:
            return None if self._look(this) else make_step(*args, **kwargs)

        # A method, as torch's schedulers expect, which count its calls.
        optimizer.__dict__['step'] = MethodType(guarded, optimizer)

    def watch(self, loss: Tensor, scale: Tensor | None = None, together: Sequence[Optimizer] = ()) -> None:
        """Take note of the loss of the step to come: an L1 loss can be infinite while its gradient is not.

        Args:
            loss (Tensor): Of the whole step, unscaled.
            scale (Tensor | None): What a GradScaler has multiplied it by for fp16's backward. Above 1, a gradient that
                overflows is how the scaler finds its scale: the step is skipped, but not held against the run.
            together (Sequence[Optimizer]): Those whose steps are all made or none, after this call; their gradients
                are there. Without it each optimizer is judged by its own gradient.
        """
        self._loss, self._scale = loss.detach(), scale
        self._judged = self._judge(together) if together else {}

    def _before_step(self, optimizer: Any, *_: object) -> None:
        optimizer.grad_scale, optimizer.found_inf = None, self._look(optimizer)

    def _look(self, optimizer: Optimizer) -> Tensor:
        """Clip the gradient of a step to come; 1 where the step is not to be made, else 0, on the device."""
        if optimizer not in self._judged:
            self._judged = self._judge([optimizer])
        norm, found = self._judged.pop(optimizer)
        if self.max_norm is not None:
            clip_grads_with_norm_(_list_trained(optimizer), self.max_norm, norm)
        return found

    def _judge(self, optimizers: Sequence[Optimizer]) -> dict[Optimizer, tuple[Tensor, Tensor]]:
        """One verdict on several gradients and the loss, the same on all ranks; each with the norm of its gradient."""
        gradients = [[p.grad for p in _list_trained(optimizer) if p.grad is not None] for optimizer in optimizers]
        norms = [get_total_norm(each) for each in gradients]
        verdict = self._verdict(norms[0] if len(norms) == 1 else get_total_norm(norms))
        if self.rank is not None:
            torch.distributed.all_reduce(verdict, torch.distributed.ReduceOp.MAX)  # losses differ between ranks
        found, blamed = verdict.unbind()
        self.found = found if self.found is None else torch.maximum(self.found, found)
        self._blamed = blamed if self._blamed is None else torch.maximum(self._blamed, blamed)
        self._loss = self._scale = None
        return {optimizer: (norm, found) for optimizer, norm in zip(optimizers, norms, strict=True)}

    def _verdict(self, norm: Tensor) -> Tensor:
        """(2,): whether the step is to be skipped, and whether that counts; 1 or 0 each."""
        found = ~torch.isfinite(norm)
        blamed = found if self._scale is None else found & (self._scale <= 1)
        if self._loss is not None:
            lost = ~torch.isfinite(self._loss)
            found, blamed = found | lost, blamed | lost
        return torch.stack([found, blamed]).to(torch.float32)

    def after_step(self, iteration: int, batch: Mapping[str, Any], terms: Mapping[str, Any], folder: Path) -> None:
        """Take note of a step, and read what became of it (on CUDA: of the one before).

        Args:
            iteration (int): The step.
            batch (Mapping): What the loader gave it.
            terms (Mapping): The loss terms by name.
            folder (Path): Where the batch is saved if the run ends here.

        Raises:
            RunError: `limit` steps in a row were skipped; names the iteration, the terms and the saved batch.
        """
        if self.found is not None and self._blamed is not None:
            tensors = {name: value for name, value in terms.items() if isinstance(value, Tensor)}
            self._steps.append(_Step(iteration, batch, tensors, _Copy(self._blamed)))
            lag = int(self.found.is_cuda)
            self.found = self._blamed = None
            while len(self._steps) > lag:
                self._read(self._steps.popleft(), folder)

    def _read(self, step: _Step, folder: Path) -> None:
        if not step.bad:
            self.in_a_row = 0
            return
        self.skipped += 1
        self.in_a_row += 1
        wrong = [name for name, value in step.terms.items() if not torch.isfinite(value).all()]
        what = f'{", ".join(wrong)} not finite' if wrong else 'the gradient is not finite'
        self.log(f'Iteration {step.iteration}: {what}; the step is skipped ({self.skipped} so far).')
        if self.in_a_row >= self.limit:
            path = folder / f'nonfinite_{step.iteration}{f"_rank{self.rank}" if self.rank else ""}.pth'
            tensors = {name: value for name, value in step.batch.items() if isinstance(value, (Tensor, list, str))}
            save({'iter': step.iteration, 'batch': tensors, 'terms': dict(step.terms)}, path)
            raise RunError(
                f'{self.limit} steps in a row without a finite loss, the last at iteration '
                f'{step.iteration}: {what}; its batch is in {path}. Lower train.optim_g.lr, set '
                'train.grad_clip, or look at the images; then go on with --auto_resume.'
            )


def _list_trained(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group['params'] if p.grad is not None]
