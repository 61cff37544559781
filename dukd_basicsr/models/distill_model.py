"""Logits distillation: a student trained on its ground truth and on the outputs of a frozen teacher."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

import torch
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger
from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn
from torch.optim import Optimizer

from dukd_basicsr.data.seeds import step_seed
from dukd_basicsr.distillation.adversarial import build_adversary
from dukd_basicsr.distillation.features import FeatureTerms
from dukd_basicsr.distillation.ground_truth import GroundTruthTerms
from dukd_basicsr.distillation.teacher import NoTeacher, Teacher, TeacherGroup, find_teacher
from dukd_basicsr.distillation.views import View, answer_views, label_views, split, weigh_part
from dukd_basicsr.evaluation.teacher_metrics import log_teacher_metrics
from dukd_basicsr.models.student import StudentModel
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.acceleration import compile_in_place, find_dtype, reduce_precision, set_tf32
from dukd_basicsr.networks.build import count_input_channels

PAIR = ('lq', 'gt')
UPCYCLED = ('lq_label', 'zoom_in', 'zoom_in_label', 'zoom_out', 'zoom_out_label')
"""What a batch may bring beside the pair."""


@MODEL_REGISTRY.register()
class DistillModel(StudentModel):
    """L = L_rec + L_kd, each with its loss_weight: `train.pixel_opt` and `train.kd_opt`.

    `train.feature_opt` adds losses between the networks' features, or between their outputs, on the plain view;
    `perceptual_opt`, `fft_opt` and `ldl_opt` add losses between the student's output and its ground truth there, and
    `gan_opt` with network_d and optim_d an adversarial one, by a discriminator that learns in the same step.
    New: network_t and its three keys under path (a frozen teacher outside DDP and autograd; several as lists), l_kd,
    images of any size for networks with windows.
    Inherited: everything of SRModel; without training no teacher is needed or built.
    One total loss, one backward and one optimizer step an iteration (the discriminator has its own; both steps are made
    or none). Subclasses add views and terms.
    """

    real: Tensor | None = None
    """What a discriminator is shown as real, where that is not `gt`."""

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
        self.adversary = build_adversary(self, self.dtype)
        self.init_losses()
        self.setup_optimizers()
        self.setup_schedulers()
        if self.net_t.members and self.opt['path'].get('resume_state') is None:
            self.teacher_images = log_teacher_metrics(self.net_t.members, self.opt, self.device)
        if train_opt.get('compile'):  # at last: test images have many sizes, and each would be compiled for
            self._compile()

    def _compile(self) -> None:
        self._refuse_data_parallel('compile: compiled networks run')
        teachers: list[Any] = list(self.net_t.members)
        compile_in_place([self.get_bare_model(self.net_g), *(each.net for each in teachers)], self.device)

    def _build_teacher(self) -> Teacher | TeacherGroup | NoTeacher:
        """The teacher; none where no term asks one, or where a cache of its labels is trained from: the right one."""
        return find_teacher(self.opt, self.device)

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
        if features.pairs:
            self._refuse_data_parallel('feature_opt: features are read')
        for line in features.describe_taps():
            get_root_logger().info('Features, student -> teacher: %s', line)
        return features.to(self.device)

    def setup_optimizers(self) -> None:
        """As SRModel, with the adapters of `train.feature_opt` beside the student's parameters; the discriminator's."""
        super().setup_optimizers()
        if self.adversary is not None:
            given = dict(self.opt['train']['optim_d'])
            self.optimizer_d = self.get_optimizer(given.pop('type'), self.net_d.parameters(), **given)
            self.optimizers.append(self.optimizer_d)
        # In the group of the student's: one more would be one more learning rate in every line of the log.
        self.optimizer_g.param_groups[0]['params'] += self.features.list_trained().values()

    def build_views(self, current_iter: int) -> dict[str, View]:
        """The inputs of this iteration by name; the plain pair is 'lq'."""
        label = self.upcycled.get('lq_label')
        asked = self.cri_kd is not None or bool(self.features)
        return {'lq': View(self.lq, gt=self.gt, label=label, ask_teacher=asked, real=self.real)}

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
            **self._judge(plain, output),
        }

    def _judge(self, view: View, output: Tensor) -> dict[str, Tensor]:
        if self.adversary is None:
            return {}
        self._show(view, output)
        return {'l_g_gan': self.adversary.judge(output)}

    def _show(self, view: View, output: Tensor) -> None:
        real = view.gt if view.real is None else view.real
        if self.adversary is not None and real is not None:
            self.adversary.show(real, output)

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
        optimizers = []
        self.log_dict = {}
        if self.adversary is None or self.adversary.trains_student(current_iter):
            self.log_dict = self._train_student(views, current_iter)
            optimizers.append(self.optimizer_g)
        else:
            self._ask_student(views['lq'])
        if self.adversary is not None:
            self.optimizer_d.zero_grad()
            self.log_dict |= self.adversary.learn(self.scaler.scale)
            optimizers.append(self.optimizer_d)
        losses = [value for name, value in self.log_dict.items() if name.startswith('l_')]  # the rest are scores
        self._update(torch.stack(losses).sum(), *optimizers)

    def _train_student(self, views: Mapping[str, View], current_iter: int) -> dict[str, Tensor]:
        """Leave the gradient of all terms in the student and its adapters; returns the terms."""
        if isinstance(self.net_t, TeacherGroup):
            self.net_t.draw(self._seed(current_iter))
        self.features.draw(self._seed(current_iter), self._seed(current_iter, self.opt.get('rank', 0)))
        self.optimizer_g.zero_grad()
        *others, last = split(views, self.accumulate)
        with self._skip_reducing():
            parts = [self._backpropagate(part) for part in others]
        parts.append(self._backpropagate(last))
        if self.opt['dist']:
            self.features.average_gradients()
        # Kept on the device: reading a value would make the host wait for every step, and few steps are logged.
        return {name: reduce(add, (part[name] for part in parts)) for name in parts[0]}

    @torch.no_grad()
    def _ask_student(self, view: View) -> None:
        """What the discriminator alone learns from."""
        self._show(view, view.turn_back(self._make_student()(view.transform_input())))

    def _backpropagate(self, views: Mapping[str, View]) -> dict[str, Tensor]:
        """Add the gradient of some views' loss, a graph of its own; returns its terms."""
        views = {'lq': views['lq'], **views}  # first through the networks: its samples' features are kept
        student = self._make_student()
        with self.features.record(views['lq'].lq.shape[0]):
            labels = label_views(self.net_t, views)
            terms = self.compute_terms(views, answer_views(student, views), labels)
        self.scaler.scale(torch.stack(list(terms.values())).sum()).backward()
        return {name: value.detach() for name, value in terms.items()}

    def _update(self, loss: Tensor, *optimizers: Optimizer) -> None:
        """The optimizers' steps, all or none, and the EMA's. Without fp16 the scaler only passes on."""
        for optimizer in optimizers:
            self.scaler.unscale_(optimizer)  # so that the guard clips and judges the gradient itself
        scale = self.scaler.scale(torch.ones_like(loss)) if self.scaler.is_enabled() else None
        self.guard.watch(loss, scale, optimizers)
        for optimizer in optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        if self.adversary is not None:
            self.adversary.undo(self.guard.found)
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)

    def save(self, epoch: int, current_iter: int) -> None:
        """As SRModel, with the discriminator: before the state, which names all networks."""
        if self.adversary is not None:
            self.save_network(self.net_d, 'net_d', current_iter)
        super().save(epoch, current_iter)

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
