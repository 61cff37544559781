"""What a run asks of this machine, and of the run that it goes on from, looked at before BasicSR creates anything."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.acceleration import find_missing_compiler
from dukd_basicsr.networks.cost import count_parameters
from dukd_basicsr.networks.weights import load_into, read_weights
from dukd_basicsr.training.checkpoints import list_iterations
from dukd_basicsr.training.checks.disk import disk_warning
from dukd_basicsr.training.launch import Launch, find_root, name_run


def check_machine(opt: Mapping[str, Any], launch: Launch, is_train: bool) -> None:
    """Check devices, the backend that connects them, and the folder that is written to.

    Args:
        opt (Mapping): The checked options.
        launch (Launch): The command line.
        is_train (bool): Training, not testing.

    Raises:
        UserError: More GPUs than there are, nccl without one, no compiler for `train.compile`, a folder that cannot be
            written to.
    """
    if opt['num_gpu'] != 'auto' and opt['num_gpu'] > torch.cuda.device_count():
        raise UserError(
            f'num_gpu: {opt["num_gpu"]}, but torch {torch.__version__} sees {torch.cuda.device_count()} CUDA devices; '
            'write num_gpu: 0 for the CPU, or num_gpu: auto.'
        )
    backend = (opt.get('dist_params') or {}).get('backend')
    on_cpu = opt['num_gpu'] == 0 or not torch.cuda.is_available()
    if backend == 'nccl' and on_cpu and launch.launcher != 'none':
        raise UserError(
            f'dist_params.backend: nccl connects GPUs, and num_gpu: {opt["num_gpu"]} puts this run on the CPU; write '
            'backend: gloo, or leave dist_params out.'
        )
    if (opt.get('train') or {}).get('compile'):
        problem = find_missing_compiler(torch.device('cpu' if on_cpu else 'cuda'))
        if problem:
            raise UserError(f'train.compile: {problem}')
    place = Path(find_root(opt, launch, is_train)).absolute()
    if place.exists() and not place.is_dir():
        raise UserError(
            f'{place} is a file, but runs are written to a folder of that name; rename it, or start from another '
            'folder.'
        )
    place = next(each for each in (place, *place.parents) if each.exists())
    if not os.access(place, os.W_OK | os.X_OK):
        raise UserError(f'{place} cannot be written to; start from a folder that can.')


def check_packages(opt: Mapping[str, Any]) -> None:
    """Check what BasicSR imports only when a run has its folders.

    Raises:
        UserError: A logger without its package.
    """
    logger = opt['logger']
    wandb = (logger.get('wandb') or {}).get('project')
    for key, package, off, wanted in (
        ('use_tb_logger', 'tensorboard', 'use_tb_logger: false', logger.get('use_tb_logger')),
        ('wandb.project', 'wandb', 'project: ~', wandb),
    ):
        if wanted and importlib.util.find_spec(package) is None:
            raise UserError(f'logger.{key} needs the package {package}; install it, or write {off}.')


def check_resumed(
    opt: Mapping[str, Any], launch: Launch, student: nn.Module, discriminator: nn.Module | None = None
) -> int:
    """Check that the state to go on from is of these networks: the weights saved with it fit.

    Whether the state is complete is for `compat.load_resume_state` to say.

    Args:
        opt (Mapping): The checked options.
        launch (Launch): The command line.
        student (nn.Module): Takes the weights where they fit.
        discriminator (nn.Module | None): So does this one, where there is one.

    Returns:
        int: The iteration of the state; 0 without one.

    Raises:
        UserError: The weights beside the state are of another network.
    """
    state = _find_state(opt, launch)
    if state is None or not state.stem.isdigit():
        return 0
    key = '--auto_resume' if launch.auto_resume else 'path.resume_state'
    for letter, net in (('g', student), ('d', discriminator)):
        path = state.parent.parent / 'models' / f'net_{letter}_{state.stem}.pth'
        if net is not None and f'network_{letter}' not in (opt['path'].get('ignore_resume_networks') or ()):
            try:
                weights = read_weights(path)
            except UserError:
                return 0
            load_into(net, weights, f'{key}: {path}')
    return int(state.stem)


def _find_state(opt: Mapping[str, Any], launch: Launch) -> Path | None:
    if launch.auto_resume:
        states = Path(os.path.relpath(find_root(opt, launch, True))) / name_run(opt, launch) / 'training_states'
        newest = max(list_iterations(states), default=None)
        if newest is not None:
            return states / f'{newest}.state'
    given = opt['path'].get('resume_state')
    return Path(given).expanduser() if given else None


def warn_of_full_disk(
    opt: Mapping[str, Any], student: nn.Module, done: int, root: Path, discriminator: nn.Module | None = None
) -> None:
    """One line on stderr where the checkpoints from iteration `done` on will not fit on the disk."""
    beside = 0 if discriminator is None else count_parameters(discriminator)
    warning = disk_warning(opt, count_parameters(student), root.absolute(), done, beside)
    if warning and os.environ.get('RANK', '0') == '0':
        sys.stderr.write(f'basicsr train: warning: {warning}\n')
