"""DUKD for real photographs: the LR images are made during training, by Real-ESRGAN's degradation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from basicsr.data.transforms import paired_random_crop
from basicsr.utils import USMSharp, get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

from dukd_basicsr.data.degradation import Degradation, Kernels, PairPool, degradation_seed, own_draws
from dukd_basicsr.distillation.views import View
from dukd_basicsr.models.dukd_model import DUKDModel
from dukd_basicsr.options.plan import progress
from dukd_basicsr.upcycling import zoom_in


@MODEL_REGISTRY.register()
class DUKDRealModel(DUKDModel):
    """DUKDModel on the training pairs of BasicSR's RealESRNetModel, from a RealESRGANDataset and on any device.

    Views: the degraded LR patch x with its ground truth y, zoom-in crops of y, and x shrunk once more. Keys at the top
    of the options file are BasicSR's (resize_prob, ..., gt_usm, gt_size, queue_size), and one is new:

    zoom_in_degraded (default true): the crops are cut out of y after it has passed through the whole degradation but
    its down-scaling, at its own size. A student of real photographs is asked about noise, blur and JPEG and never
    about clean pixels; with clean crops one half of its samples would be such, and a small network would spend its
    parameters on them. What zoom-in is for, content at a scale that no pair has, labelled by the teacher alone, stays.
    With false they are cut out of y itself, as in DUKDModel.

    The ground truth of a zoomed-out view would be x, noise and all: write `zoom_out: {gt: false}`, so that only the
    teacher labels it.

    As in stock the whole image of the data set is sharpened (gt_usm), degraded and then cropped. Stock's
    RealESRNetModel keeps the sharpened patch in its pool, its RealESRGANModel the plain one, which it sharpens anew
    when it comes out; here it is the latter, of which 8 bits are enough: the pool is a part of the training state.
    With gan_gt_usm: false a discriminator (`train.gan_opt`) takes the plain patch for real, as in RealESRGANModel.
    Draws are functions of (manual_seed, rank, iteration), and so is the whole run, stopped and resumed or not; but a
    state has the pool of rank 0, with which the other processes of a resumed run go on.
    A batch that brings 'lq' (validation, `--check`) is taken as it is.
    """

    fresh: tuple[Tensor, Kernels] | None = None
    """HR images and kernels of a batch that is not degraded yet."""

    def init_training_settings(self) -> None:
        """As DUKDModel, with what makes the pairs."""
        self.degradation = Degradation(self.opt).to(self.device)
        self.usm_sharpener = USMSharp().to(self.device) if self.opt['gt_usm'] else None
        self.pool = PairPool(self.opt.get('queue_size', 180))
        super().init_training_settings()

    def feed_data(self, data: Mapping[str, Any]) -> None:
        """As DistillModel; the images of a RealESRGANDataset wait for `build_views`, which knows the iteration."""
        if 'kernel1' not in data:
            self.fresh = self.real = None
            super().feed_data(data)
            return
        kernels = Kernels(*(data[name] for name in ('kernel1', 'kernel2', 'sinc_kernel')))
        self.fresh = data['gt'].to(self.device, non_blocking=True), kernels.to(self.device)
        self.upcycled = {}

    def build_views(self, current_iter: int) -> dict[str, View]:
        """Those of DUKDModel, of the pairs that this step's degradation and the pool give."""
        if self.fresh is not None:
            seed = degradation_seed(self.opt.get('manual_seed', 0), self.opt.get('rank', 0), current_iter)
            with own_draws(seed, self.device):
                self._make_pairs(*self.fresh, zoom=progress(self.dukd.schedule, current_iter) > 0)
            self.fresh = None
        return super().build_views(current_iter)

    def _make_pairs(self, images: Tensor, kernels: Kernels, zoom: bool) -> None:
        """Set `lq` and `gt`, and the zoom-in crops where they are asked for and degraded ones."""
        scale = self.opt['scale']
        lq = self.degradation(self._sharpen(images), kernels, scale)
        gt, lq = paired_random_crop(images, lq, self.opt['gt_size'], scale)
        self.lq, gt = self.pool.exchange(lq.contiguous(), gt)
        self.gt = self._sharpen(gt)
        self.real = None if self.opt.get('gan_gt_usm', True) else gt
        part = self.dukd.zoom_in if zoom else None
        if part and self.opt.get('zoom_in_degraded', True):
            # The pool has no kernels; those of the new images are as good as any, one for each sample.
            degraded = self.degradation(self.gt, kernels, scale=1)
            self.upcycled['zoom_in'] = zoom_in(degraded, min(lq.shape[-2:]), part.num, grid=part.crops == 'grid')

    def _sharpen(self, images: Tensor) -> Tensor:
        return images if self.usm_sharpener is None else self.usm_sharpener(images.contiguous())

    def training_state(self) -> dict[str, Any]:
        """As DistillModel, with the pool."""
        return {**super().training_state(), 'pool': self.pool.state()}

    def resume_training(self, resume_state: dict[str, Any]) -> None:
        """As DistillModel, with the pool; one of other patches is left and filled anew."""
        super().resume_training(resume_state)
        pool, side = resume_state.get('pool') or {}, self.opt['gt_size']
        if pool and pool['gt'].shape[-2:] == (side, side):
            self.pool.load(pool, self.device)
        else:
            get_root_logger().warning('The state has no pairs of gt_size: %s: the pool is filled anew.', side)
