"""Saving and reloading what a run needs to go on, and the steps in between: BaseModel's methods."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from basicsr.models.base_model import BaseModel
    from torch import nn
    from torch.optim import Optimizer


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
    Here: `generations.save`, and its SHA-256 goes into the training state of that iteration.

    Raises:
        RunError: It cannot be written.
    """
    from dukd_basicsr.training.checkpoints import save

    if self.opt['rank'] != 0:
        return
    nets = net if isinstance(net, list) else [net]
    keys = param_key if isinstance(param_key, list) else [param_key]
    content = {key: _on_cpu(self.get_bare_model(each)) for each, key in zip(nets, keys, strict=True)}
    name = f'{net_label}_{"latest" if current_iter == -1 else current_iter}.pth'
    digest = save(content, Path(self.opt['path']['models'], name))
    saved = vars(self).setdefault('saved_files', {})
    saved[current_iter] = {**saved.get(current_iter, {}), name: digest}


def _on_cpu(net: nn.Module) -> dict[str, Any]:
    return {name.removeprefix('module.'): tensor.detach().cpu() for name, tensor in net.state_dict().items()}


def save_training_state(self: BaseModel, epoch: int, current_iter: int) -> None:
    """`BaseModel.save_training_state`: write `training_states/<iter>.state`, which completes a generation; rank 0 only.

    Defect: basicsr/models/base_model.py:315-338 as `save_network`; and it holds neither the best metrics nor the
    position in the epoch, so a resumed run forgets "Best:" and sees the epoch's first samples again.
    Symptom: another run after every interruption.
    Threads: XPixelGroup/BasicSR#679.
    Here: those two, the counts of the guard, fp16's scale of the loss, and the names and SHA-256 of the networks saved
    before it.

    Raises:
        RunError: It cannot be written.
    """
    from dukd_basicsr.training.checkpoints import FILES, save

    if current_iter == -1 or self.opt['rank'] != 0:
        return
    state = {
        'epoch': epoch,
        'iter': current_iter,
        'optimizers': [optimizer.state_dict() for optimizer in self.optimizers],
        'schedulers': [scheduler.state_dict() for scheduler in self.schedulers],
        'best_metric_results': _plain(getattr(self, 'best_metric_results', {})),
        FILES: vars(self).get('saved_files', {}).pop(current_iter, {}),
        **getattr(self, 'run_state', {}),
    }
    if hasattr(self, 'guard'):
        state['skipped'], state['in_a_row'] = self.guard.skipped, self.guard.in_a_row
    if hasattr(self, 'scaler'):
        state['scaler'] = self.scaler.state_dict()
    save(state, Path(self.opt['path']['training_states'], f'{current_iter}.state'))


def _plain(value: Any) -> Any:
    """Numpy's numbers as Python's, which a safe loader takes."""
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return value.item() if hasattr(value, 'item') else value


def resume_training(self: BaseModel, resume_state: dict[str, Any]) -> None:
    """`BaseModel.resume_training`: optimizers, schedulers, best metrics, the guard's counts and fp16's scale.

    Defects: those of `save_training_state`; basicsr/models/base_model.py:349-350 asserts on a state of another model.

    Raises:
        UserError: The state has other optimizers or schedulers than the options.
    """
    from dukd_basicsr.errors import UserError

    for name in ('optimizers', 'schedulers'):
        ours, theirs = getattr(self, name), resume_state[name]
        if len(ours) != len(theirs):
            raise UserError(f'{self.opt["path"].get("resume_state")} has {len(theirs)} {name}, but this model has '
                            f'{len(ours)}; resume with the options that it was trained with.')  # fmt: skip
    for optimizer, state in zip(self.optimizers, resume_state['optimizers'], strict=True):
        _load_optimizer(self, optimizer, state)
    for scheduler, state in zip(self.schedulers, resume_state['schedulers'], strict=True):
        scheduler.load_state_dict(state)
    if resume_state.get('best_metric_results'):
        self.best_metric_results = resume_state['best_metric_results']
    if hasattr(self, 'guard'):
        self.guard.skipped, self.guard.in_a_row = resume_state.get('skipped', 0), resume_state.get('in_a_row', 0)
    if hasattr(self, 'scaler') and resume_state.get('scaler'):  # empty where the run was not in fp16
        self.scaler.load_state_dict(resume_state['scaler'])


def _load_optimizer(self: BaseModel, optimizer: Optimizer, state: dict[str, Any]) -> None:
    """A state that stock wrote was not of a fused optimizer; ours stays one."""
    from dukd_basicsr.errors import UserError

    how = {key: optimizer.param_groups[0][key] for key in ('fused', 'foreach') if key in optimizer.param_groups[0]}
    groups = [{**group, **how} for group in state['param_groups']]
    try:
        optimizer.load_state_dict({**state, 'param_groups': groups})
    except (ValueError, KeyError) as error:
        raise UserError(f'{self.opt["path"].get("resume_state")} does not fit the student ({error}); resume with the '
                        'options that it was trained with.') from None  # fmt: skip
    _lay_out_as_parameters(optimizer)


def _lay_out_as_parameters(optimizer: Optimizer) -> None:
    """A fused step goes through memory in its order, which `train.channels_last` may have changed since."""
    import torch

    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter).copy_(value)


def get_optimizer(self: BaseModel, optim_type: str, params: Any, lr: float, **kwargs: Any) -> Optimizer:
    """`BaseModel.get_optimizer`: torch's fused Adam under a guard.

    Defect: basicsr/models/base_model.py:103-109 makes plain Adam and steps on any gradient.
    Symptom: one NaN batch destroys the weights, and training goes on with them for days.
    Threads: sanghyun-son/EDSR-PyTorch#214, swz30/Restormer#121.
    Here: one kernel for all parameters, which skips the step on the device where `guard.StepGuard` has found a loss or
    gradient that is not finite; `train.grad_clip` and `train.nonfinite_limit`.

    Raises:
        NotImplementedError: Another optimizer than Adam.
    """
    import torch
    from basicsr.utils import get_root_logger

    from dukd_basicsr.training.step_guard import StepGuard

    if optim_type != 'Adam':
        raise NotImplementedError(f'optimizer {optim_type} is not supported: write Adam.')
    train_opt = self.opt['train']
    if not hasattr(self, 'guard'):
        limit, max_norm = train_opt.get('nonfinite_limit', 10), train_opt.get('grad_clip')
        rank = self.opt['rank'] if self.opt.get('dist') else None
        self.guard = StepGuard(limit, max_norm, get_root_logger().warning, rank)
    optimizer = torch.optim.Adam(params, lr, fused=True, **kwargs)
    self.guard.attach(optimizer)
    return optimizer


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
    found = self.guard.found if hasattr(self, 'guard') else None
    torch._foreach_mul_(difference, 1 - decay if found is None else (1 - found) * (1 - decay))
    torch._foreach_add_(ema, difference)
