"""The adversarial term of a student, and its discriminator's own training: `train.gan_opt`, `network_d`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from dukd_basicsr.networks.acceleration import reduce_precision

if TYPE_CHECKING:
    from basicsr.models.base_model import BaseModel


class Adversary:
    """A discriminator and the loss that the student and it train each other by, as in BasicSR's SRGANModel.

    A step asks it three times: about the student's output, through which the student learns (`judge`), then about the
    ground truth and about that output without its graph, from which it learns itself (`learn`). They are three passes,
    as in stock, because batch norm and spectral norm change with every pass. Not relativistic, unlike ESRGANModel.

    Args:
        net (nn.Module): Maps (B, C, H, W) to scores of any shape, the larger the more real; bare, or wrapped for
            several devices.
        criterion (nn.Module): BasicSR's GANLoss, or one that is called as it is.
        dtype (torch.dtype | None): What the discriminator is computed in, see `reduce_precision`; losses are fp32.
        every (int): `train.net_d_iters`: the student is trained in each iteration that this divides.
        first (int): `train.net_d_init_iters`: the student is trained after so many iterations only.
    """

    def __init__(
        self, net: nn.Module, criterion: nn.Module, dtype: torch.dtype | None = None, every: int = 1, first: int = 0
    ) -> None:
        self.net, self.criterion, self.dtype = net, criterion, dtype
        self.every, self.first = every, first
        # What the student is judged by needs no gradient of its own, so DDP has nothing to do there.
        self.bare: nn.Module = net.module if isinstance(net, DistributedDataParallel) else net
        self._shown: tuple[Tensor, Tensor] | None = None
        self._before: list[Tensor] = []

    def trains_student(self, iteration: int) -> bool:
        """Whether the student is trained in an iteration; the discriminator is in all of them."""
        return iteration % self.every == 0 and iteration > self.first

    def show(self, real: Tensor, output: Tensor) -> None:
        """Begin a step: what the discriminator will be shown in it.

        Args:
            real (Tensor): Ground truth, (B, C, H, W) in [0, 1].
            output (Tensor): The student's answer, of the same shape; its graph is left out.
        """
        self._shown = real, output.detach()
        self._before = [buffer.clone() for buffer in self.bare.buffers()]

    def judge(self, output: Tensor) -> Tensor:
        """Return the student's weighted loss, 0-dimensional; no gradient reaches the discriminator.

        Args:
            output (Tensor): The student's answer, (B, C, H, W), with its graph.
        """
        with _freeze(self.bare):
            scores = reduce_precision(self.bare, self.dtype)(output)
            loss: Tensor = self.criterion(scores, True, is_disc=False)
        return loss

    def learn(self, scale: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        """Add the discriminator's gradients about what it was shown.

        Args:
            scale (Callable): A GradScaler's `scale`, which a loss passes before its backward.

        Returns:
            dict[str, Tensor]: Losses l_d_real and l_d_fake, mean scores out_d_real and out_d_fake; 0-dimensional and
                without a graph.

        Raises:
            RuntimeError: Nothing was shown.
        """
        if self._shown is None:
            raise RuntimeError('show() comes first')
        (real, fake), self._shown = self._shown, None
        # The first gradients stay here: the second backward exchanges the sum of both between ranks.
        with self.net.no_sync() if isinstance(self.net, DistributedDataParallel) else nullcontext():
            terms = self._learn_from(real, 'real', scale)
        return terms | self._learn_from(fake, 'fake', scale)

    def _learn_from(self, images: Tensor, kind: str, scale: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
        scores = reduce_precision(self.net, self.dtype)(images)
        loss = self.criterion(scores, kind == 'real', is_disc=True)
        scale(loss).backward()
        return {f'l_d_{kind}': loss.detach(), f'out_d_{kind}': scores.detach().mean()}

    def undo(self, skipped: Tensor) -> None:
        """Put back what the passes have changed, statistics of norms, where a step was skipped; nothing is waited for.

        Args:
            skipped (Tensor): 1 or 0, on the discriminator's device.
        """
        for buffer, before in zip(self.bare.buffers(), self._before, strict=True):
            buffer.copy_(torch.where(skipped > 0, before, buffer))
        self._before = []


def build_adversary(model: BaseModel, dtype: torch.dtype | None) -> Adversary | None:
    """Build `network_d` on the model's devices, load its weights and set `model.net_d`; None without `train.gan_opt`.

    Args:
        model (BaseModel): That trains the student.
        dtype (torch.dtype | None): What the discriminator is computed in.

    Raises:
        UserError: Its weights cannot be read or do not fit.
    """
    train, paths = model.opt['train'], model.opt['path']
    if not train.get('gan_opt'):
        return None
    net: Any = model.model_to_device(build_network(model.opt['network_d']))
    model.print_network(net)
    if paths.get('pretrain_network_d') is not None:
        strict, key = paths.get('strict_load_d', True), paths.get('param_key_d', 'params')
        model.load_network(net, paths['pretrain_network_d'], strict, key)
    model.net_d = net.train()
    criterion = build_loss(train['gan_opt']).to(model.device)
    return Adversary(net, criterion, dtype, train.get('net_d_iters', 1), train.get('net_d_init_iters', 0))


@contextmanager
def _freeze(net: nn.Module) -> Iterator[None]:
    """While a pass is recorded, no parameter asks for a gradient."""
    trained = [parameter for parameter in net.parameters() if parameter.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_()
