"""BaseModel: what it saves and takes back so that a run can go on, and its steps in between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basicsr.models.base_model import BaseModel
    from torch import nn
    from torch.optim import Optimizer


def init_base_model(self: BaseModel, opt: dict[str, Any]) -> None:
    """`BaseModel.__init__`, which declares the fields that the functions below use, too."""
    from dukd_basicsr.compat.rebind import stock
    from dukd_basicsr.training.state import declare_fields

    stock(init_base_model)(self, opt)
    declare_fields(self)


def training_state(self: BaseModel) -> dict[str, Any]:
    """`BaseModel.training_state`, which BasicSR has not: a model that has more to save completes it with super()."""
    from dukd_basicsr.training.state import collect_state

    return collect_state(self)


def save_network(
    self: BaseModel,
    net: nn.Module | list[nn.Module],
    net_label: str,
    current_iter: int,
    param_key: str | list[str] = 'params',
) -> None:
    """`BaseModel.save_network`: write `models/<label>_<iter>.pth`; rank 0 only.

    Defect: basicsr/models/base_model.py:225-240 writes in place, tries three times and then trains on without a
    checkpoint ("Just ignore it"); a kill leaves half a file under the final name.
    Symptom: a full disk costs every later checkpoint, a kill the newest.
    Threads: open-mmlab/mmagic#876.
    Here: `training.checkpoints.save`, and the file's SHA-256 goes into the training state of that iteration.

    Raises:
        RunError: It cannot be written.
    """
    from dukd_basicsr.training.state import save_networks

    if self.opt['rank'] == 0:
        nets = net if isinstance(net, list) else [net]
        keys = param_key if isinstance(param_key, list) else [param_key]
        save_networks(self, dict(zip(keys, nets, strict=True)), net_label, current_iter)


def save_training_state(self: BaseModel, epoch: int, current_iter: int) -> None:
    """`BaseModel.save_training_state`: write `training_states/<iter>.state`, which completes a generation; rank 0 only.

    Defect: basicsr/models/base_model.py:315-338 as `save_network`; and it holds neither the best metrics nor the
    position in the epoch, so a resumed run forgets "Best:" and sees the epoch's first samples again.
    Symptom: another run after every interruption.
    Threads: XPixelGroup/BasicSR#679.
    Here: what `training_state` returns too, and the names and SHA-256 of the networks saved before it.

    Raises:
        RunError: It cannot be written.
    """
    from dukd_basicsr.training.state import save_state

    if current_iter != -1 and self.opt['rank'] == 0:
        save_state(self, epoch, current_iter)


def resume_training(self: BaseModel, resume_state: dict[str, Any]) -> None:
    """`BaseModel.resume_training`: take back all that `save_training_state` has written.

    Defects: those of `save_training_state`; basicsr/models/base_model.py:349-350 asserts on a state of another model.

    Raises:
        UserError: The state has other optimizers or schedulers than the options.
    """
    from dukd_basicsr.training.state import load_state

    load_state(self, resume_state)


def get_optimizer(self: BaseModel, optim_type: str, params: Any, lr: float, **kwargs: Any) -> Optimizer:
    """`BaseModel.get_optimizer`: torch's optimizers, fused where it has them, under a guard.

    Defect: basicsr/models/base_model.py:103-109 makes plain Adam, knows no other, and steps on any gradient.
    Symptom: one NaN batch destroys the weights, and training goes on with them for days; AdamW, which BasicSR's master
    and its descendants read, is `not supperted yet`.
    Threads: sanghyun-son/EDSR-PyTorch#214, swz30/Restormer#121.
    Here: one kernel for all parameters, which skips the step on the device where a `training.step_guard.StepGuard`
    finds a loss or gradient that is not finite; `train.grad_clip` and `train.nonfinite_limit`. All optimizers of
    BasicSR's master (`training.optimizers`).

    Raises:
        NotImplementedError: An optimizer that torch has not.
    """
    from basicsr.utils import get_root_logger

    from dukd_basicsr.training.optimizers import build_optimizer
    from dukd_basicsr.training.step_guard import StepGuard

    if self.guard is None:
        limit, max_norm = self.opt['train'].get('nonfinite_limit', 10), self.opt['train'].get('grad_clip')
        rank = self.opt['rank'] if self.opt.get('dist') else None
        self.guard = StepGuard(limit, max_norm, get_root_logger().warning, rank)
    optimizer = build_optimizer(optim_type, params, lr, **kwargs)
    self.guard.attach(optimizer)
    return optimizer


def setup_schedulers(self: BaseModel) -> None:
    """`BaseModel.setup_schedulers`, which knows CosineAnnealingLR and TrueCosineAnnealingLR too.

    Defect: basicsr/models/base_model.py:113-124 knows two schedulers, while torch's cosine is what most descendants of
    BasicSR train with.
    Symptom: `Scheduler TrueCosineAnnealingLR is not implemented yet.`
    Threads: none upstream.
    Here: `training.schedulers.CosineAnnealing`.
    """
    from dukd_basicsr.compat.rebind import stock
    from dukd_basicsr.training.schedulers import COSINE, CosineAnnealing

    given = self.opt['train']['scheduler']
    if given['type'] not in COSINE:
        stock(setup_schedulers)(self)
        return
    lowest = given.get('eta_min', 0)
    self.schedulers += [CosineAnnealing(optimizer, given['T_max'], lowest) for optimizer in self.optimizers]


def model_ema(self: BaseModel, decay: float = 0.999) -> None:
    """`BaseModel.model_ema`: ema += (1 - decay) (student - ema), for all parameters at once; a skipped step leaves it.

    Defect: basicsr/models/base_model.py:84-90 launches two small kernels a parameter and looks them up by name.
    Symptom: a GPU waits for the host where the student is small.
    Threads: none upstream.

    Args:
        self (BaseModel): Has `net_g` and `net_g_ema`.
        decay (float): 0 copies the student.
    """
    import torch

    student = [parameter.data for parameter in self.get_bare_model(self.net_g).parameters()]
    ema = [parameter.data for parameter in self.net_g_ema.parameters()]
    if decay == 0:
        torch._foreach_copy_(ema, student)
        return
    difference = torch._foreach_sub(student, ema)
    found = None if self.guard is None else self.guard.found
    torch._foreach_mul_(difference, 1 - decay if found is None else (1 - found) * (1 - decay))
    torch._foreach_add_(ema, difference)
