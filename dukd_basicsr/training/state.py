"""The training state of a model: what it saves beside its networks, and takes back when a run goes on.

A model with more to save (adapters, a pool of pairs) completes `training_state` and `resume_training` with super().
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from dukd_basicsr.errors import UserError
from dukd_basicsr.training.checkpoints import FILES, save
from dukd_basicsr.training.optimizers import fill_momentum

if TYPE_CHECKING:
    from basicsr.models.base_model import BaseModel
    from torch import nn
    from torch.optim import Optimizer


def declare_fields(model: BaseModel) -> None:
    """Give a new model the fields that a run adds to BasicSR's, all of them empty."""
    model.guard = None
    """The StepGuard of its optimizers."""
    model.scaler = None
    """The GradScaler of a model that trains in fp16."""
    model.best_metric_results = {}
    """BasicSR's own, by data set and metric."""
    model.position = {}
    """Where the run stands: samples of the epoch, images of the data set, its seed."""
    model.extras = {}
    """What the file of a network holds beside its weights, by the network's label: key to plain values and tensors."""
    model.saved_files = {}
    """By iteration, the networks written of which the state is not: name to SHA-256."""


def collect_state(model: BaseModel) -> dict[str, Any]:
    """Collect what a state holds beside optimizers and schedulers: best metrics, position, skipped steps, fp16's scale.

    Returns:
        dict: Plain values and tensors only, so that a safe loader takes them.
    """
    state = {'best_metric_results': _make_plain(model.best_metric_results), **model.position}
    if model.guard is not None:
        state |= {'skipped': model.guard.skipped, 'in_a_row': model.guard.in_a_row}
    if model.scaler is not None:
        state['scaler'] = model.scaler.state_dict()
    return state


def save_state(model: BaseModel, epoch: int, iteration: int) -> None:
    """Write `training_states/<iteration>.state`, which completes the generation of the networks saved before it.

    Raises:
        RunError: It cannot be written.
    """
    state = {
        'epoch': epoch,
        'iter': iteration,
        'optimizers': [optimizer.state_dict() for optimizer in model.optimizers],
        'schedulers': [scheduler.state_dict() for scheduler in model.schedulers],
        FILES: model.saved_files.pop(iteration, {}),
        **model.training_state(),
    }
    save(state, Path(model.opt['path']['training_states'], f'{iteration}.state'))


def save_networks(model: BaseModel, nets: Mapping[str, nn.Module], label: str, iteration: int) -> None:
    """Write `models/<label>_<iteration>.pth`, and remember its SHA-256 for the state of that iteration.

    Args:
        model (BaseModel): Whose networks they are.
        nets (Mapping): By the key in the file, e.g. params and params_ema.
        label (str): E.g. net_g.
        iteration (int): -1 for the end of the run.

    Raises:
        RunError: It cannot be written.
    """
    name = f'{label}_{"latest" if iteration == -1 else iteration}.pth'
    content = {key: _copy_to_cpu(model.get_bare_model(net)) for key, net in nets.items()}
    content |= model.extras.get(label, {})
    digest = save(content, Path(model.opt['path']['models'], name))
    model.saved_files.setdefault(iteration, {})[name] = digest


def load_state(model: BaseModel, state: Mapping[str, Any]) -> None:
    """Take back what `save_state` has written, or BasicSR itself.

    Raises:
        UserError: The state has other optimizers or schedulers than the options.
    """
    file = model.opt['path'].get('resume_state')
    for name, ours in (('optimizers', model.optimizers), ('schedulers', model.schedulers)):
        if len(ours) != len(state[name]):
            raise UserError(
                f'{file} has {len(state[name])} {name}, but this model has {len(ours)}; resume with the options that '
                'it was trained with.'
            )
    for optimizer, saved in zip(model.optimizers, state['optimizers'], strict=True):
        _load_optimizer(optimizer, saved, file)
    for scheduler, saved in zip(model.schedulers, state['schedulers'], strict=True):
        scheduler.load_state_dict(saved)
    model.best_metric_results = state.get('best_metric_results') or {}
    if model.guard is not None:
        model.guard.skipped, model.guard.in_a_row = state.get('skipped', 0), state.get('in_a_row', 0)
    if model.scaler is not None and state.get('scaler'):  # empty where the run was not in fp16
        model.scaler.load_state_dict(state['scaler'])


def _load_optimizer(optimizer: Optimizer, state: Mapping[str, Any], file: str | None) -> None:
    """A state that BasicSR wrote is not of a fused optimizer; ours stays one."""
    how = {key: optimizer.param_groups[0][key] for key in ('fused', 'foreach') if key in optimizer.param_groups[0]}
    groups = [{**group, **how} for group in state['param_groups']]
    try:
        optimizer.load_state_dict({**state, 'param_groups': groups})
    except (ValueError, KeyError) as error:
        raise UserError(
            f'{file} does not fit the student ({error}); resume with the options that it was trained with.'
        ) from None
    fill_momentum(optimizer)
    _restride(optimizer)


def _restride(optimizer: Optimizer) -> None:
    """A fused step goes through memory in its order, which `train.channels_last` may have changed since."""
    for parameter, state in optimizer.state.items():
        for name, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == parameter.shape:
                state[name] = torch.empty_like(parameter).copy_(value)


def _copy_to_cpu(net: nn.Module) -> dict[str, Any]:
    return {name.removeprefix('module.'): tensor.detach().cpu() for name, tensor in net.state_dict().items()}


def _make_plain(value: Any) -> Any:
    """Numpy's numbers as Python's."""
    if isinstance(value, Mapping):
        return {name: _make_plain(each) for name, each in value.items()}
    return value.item() if hasattr(value, 'item') else value
