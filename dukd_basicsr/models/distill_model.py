"""Logits distillation: a student trained on its ground truth and on the outputs of a frozen teacher."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn

from dukd_basicsr import padding
from dukd_basicsr.models.teacher_check import log_teacher_metrics
from dukd_basicsr.randomness import step_seed
from dukd_basicsr.teacher import TeacherGroup, build_teacher
from dukd_basicsr.views import View, student_outputs, teacher_labels


@MODEL_REGISTRY.register()
class DistillModel(SRModel):
    """L = L_rec + L_kd, each with its loss_weight (DUKD Eq. 1-2): `train.pixel_opt` and `train.kd_opt`.

    New: network_t and its three keys under path (a frozen teacher outside DDP and autograd; several as lists), l_kd,
    images of any size for networks with windows.
    Inherited: everything of SRModel; without training no teacher is needed or built.
    One total loss, one backward and one optimizer step an iteration. Subclasses add views and terms.
    """

    lq: Tensor
    gt: Tensor
    output: Tensor

    def init_training_settings(self) -> None:
        """Build teacher, EMA, losses, optimizer and scheduler. Called by SRModel.__init__ when training."""
        self.net_g.train()
        self.size_requirement = padding.size_requirement(self.net_g)
        self.net_t = build_teacher(self.opt).to(self.device)
        for teacher in self.net_t.members:
            parameters = sum(parameter.numel() for parameter in teacher.parameters())
            get_root_logger().info(
                'Teacher: %s, frozen, with parameters: %s', type(teacher.net).__name__, f'{parameters:,d}'
            )
        self._init_ema()
        self.init_losses()
        self.setup_optimizers()
        self.setup_schedulers()
        if self.opt['path'].get('resume_state') is None:
            log_teacher_metrics(self.net_t.members, self.opt, self.device)

    def init_losses(self) -> None:
        """Build the criteria; either may be missing, so that training on the teacher alone works."""
        train_opt = self.opt['train']
        self.cri_pix = build_loss(train_opt['pixel_opt']).to(self.device) if train_opt.get('pixel_opt') else None
        self.cri_kd = build_loss(train_opt['kd_opt']).to(self.device) if train_opt.get('kd_opt') else None
        self.cri_perceptual = None

    def build_views(self, current_iter: int) -> dict[str, View]:
        """The inputs of this iteration by name; the plain pair is 'lq'."""
        return {'lq': View(self.lq, gt=self.gt, ask_teacher=self.cri_kd is not None)}

    def loss_terms(
        self, views: Mapping[str, View], outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Weighted terms whose sum is the loss. The same keys every time: ranks reduce them by position."""
        return {
            'l_pix': self.term(self.cri_pix, outputs['lq'], views['lq'].gt),
            'l_kd': self.term(self.cri_kd, outputs['lq'], labels.get('lq')),
        }

    def term(self, criterion: nn.Module | None, output: Tensor | None, target: Tensor | None) -> Tensor:
        """`criterion(output, target)`, or zero where one of the three is switched off."""
        if criterion is None or output is None or target is None:
            return self.lq.new_zeros(())
        return criterion(output, target)

    def optimize_parameters(self, current_iter: int) -> None:
        """One step: views, teacher labels (no graph), student outputs, one loss, one backward, one update."""
        views = self.build_views(current_iter)
        if isinstance(self.net_t, TeacherGroup):
            self.net_t.draw(step_seed(self.opt.get('manual_seed', 0), 0, current_iter))
        labels = teacher_labels(self.net_t, views)
        self.optimizer_g.zero_grad()
        outputs = student_outputs(partial(padding.forward, self.net_g, requirement=self.size_requirement), views)
        terms = self.loss_terms(views, outputs, labels)
        torch.stack(list(terms.values())).sum().backward()
        self.optimizer_g.step()
        # Kept on the device: reading a value would make the host wait for every step, and few steps are logged.
        self.log_dict = {name: value.detach() for name, value in terms.items()}
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)

    def get_current_log(self) -> dict[str, float]:
        """The terms of the last step as numbers, averaged over the ranks; all ranks must call it together."""
        return self.reduce_loss_dict(self.log_dict)

    def test(self) -> None:
        """As SRModel, on an image of any size: networks with windows see it padded."""
        lq = self.lq
        padded = padding.pad(lq, padding.size_requirement(self.net_g))
        self.lq = padded
        super().test()
        self.lq, self.output = lq, padding.crop(self.output, padded, lq)

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
        self.net_g_ema.load_state_dict(self.get_bare_model(self.net_g).state_dict())
        path = self.opt['path'].get('pretrain_network_g')
        if path is not None:
            self.load_network(self.net_g_ema, path, self.opt['path'].get('strict_load_g', True), 'params_ema')
        self.net_g_ema.eval()
