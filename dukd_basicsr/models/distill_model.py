"""Logits distillation: a student trained on its ground truth and on the outputs of a frozen teacher."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import partial, reduce
from operator import add
from pathlib import Path
from typing import Any

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from basicsr.models.sr_model import SRModel
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from dukd_basicsr.data.cache.fit import find_misfit
from dukd_basicsr.data.seeds import step_seed
from dukd_basicsr.distillation.features import FeatureTerms
from dukd_basicsr.distillation.ground_truth import GroundTruthTerms
from dukd_basicsr.distillation.teacher import NoTeacher, Teacher, TeacherGroup, build_teacher
from dukd_basicsr.distillation.views import View, answer_views, label_views, split, weigh_part
from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluation.teacher_metrics import log_teacher_metrics
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.acceleration import (
    compile_in_place,
    find_dtype,
    lay_out_channels_last,
    reduce_precision,
    set_tf32,
)
from dukd_basicsr.networks.build import count_input_channels
from dukd_basicsr.networks.fake_int8 import FakeInt8, find_or_calibrate
from dukd_basicsr.networks.onnx.ranges import KEY, to_tensors
from dukd_basicsr.options.rules.teacher import asks_teacher, is_cached

PAIR = ('lq', 'gt')
UPCYCLED = ('lq_label', 'zoom_in', 'zoom_in_label', 'zoom_out', 'zoom_out_label')
"""What a batch may bring beside the pair."""


@MODEL_REGISTRY.register()
class DistillModel(SRModel):
    """L = L_rec + L_kd, each with its loss_weight: `train.pixel_opt` and `train.kd_opt`.

    `train.feature_opt` adds losses between the networks' features, or between their outputs, on the plain view;
    `perceptual_opt`, `fft_opt` and `ldl_opt` add losses between the student's output and its ground truth there.
    New: network_t and its three keys under path (a frozen teacher outside DDP and autograd; several as lists), l_kd,
    images of any size for networks with windows.
    Inherited: everything of SRModel; without training no teacher is needed or built.
    One total loss, one backward and one optimizer step an iteration. Subclasses add views and terms.
    """

    lq: Tensor
    gt: Tensor
    output: Tensor
    int8: FakeInt8 | None = None
    """Where the student is trained for int8."""

    def init_training_settings(self) -> None:
        """Build teacher, EMA, losses, optimizer and scheduler. Called by SRModel.__init__ when training."""
        self.net_g.train()
        self.size_requirement = padding.find_size_requirement(self.net_g)
        train_opt = self.opt['train']
        set_tf32(train_opt.get('tf32'))
        self.dtype = find_dtype(train_opt.get('amp'), self.device, 'train.amp')
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)
        self.accumulate = train_opt.get('accumulate', 1)
        self.net_t = self._build_teacher().to(self.device)
        for teacher in self.net_t.members:
            parameters = sum(parameter.numel() for parameter in teacher.parameters())
            get_root_logger().info(
                'Teacher: %s, frozen, with parameters: %s', type(teacher.net).__name__, f'{parameters:,d}'
            )
        self._init_ema()
        self._init_int8()
        self.init_losses()
        self.setup_optimizers()
        self.setup_schedulers()
        if self.net_t.members and self.opt['path'].get('resume_state') is None:
            self.teacher_images = log_teacher_metrics(self.net_t.members, self.opt, self.device)
        if train_opt.get('compile'):  # at last: test images have many sizes, and each would be compiled for
            self._compile()

    def _compile(self) -> None:
        if isinstance(self.net_g, DataParallel):
            raise UserError(
                'train.compile: compiled networks run on several GPUs as one process for each; add '
                '--launcher pytorch and start it with torchrun, or write compile: false.'
            )
        teachers: list[Any] = list(self.net_t.members)
        compile_in_place([self.get_bare_model(self.net_g), *(each.net for each in teachers)], self.device)

    def model_to_device(self, net: nn.Module) -> nn.Module:
        """As SRModel; in the options' memory format before DistributedDataParallel lays out its buckets."""
        if (self.opt.get('train') or {}).get('channels_last'):
            net = lay_out_channels_last(net)
        return super().model_to_device(net)

    def _build_teacher(self) -> Teacher | TeacherGroup | NoTeacher:
        """The teacher; none where no term asks one, or where a cache of its labels is trained from: the right one."""
        in_cache = is_cached(self.opt) and not self.opt.get('dry_run')
        problem = find_misfit(self.opt, Path.cwd()) if in_cache else None
        if problem:
            raise UserError(f'datasets.train.dataroot_upcycled: {problem}')
        if not asks_teacher(self.opt):
            return NoTeacher()
        teacher = build_teacher(self.opt)
        precision = (self.opt['train'].get('teacher_opt') or {}).get('precision')
        for member in teacher.members:
            member.dtype = find_dtype(precision, self.device, 'train.teacher_opt.precision')
        return teacher

    def feed_data(self, data: Mapping[str, Any]) -> None:
        """As SRModel; what an UpcycledImageDataset brings is kept too, the crops of a sample one after another."""
        # Not super(): it would wait for its copies, which pin_memory lets go on beside the step before.
        there = {name: data[name].to(self.device, non_blocking=True) for name in PAIR + UPCYCLED if name in data}
        for name in PAIR:
            if name in there:
                setattr(self, name, there[name])
        self.upcycled = {name: there[name].flatten(0, -4) for name in UPCYCLED if name in there}

    def init_losses(self) -> None:
        """Build the criteria; either may be missing, so that training on the teacher alone works."""
        train_opt = self.opt['train']
        self.cri_pix = build_loss(train_opt['pixel_opt']).to(self.device) if train_opt.get('pixel_opt') else None
        self.cri_kd = build_loss(train_opt['kd_opt']).to(self.device) if train_opt.get('kd_opt') else None
        self.ground_truth = GroundTruthTerms(train_opt, self.accumulate, bool(self.opt.get('dry_run'))).to(self.device)
        self.features = self._build_features(train_opt.get('feature_opt') or {})

    def _build_features(self, feature_opt: Mapping[str, Any]) -> FeatureTerms:
        teachers: list[Any] = list(self.net_t.members)
        bare, seed = [each.net for each in teachers], self._seed(0)
        channels = count_input_channels(self.opt['network_g'])
        precisions = self.dtype, teachers[0].dtype if teachers else None
        features = FeatureTerms(feature_opt, self.get_bare_model(self.net_g), bare, channels, seed, precisions)
        if features.pairs and isinstance(self.net_g, DataParallel):
            raise UserError(
                'train.feature_opt: features are read on several GPUs as one process for each; add '
                '--launcher pytorch and start it with torchrun.'
            )
        for line in features.describe_taps():
            get_root_logger().info('Features, student -> teacher: %s', line)
        return features.to(self.device)

    def setup_optimizers(self) -> None:
        """As SRModel, with the adapters of `train.feature_opt` beside the student's parameters."""
        super().setup_optimizers()
        # In the group of the student's: one more would be one more learning rate in every line of the log.
        self.optimizer_g.param_groups[0]['params'] += self.features.list_trained().values()

    def build_views(self, current_iter: int) -> dict[str, View]:
        """The inputs of this iteration by name; the plain pair is 'lq'."""
        label = self.upcycled.get('lq_label')
        asked = self.cri_kd is not None or bool(self.features)
        return {'lq': View(self.lq, gt=self.gt, label=label, ask_teacher=asked)}

    def compute_terms(
        self, views: Mapping[str, View], outputs: Mapping[str, Tensor], labels: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Weighted terms whose sum is the loss. The same keys every time: ranks reduce them by position.

        Args:
            views (Mapping[str, View]): Of one micro-batch, by name.
            outputs (Mapping[str, Tensor]): What the student said of each, not turned back.
            labels (Mapping[str, Tensor]): What the teacher says of those that it was asked about.
        """
        plain, label = views['lq'], labels.get('lq')
        output = plain.turn_back(outputs['lq'])
        return {
            'l_pix': self.compare(self.cri_pix, output, plain.gt),
            'l_kd': self.compare(self.cri_kd, output, label),
            **self._compare_features(plain, output, label),
            **self._compare_ground_truth(plain, output),
        }

    def _compare_ground_truth(self, view: View, output: Tensor) -> dict[str, Tensor]:
        if view.gt is None or not self.ground_truth:
            return {}
        ema = None
        if self.ground_truth.needs_ema:
            average = reduce_precision(self.net_g_ema, self.dtype)
            with torch.no_grad():
                ema = padding.forward(average, view.lq, requirement=self.size_requirement)
        return self.ground_truth(output, view.gt, ema)

    def _compare_features(self, view: View, output: Tensor, label: Tensor | None) -> dict[str, Tensor]:
        shares = [weigh_part(loss, self.accumulate) for loss in self.features.losses.values()]
        terms = self.features(view.lq, output, label, view.gt)
        return {name: value * part for (name, value), part in zip(terms.items(), shares, strict=True)}

    def compare(self, criterion: nn.Module | None, output: Tensor | None, target: Tensor | None) -> Tensor:
        """`criterion(output, target)`, a micro-batch's share of it, or zero where one of the three is switched off."""
        if criterion is None or output is None or target is None:
            return self.lq.new_zeros(())
        value = criterion(output, target)
        return value if self.accumulate == 1 else value * weigh_part(criterion, self.accumulate)

    def _seed(self, current_iter: int, rank: int = 0) -> int:
        return step_seed(self.opt.get('manual_seed', 0), rank, current_iter)

    def optimize_parameters(self, current_iter: int) -> None:
        """One step: views; labels, outputs, loss and backward for each part of them; one update."""
        views = self.build_views(current_iter)
        if isinstance(self.net_t, TeacherGroup):
            self.net_t.draw(self._seed(current_iter))
        self.features.draw(self._seed(current_iter), self._seed(current_iter, self.opt.get('rank', 0)))
        self.optimizer_g.zero_grad()
        *others, last = split(views, self.accumulate)
        with self._skip_reducing():
            parts = [self._backpropagate(part) for part in others]
        parts.append(self._backpropagate(last))
        # Kept on the device: reading a value would make the host wait for every step, and few steps are logged.
        self.log_dict = {name: reduce(add, (part[name] for part in parts)) for name in parts[0]}
        self._update(torch.stack(list(self.log_dict.values())).sum())

    def _backpropagate(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Add the gradient of some views' loss, a graph of its own; returns its terms."""
        views = {'lq': views['lq'], **views}  # first through the networks: its samples' features are kept
        net = reduce_precision(self.net_g, self.dtype) if self.int8 is None else self.int8.wrap(self.net_g)
        student = partial(padding.forward, net, requirement=self.size_requirement)
        with self.features.record(views['lq'].lq.shape[0]):
            labels = label_views(self.net_t, views)
            terms = self.compute_terms(views, answer_views(student, views), labels)
        self.scaler.scale(torch.stack(list(terms.values())).sum()).backward()
        return {name: value.detach() for name, value in terms.items()}

    def _update(self, loss: Tensor) -> None:
        """The optimizer's step and the EMA's. Without fp16 the scaler only passes on."""
        if self.opt['dist']:
            self.features.average_gradients()
        self.scaler.unscale_(self.optimizer_g)  # so that the guard clips and judges the gradient itself
        self.guard.watch(loss, self.scaler.scale(torch.ones_like(loss)) if self.scaler.is_enabled() else None)
        self.scaler.step(self.optimizer_g)
        self.scaler.update()
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)

    def _skip_reducing(self) -> AbstractContextManager[None]:
        """While gradients of parts add up, ranks need not exchange them: the last part's backward does it for all."""
        return self.net_g.no_sync() if isinstance(self.net_g, DistributedDataParallel) else nullcontext()

    def training_state(self) -> dict[str, Any]:
        """As BaseModel, with the adapters of `train.feature_opt`."""
        adapters = self.features.copy_trained()
        return {**super().training_state(), **({'adapters': adapters} if adapters else {})}

    def resume_training(self, resume_state: dict[str, Any]) -> None:
        """As BaseModel, with the adapters of `train.feature_opt`."""
        # Before the optimizer's state, whose own message would blame the student.
        self.features.load_trained(resume_state.get('adapters', {}), str(self.opt['path'].get('resume_state')))
        super().resume_training(resume_state)

    def get_current_log(self) -> dict[str, float]:
        """The terms of the last step as numbers, averaged over the ranks; all ranks must call it together."""
        return self.reduce_loss_dict(self.log_dict)

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
        if isinstance(self.net_g, DataParallel):
            raise UserError(
                'train.int8_opt: students are trained for int8 on several GPUs as one process for each; add '
                '--launcher pytorch and start it with torchrun.'
            )
        bare = self.get_bare_model(self.net_g)
        ranges = find_or_calibrate(bare, self.opt)
        self.int8 = FakeInt8(ranges, bare, *([self.net_g_ema] if self.ema_decay > 0 else []))
        self.extras['net_g'] = {KEY: to_tensors(ranges)}
