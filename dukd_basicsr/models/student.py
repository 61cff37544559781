"""What DistillModel's student is beside a network: precision, memory format, EMA, int8, and images of any size."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import Any

import torch
from basicsr.archs import build_network
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.acceleration import lay_out_channels_last, reduce_precision
from dukd_basicsr.networks.fake_int8 import FakeInt8, find_or_calibrate
from dukd_basicsr.networks.onnx.ranges import KEY, to_tensors


class StudentModel(SRModel):
    """SRModel whose student is computed as `train.amp`, `channels_last`, `int8_opt` and its windows ask for.

    Not registered: it has no step of its own.
    """

    lq: Tensor
    gt: Tensor
    output: Tensor
    dtype: torch.dtype | None
    """What the student is computed in, see `reduce_precision`."""
    size_requirement: padding.SizeRequirement
    int8: FakeInt8 | None = None
    """Where the student is trained for int8."""

    def model_to_device(self, net: nn.Module) -> nn.Module:
        """As SRModel; in the options' memory format before DistributedDataParallel lays out its buckets.

        Ranks have equal buffers from the start. DistributedDataParallel would broadcast them again in every forward: a
        step has several before its backward, which torch 2.6 refuses for an index that was written to in between
        ("modified by an inplace operation"; SwinIR's), and validation and checkpoints take those of rank 0 anyway.
        """
        if (self.opt.get('train') or {}).get('channels_last'):
            net = lay_out_channels_last(net)
        net = super().model_to_device(net)
        if isinstance(net, DistributedDataParallel):
            net.broadcast_buffers = False
        return net

    def _make_student(self) -> Callable[[Tensor], Tensor]:
        """The student as it is trained: of the options' precision, on patches of any size."""
        net = reduce_precision(self.net_g, self.dtype) if self.int8 is None else self.int8.wrap(self.net_g)
        return partial(padding.forward, net, requirement=self.size_requirement)

    def _skip_reducing(self) -> AbstractContextManager[None]:
        """While gradients of parts add up, ranks need not exchange them: the last part's backward does it for all."""
        return self.net_g.no_sync() if isinstance(self.net_g, DistributedDataParallel) else nullcontext()

    def test(self) -> None:
        """As SRModel, on an image of any size: networks with windows see it padded."""
        lq = self.lq
        padded = padding.pad(lq, padding.find_size_requirement(self.net_g))
        self.lq = padded
        compiled = (self.opt.get('train') or {}).get('compile')
        eager = torch.compiler.set_stance('force_eager') if compiled else nullcontext()  # images have many sizes
        with eager, nullcontext() if self.int8 is None else self.int8.as_int8():
            super().test()
        self.lq, self.output = lq, padding.crop(self.output, padded, lq)

    def _refuse_data_parallel(self, what: str) -> None:
        if isinstance(self.net_g, DataParallel):
            raise UserError(
                f'train.{what} on several GPUs as one process for each; add --launcher pytorch and start it with '
                'torchrun.'
            )

    def _init_ema(self) -> None:
        """As SRModel, but weights that a checkpoint does not hold start equal in student and EMA.

        Stock draws them anew for the EMA (sr_model.py:43-51 with strict_load_g: false), so that it averages two
        different networks.
        """
        self.ema_decay = self.opt['train'].get('ema_decay', 0)
        if self.ema_decay <= 0:
            return
        get_root_logger().info('Use Exponential Moving Average with decay: %s', self.ema_decay)
        self.net_g_ema: Any = build_network(self.opt['network_g']).to(self.device)
        if self.opt['train'].get('channels_last'):  # all parameters at once need the student's strides
            lay_out_channels_last(self.net_g_ema)
        self.net_g_ema.load_state_dict(self.get_bare_model(self.net_g).state_dict())
        path = self.opt['path'].get('pretrain_network_g')
        if path is not None:
            self.load_network(self.net_g_ema, path, self.opt['path'].get('strict_load_g', True), 'params_ema')
        self.net_g_ema.eval()

    def _init_int8(self) -> None:
        """Ranges of the checkpoint that the student starts from, calibrated where it has none; saved with the student.

        A resumed run starts from its own checkpoint, so its ranges are those that it was begun with.
        """
        if not self.opt['train'].get('int8_opt'):
            return
        self._refuse_data_parallel('int8_opt: students are trained for int8')
        bare = self.get_bare_model(self.net_g)
        ranges = find_or_calibrate(bare, self.opt)
        self.int8 = FakeInt8(ranges, bare, *([self.net_g_ema] if self.ema_decay > 0 else []))
        self.extras['net_g'] = {KEY: to_tensors(ranges)}
