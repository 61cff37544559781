"""Learning rates by iteration, beside BasicSR's own."""

from __future__ import annotations

import math
from typing import Any, get_args

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from dukd_basicsr.options.schema.train import CosineName

COSINE: tuple[str, ...] = get_args(CosineName)
"""The names of the one below."""


class CosineAnnealing(LRScheduler):
    """Half a cosine from the first rate to eta_min in t_max iterations, and back in as many: torch's CosineAnnealingLR.

    Torch computes each rate from the one before, so that whatever BasicSR's warm-up has set would stay a factor of all
    that follow; here it is a function of the iteration alone:

        eta_min + (lr - eta_min) * (1 + cos(pi * t / t_max)) / 2

    Args:
        optimizer (Optimizer): Whose rates are set.
        t_max (float): Iterations until eta_min, above 0; `T_max` in options files.
        eta_min (float): The lowest rate.
        last_epoch (int): The iteration to go on from; -1 for the start.
    """

    def __init__(self, optimizer: Optimizer, t_max: float, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.t_max, self.eta_min = t_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        """The rate of each group of parameters at this iteration."""
        left = (1 + math.cos(math.pi * self.last_epoch / self.t_max)) / 2
        return [self.eta_min + (rate - self.eta_min) * left for rate in self.base_lrs]
