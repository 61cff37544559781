"""Data upcycling knowledge distillation (DUKD, arXiv 2309.14162; ICLR 2025 as AugKD)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from basicsr.losses import build_loss
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

from dukd_basicsr.consistency import InvertibleTransform
from dukd_basicsr.models.distill_model import DistillModel
from dukd_basicsr.options import dukd_options
from dukd_basicsr.randomness import step_seed
from dukd_basicsr.upcycling import zoom_in, zoom_out
from dukd_basicsr.views import View


@MODEL_REGISTRY.register()
class DUKDModel(DistillModel):
    """L = L_rec + L_kd + L_dukd (AugKD Eq. 4, with the label consistency of Eq. 6): adds `train.dukd_opt`.

    L_dukd = ||F^-1(S(F(u_zi))) - T(u_zi)||  +  ||F^-1(S(F(u_zo))) - T(u_zo)||  +  ||F^-1(S(F(u_zo))) - x||
    for the zoom-in crops u_zi of the HR patch and the zoomed-out LR patch u_zo, whose ground truth is x itself.
    Label consistency may be asked of the plain pair too: then L_rec and L_kd judge F^-1(S(F(x))).
    Where no term that is on asks the teacher, none is built.
    All draws of a step come from a generator seeded by (manual_seed, rank, iteration).
    """

    def init_losses(self) -> None:
        """Add the criterion of L_dukd and read which parts of it are on."""
        super().init_losses()
        self.dukd = dukd_options(self.opt['train']['dukd_opt'])
        self.cri_dukd = build_loss(self.dukd.loss).to(self.device)
        self.generator = torch.Generator(self.device)

    def build_views(self, current_iter: int) -> dict[str, View]:
        """The plain pair, then the zoom-in crops and the zoomed-out patch where they are on, as far as not brought."""
        self.generator.manual_seed(step_seed(self.opt.get('manual_seed', 0), self.opt.get('rank', 0), current_iter))
        views = super().build_views(current_iter)
        views['lq'] = replace(views['lq'], transform=self._draw('lq', self.lq))
        if self.dukd.zoom_in:
            crops = self.upcycled.get('zoom_in')
            if crops is None:
                size, grid = min(self.lq.shape[-2:]), self.dukd.zoom_in.crops == 'grid'
                crops = zoom_in(self.gt, size, self.dukd.zoom_in.num, self.generator, grid)
            label = self.upcycled.get('zoom_in_label')
            views['zoom_in'] = View(crops, label=label, transform=self._draw('zoom_in', crops))
        if self.dukd.zoom_out:
            small = self.upcycled.get('zoom_out')
            if small is None:
                small = zoom_out(self.lq, self.opt['scale'])
            gt, label = self.lq if self.dukd.zoom_out.gt else None, self.upcycled.get('zoom_out_label')
            transform = self._draw('zoom_out', small)
            views['zoom_out'] = View(small, gt, label, ask_teacher=self.dukd.zoom_out.teacher, transform=transform)
        return views

    def loss_terms(
        self, views: Mapping[str, View], outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Add l_zoom_in, l_zoom_out_kd and l_zoom_out_pix, zero where switched off."""
        zoom_out_gt = views['zoom_out'].gt if self.dukd.zoom_out else None
        return super().loss_terms(views, outputs, labels) | {
            'l_zoom_in': self.term(self.cri_dukd, outputs.get('zoom_in'), labels.get('zoom_in')),
            'l_zoom_out_kd': self.term(self.cri_dukd, outputs.get('zoom_out'), labels.get('zoom_out')),
            'l_zoom_out_pix': self.term(self.cri_dukd, outputs.get('zoom_out'), zoom_out_gt),
        }

    def _draw(self, view: str, u: Tensor) -> InvertibleTransform | None:
        """F for one view, where label consistency is on for it."""
        consistency = self.dukd.consistency
        if consistency is None or view not in consistency.views:
            return None
        batch, channels, height, width = u.shape
        return InvertibleTransform.sample(
            batch, consistency.ops, consistency.prob, self.generator, u.device, channels, (height, width)
        )
