"""Data upcycling knowledge distillation (DUKD, arXiv 2309.14162; ICLR 2025 as AugKD)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from basicsr.losses import build_loss
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

from dukd_basicsr.consistency import InvertibleTransform
from dukd_basicsr.distillation.views import View, pick, weigh_part
from dukd_basicsr.losses.dukd_loss import TERMS, Answer
from dukd_basicsr.models.distill_model import DistillModel
from dukd_basicsr.options import dukd_options
from dukd_basicsr.options.plan import make_up, progress
from dukd_basicsr.options.schema.train import ZoomIn, ZoomOut
from dukd_basicsr.upcycling import zoom_in, zoom_out


@MODEL_REGISTRY.register()
class DUKDModel(DistillModel):
    """L = L_rec + L_kd + p * L_dukd (AugKD Eq. 4; `losses.dukd_loss.DUKDLoss`): adds `train.dukd_opt`.

    Label consistency may be asked of the plain pair too: then L_rec and L_kd judge F^-1(S(F(x))).
    Where no term that is on asks the teacher, none is built.
    All draws of a step come from a generator seeded by (manual_seed, rank, iteration).

    p = 1, or with `schedule` a function of the iteration (`options.plan.progress`); while it is 0 a step is one of
    DistillModel, whose views are all that is built, and the three terms are logged as zeros.

    With `in_batch` a share of the batch's B samples is upcycled in place of being trained on as pairs. Of a uniformly
    drawn order of the samples the first n_0 are the plain pairs, the next n_1 make zoom-in crops, the last n_2 are
    zoomed out (`options.plan.make_up`), and each term is the mean over its own samples. Every sample is among the n_v
    of a view with probability n_v / B, so that the expectation of each term over the orders is

        E[1/n_v * sum of those n_v terms] = 1/n_v * sum over all B of (n_v / B) * term = the mean over all B:

    the very loss above, with the same weights and for any share, from B samples an iteration instead of about 2 B; the
    share decides how much each term varies from step to step, not what is minimised. A pair has 1 / n_0 of a weight
    and a crop 1 / n_1: to give all samples of a batch the same, write zoom_in: {weight: n_1 / n_0}. With `schedule` the
    share grows too, from the least that has all views. Losses of `feature_opt` are those of the n_0 plain pairs; one
    that compares samples with each other has fewer to compare.
    """

    def init_losses(self) -> None:
        """Add L_dukd and read which parts of it are on."""
        super().init_losses()
        self.dukd = dukd_options(self.opt['train']['dukd_opt'])
        loss = {'type': 'DUKDLoss', 'criterion': self.dukd.loss, 'weights': self.dukd.weights}
        self.cri_dukd = build_loss(loss).to(self.device)
        self.progress = 1.0
        self.generator = torch.Generator(self.device)

    def build_views(self, current_iter: int) -> dict[str, View]:
        """The plain pair, then the zoom-in crops and the zoomed-out patch where they are on, as far as not brought."""
        self.generator.manual_seed(self._seed(current_iter, self.opt.get('rank', 0)))
        self.progress = progress(self.dukd.schedule, current_iter)
        plain = super().build_views(current_iter)
        if not self.progress:
            return plain
        samples = self._draw_samples()
        views = {name: view.select(samples['lq']) for name, view in plain.items()}
        views['lq'] = replace(views['lq'], transform=self._draw_transform('lq', views['lq'].lq))
        if self.dukd.zoom_in:
            views['zoom_in'] = self._zoom_in(self.dukd.zoom_in, samples['zoom_in'])
        if self.dukd.zoom_out:
            views['zoom_out'] = self._zoom_out(self.dukd.zoom_out, samples['zoom_out'])
        return views

    def _draw_samples(self) -> dict[str, Tensor | None]:
        """Which samples of the batch make which view, by their places; None for all of them."""
        if self.dukd.in_batch is None:
            return dict.fromkeys(['lq', *self.dukd.parts])
        batch = self.lq.shape[0]
        counts = make_up(batch, self.dukd.in_batch * self.progress, self.dukd.parts, self.accumulate)
        order = torch.rand(batch, generator=self.generator, device=self.generator.device).argsort()
        return dict(zip(counts, order.split(list(counts.values())), strict=True))

    def _zoom_in(self, part: ZoomIn, samples: Tensor | None) -> View:
        """Crops of the HR patches, as brought or cut now."""
        crops, label = (self.upcycled.get(name) for name in ('zoom_in', 'zoom_in_label'))
        if crops is not None:
            view = View(crops, label=label).select(samples)
        else:
            size, grid = min(self.lq.shape[-2:]), part.crops == 'grid'
            view = View(zoom_in(pick(self.gt, samples), size, part.num, self.generator, grid))
        return replace(view, transform=self._draw_transform('zoom_in', view.lq))

    def _zoom_out(self, part: ZoomOut, samples: Tensor | None) -> View:
        """The LR patches shrunk, as brought or made now."""
        small, label = (self.upcycled.get(name) for name in ('zoom_out', 'zoom_out_label'))
        if small is not None:
            view = View(small, self.lq, label).select(samples)
        else:
            lq = pick(self.lq, samples)
            view = View(zoom_out(lq, self.opt['scale']), lq)
        gt = view.gt if part.gt else None
        return replace(view, gt=gt, ask_teacher=part.teacher, transform=self._draw_transform('zoom_out', view.lq))

    def compute_terms(
        self, views: Mapping[str, View], outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Add l_zoom_in, l_zoom_out_kd and l_zoom_out_pix, zero where switched off."""
        answers = {
            name: Answer(outputs[name], labels.get(name), views[name].gt, views[name].transform)
            for name in self.dukd.parts
            if name in views
        }
        found, zero = self.cri_dukd(**answers), self.lq.new_zeros(())
        factor = self.progress * weigh_part(self.cri_dukd, self.accumulate)
        terms = {f'l_{name}': found[name] * factor if name in found else zero for name in TERMS}
        return super().compute_terms(views, outputs, labels) | terms

    def _draw_transform(self, view: str, u: Tensor) -> InvertibleTransform | None:
        """F for one view, where label consistency is on for it."""
        consistency = self.dukd.consistency
        if consistency is None or view not in consistency.views:
            return None
        batch, channels, height, width = u.shape
        return InvertibleTransform.sample(
            batch, consistency.ops, consistency.prob, self.generator, u.device, channels, (height, width)
        )
