"""Optimizers by the names that BasicSR reads: fused where torch has it, so that a step is skipped on the device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from dukd_basicsr.options.schema.optimizers import FUSED, OPTIMIZERS


def build_optimizer(name: str, parameters: Iterable[nn.Parameter], lr: float, **arguments: Any) -> Optimizer:
    """Make one of `OPTIMIZERS` with torch's own arguments.

    Args:
        name (str): Which.
        parameters (Iterable): What it trains.
        lr (float): The learning rate.
        **arguments: Torch's, by its names.

    Raises:
        NotImplementedError: Another name.
    """
    if name not in OPTIMIZERS:
        raise NotImplementedError(f'optimizer {name} is not supported: write one of {", ".join(OPTIMIZERS)}.')
    # The dampening of the first step's momentum is zero in torch, which the buffers of `fill_momentum` would not have.
    fused = name in FUSED and not arguments.get('dampening')
    optimizer: Optimizer = getattr(torch.optim, name)(
        parameters, lr=lr, **arguments, **({'fused': True} if fused else {})
    )
    fill_momentum(optimizer)
    return optimizer


def fill_momentum(optimizer: Optimizer) -> None:
    """Give a fused SGD the zeros that its momentum starts from.

    Without them its first step makes buffers of uninitialised memory (torch/optim/sgd.py, `_fused_sgd`), which stay so
    where that step is skipped. From zeros it computes what torch's first step does: mu * 0 + gradient.
    """
    for group in optimizer.param_groups if isinstance(optimizer, torch.optim.SGD) else ():
        for parameter in group['params'] if group['momentum'] and group['fused'] else ():
            state = optimizer.state[parameter]
            if state.get('momentum_buffer') is None:
                state['momentum_buffer'] = torch.zeros_like(parameter)
