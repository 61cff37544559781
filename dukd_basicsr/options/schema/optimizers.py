"""The keys of `train.optim_g` and `train.optim_d`: torch's arguments of the optimizers that BasicSR's master knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from dukd_basicsr.options.schema.fields import key

FUSED = ('Adam', 'AdamW', 'SGD')
"""Those of which torch has a step of one kernel, which can be skipped on the device."""
Name = Literal['Adam', 'AdamW', 'SGD', 'Adamax', 'ASGD', 'RMSprop', 'Rprop']
OPTIMIZERS: tuple[str, ...] = get_args(Name)
"""What BasicSR's master knows, by torch's names."""


@dataclass(frozen=True, kw_only=True)
class Rate:
    """What every optimizer has."""

    lr: float = key('the learning rate, e.g. !!float 1e-4', above=0)


@dataclass(frozen=True, kw_only=True)
class Averages(Rate):
    """What the relatives of Adam have."""

    betas: list[float] = key('decay of the averages', factory=lambda: [0.9, 0.999], least=0, below=1)
    eps: float = key('added to the denominator', default=1e-8, least=0)


@dataclass(frozen=True, kw_only=True)
class Adam(Averages):
    """`train.optim_g`, the usual one."""

    type: Literal['Adam'] = key('the optimizer, e.g. Adam')
    weight_decay: float = key('L2 penalty', default=0, least=0)
    amsgrad: bool = key('the AMSGrad variant', default=False)


@dataclass(frozen=True, kw_only=True)
class AdamW(Averages):
    """`train.optim_g` whose weights shrink by lr times weight_decay a step."""

    type: Literal['AdamW'] = key('the optimizer, e.g. Adam')
    weight_decay: float = key('the share, before lr', default=0.01, least=0)
    amsgrad: bool = key('the AMSGrad variant', default=False)


@dataclass(frozen=True, kw_only=True)
class Adamax(Averages):
    """`train.optim_g` by the largest gradient seen."""

    type: Literal['Adamax'] = key('the optimizer, e.g. Adam')
    weight_decay: float = key('L2 penalty', default=0, least=0)


@dataclass(frozen=True, kw_only=True)
class Sgd(Rate):
    """`train.optim_g` by the gradient itself."""

    type: Literal['SGD'] = key('the optimizer, e.g. Adam')
    momentum: float = key('of the gradients before', default=0, least=0)
    dampening: float = key('of the gradient in the momentum', default=0, least=0)
    weight_decay: float = key('L2 penalty', default=0, least=0)
    nesterov: bool = key("Nesterov's momentum", default=False)


@dataclass(frozen=True, kw_only=True)
class Asgd(Rate):
    """`train.optim_g`, averaged SGD."""

    type: Literal['ASGD'] = key('the optimizer, e.g. Adam')
    lambd: float = key('decay', default=1e-4, least=0)
    alpha: float = key('power of the decay of the rate', default=0.75, least=0)
    t0: float = key('the step from which on it averages', default=1e6, least=0)
    weight_decay: float = key('L2 penalty', default=0, least=0)


@dataclass(frozen=True, kw_only=True)
class RmsProp(Rate):
    """`train.optim_g` by the gradient over its mean square."""

    type: Literal['RMSprop'] = key('the optimizer, e.g. Adam')
    alpha: float = key('decay of the average', default=0.99, least=0)
    eps: float = key('added to the denominator', default=1e-8, least=0)
    weight_decay: float = key('L2 penalty', default=0, least=0)
    momentum: float = key('of the steps before', default=0, least=0)
    centered: bool = key('over the variance instead', default=False)


@dataclass(frozen=True, kw_only=True)
class Rprop(Rate):
    """`train.optim_g` by the sign of the gradient."""

    type: Literal['Rprop'] = key('the optimizer, e.g. Adam')
    etas: list[float] = key(
        'factors of a step that turns, and of one that does not', factory=lambda: [0.5, 1.2], above=0
    )
    step_sizes: list[float] = key('the smallest and the largest step', factory=lambda: [1e-6, 50], least=0)


@dataclass(frozen=True, kw_only=True)
class OtherOptimizer:
    """`train.optim_g` of a type that does not exist: carries the error."""

    OPEN: ClassVar[bool] = True
    type: Name = key('the optimizer, e.g. Adam')


Optimizer = Adam | AdamW | Sgd | Adamax | Asgd | RmsProp | Rprop | OtherOptimizer
"""Of `train.optim_g` and `train.optim_d`, by their `type`."""
