"""The keys of `train`: their types, limits, defaults and documentation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from dukd_basicsr.options.schema.features import FeatureTerm
from dukd_basicsr.options.schema.fields import key
from dukd_basicsr.options.schema.optimizers import Optimizer

Operation = Literal['invert', 'hflip', 'vflip', 'transpose', 'permute', 'translate']
View = Literal['lq', 'zoom_in', 'zoom_out']
CosineName = Literal['CosineAnnealingLR', 'TrueCosineAnnealingLR']
"""Torch's name, and that of NAFNet and those who took it over; one is the other."""


@dataclass(frozen=True, kw_only=True)
class MultiStep:
    """`train.scheduler`: the rate times gamma at each milestone."""

    type: Literal['MultiStepLR', 'MultiStepRestartLR'] = key('how the learning rate changes')
    milestones: list[float] = key('iterations at which the rate is multiplied by gamma', least=0, whole=True)
    gamma: float = key('the factor', default=0.1, above=0)
    restarts: list[float] = key('iterations at which the rate starts anew', factory=lambda: [0], least=0, whole=True)
    restart_weights: list[float] = key('factors of the first rate there', factory=lambda: [1], least=0)


@dataclass(frozen=True, kw_only=True)
class CosineRestart:
    """`train.scheduler`: half a cosine in each period."""

    type: Literal['CosineAnnealingRestartLR'] = key('how the learning rate changes')
    periods: list[float] = key('lengths in iterations; their sum is at least total_iter', least=1, whole=True)
    restart_weights: list[float] = key('factors of the first rate there', factory=lambda: [1], least=0)
    eta_min: float = key('the lowest rate', default=0, least=0)


@dataclass(frozen=True, kw_only=True)
class Cosine:
    """`train.scheduler`: one half of a cosine, TrueCosineAnnealingLR in NAFNet and its descendants."""

    type: CosineName = key('how the learning rate changes')
    T_max: float = key('iterations until the lowest rate, as a rule total_iter', least=1, whole=True)
    eta_min: float = key('the lowest rate', default=0, least=0)


@dataclass(frozen=True, kw_only=True)
class OtherScheduler:
    """`train.scheduler` of a type that does not exist: carries the error."""

    OPEN: ClassVar[bool] = True
    type: Literal[
        'MultiStepLR', 'MultiStepRestartLR', 'CosineAnnealingRestartLR', 'CosineAnnealingLR', 'TrueCosineAnnealingLR'
    ] = key('how the learning rate changes, e.g. MultiStepLR')


@dataclass(frozen=True, kw_only=True)
class Loss:
    """A registered loss; other keys are its arguments."""

    OPEN: ClassVar[bool] = True
    type: str = key('the loss, e.g. L1Loss')
    loss_weight: float = key('the factor of this term', default=1.0, least=0)
    reduction: Literal['mean', 'sum'] = key('over pixels', default='mean')


@dataclass(frozen=True, kw_only=True)
class PerceptualLoss:
    """A registered loss on features; its keys are its arguments."""

    OPEN: ClassVar[bool] = True
    type: str = key('the loss, e.g. PerceptualLoss')


@dataclass(frozen=True, kw_only=True)
class GanLoss:
    """`train.gan_opt`: what the student and network_d train each other by, as in BasicSR's SRGANModel."""

    type: Literal['GANLoss', 'MultiScaleGANLoss'] = key('the loss, e.g. GANLoss')
    gan_type: Literal['vanilla', 'lsgan', 'wgan', 'wgan_softplus', 'hinge'] = key(
        'how scores become a loss: cross-entropy, squares, scores themselves, softplus, hinge; e.g. vanilla'
    )
    real_label_val: float = key('the score of real images, for vanilla and lsgan', default=1.0)
    fake_label_val: float = key("the score of the student's images, for vanilla and lsgan", default=0.0)
    loss_weight: float = key("the factor of the student's term; the discriminator's is 1", default=1.0, least=0)


@dataclass(frozen=True, kw_only=True)
class OtherGanLoss:
    """`train.gan_opt` of another registered loss, called as GANLoss is; other keys are its arguments."""

    OPEN: ClassVar[bool] = True
    type: str = key('the loss, e.g. GANLoss')


@dataclass(frozen=True, kw_only=True)
class ZoomIn:
    """LR-sized crops of the HR patch, labelled by the teacher alone (AugKD section 3.3)."""

    num: int = key('crops of each HR patch', default=1, least=1, most=256)
    crops: Literal['random', 'grid'] = key(
        "random: anywhere; grid: whole cells of it, as the authors' code", default='random'
    )
    weight: float = key('the factor of its term, beside loss_weight', default=1.0, above=0)


@dataclass(frozen=True, kw_only=True)
class ZoomOut:
    """The LR patch shrunk by the scale, labelled by the teacher and by itself (AugKD section 3.3).

    The authors' EDSR files count the LR patch five times: train.pixel_opt.loss_weight: 5 and weight_gt: 5.
    """

    gt: bool = key('whether the LR patch is its ground truth', default=True)
    teacher: bool = key('whether the teacher labels it', default=True)
    weight_gt: float = key('the factor of the term with its ground truth, beside loss_weight', default=1.0, above=0)
    weight_teacher: float = key("the factor of the term with the teacher's label", default=1.0, above=0)


@dataclass(frozen=True, kw_only=True)
class Consistency:
    """Label consistency: the student sees the input augmented, its output is turned back (AugKD section 3.4)."""

    ops: tuple[Operation, ...] = key(
        'invertible operations, in this order', default=('invert', 'hflip', 'vflip', 'transpose')
    )
    prob: float = key('of each operation for each sample', default=0.3, least=0, most=1)
    views: tuple[View, ...] = key('inputs to augment; lq is the plain pair', default=('zoom_in', 'zoom_out'))


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """When L_dukd is on; before, an iteration is one of logits distillation and costs what that costs.

    Both are iterations, as the scheduler's milestones are.
    """

    start: float = key('the iteration after which upcycling begins, e.g. 200000', least=0, whole=True)
    end: float | None = key(
        'the iteration from which on it counts in full, having grown evenly from start; ~ for at once',
        default=None,
        least=0,
        whole=True,
    )


@dataclass(frozen=True, kw_only=True)
class DukdLoss(Loss):
    """`train.dukd_opt`: the upcycled terms; `~` switches one off, leaving it out keeps its default."""

    zoom_in: ZoomIn | None = key(
        'crops of the HR patch', factory=ZoomIn, instead='write {num: 1}, or ~ to switch it off'
    )
    zoom_out: ZoomOut | None = key(
        'the LR patch shrunk', factory=ZoomOut, instead='write {gt: true}, or ~ to switch it off'
    )
    consistency: Consistency | None = key(
        'label consistency', factory=Consistency, instead='write {prob: 0.3}, or ~ to switch it off'
    )
    schedule: Schedule | None = key(
        'when upcycling is on, ~ for always', default=None, instead='write e.g. {start: 200000}, or ~ for always'
    )
    in_batch: float | None = key(
        'the share of a batch that is upcycled in place of plain samples, so that an iteration costs what one without '
        'upcycling costs, e.g. 0.375 for 3 of 8; ~ to upcycle all samples beside the plain ones',
        default=None,
        above=0,
        below=1,
    )


@dataclass(frozen=True, kw_only=True)
class TeacherOptions:
    """`train.teacher_opt`: how labels are made."""

    precision: Literal['fp32', 'bf16', 'fp16'] = key(
        "of the teacher's convolutions and matrix products; its labels are fp32 numbers in any case", default='fp32'
    )
    combine: Literal['random', 'average'] = key(
        'of several teachers: random draws one a step (the cost of one), average takes the mean of all',
        default='random',
    )
    val_images: int | None = key(
        'images of each validation set that the teacher is measured on before the first iteration: ~ all, 0 none',
        default=None,
        least=0,
    )


@dataclass(frozen=True, kw_only=True)
class Int8Training:
    """`train.int8_opt`: the student is trained and validated as `basicsr export --precision int8` will compute it."""

    calibrate: str = key('folder of LR images, some 16 to 100, that ranges come from; none of the test images')


@dataclass(frozen=True, kw_only=True)
class Train:
    """`train`."""

    SHARED: ClassVar[bool] = True
    total_iter: float = key('how many iterations to train', least=1, whole=True)
    warmup_iter: float = key('iterations in which the rate grows from 0; -1 for none', default=-1, least=-1, whole=True)
    ema_decay: float = key('of the averaged student, 0 for none', default=0, least=0, below=1)
    optim_g: Optimizer = key('the optimizer, e.g. {type: Adam, lr: !!float 1e-4}')
    scheduler: MultiStep | CosineRestart | Cosine | OtherScheduler = key(
        'how the learning rate changes, e.g. MultiStepLR'
    )
    pixel_opt: Loss | None = key('student against ground truth', default=None)
    kd_opt: Loss | None = key('student against teacher', default=None)
    dukd_opt: DukdLoss | None = key('upcycled data', default=None)
    feature_opt: dict[str, FeatureTerm] | None = key('of features or outputs, by any name, e.g. fakd', default=None)
    teacher_opt: TeacherOptions | None = key('how labels are made, e.g. {precision: bf16}', default=None)
    int8_opt: Int8Training | None = key(
        'refine a trained student (path.pretrain_network_g) for int8, e.g. {calibrate: datasets/Photos/LR}; ~ for not',
        default=None,
        instead='write {calibrate: FOLDER}, or ~ for a student of float32',
    )
    amp: Literal['bf16', 'fp16'] | None = key(
        "precision of the student's convolutions and matrix products, ~ for fp32; losses and weights are fp32",
        default=None,
    )
    tf32: bool | None = key("whether CUDA may round fp32 factors to 10 bits, ~ for torch's setting", default=None)
    channels_last: bool = key('convolution weights of student and teacher as (out, H, W, in) in memory', default=False)
    compile: bool = key('torch.compile for student and teacher: minutes before the first iteration', default=False)
    accumulate: int = key(
        'parts that a batch is trained on in, one after the other, for less memory and the same step',
        default=1,
        least=1,
    )
    perceptual_opt: PerceptualLoss | None = key('features of VGG against ground truth', default=None)
    fft_opt: Loss | None = key('spectra against ground truth, e.g. {type: FFTLoss, loss_weight: 0.05}', default=None)
    ldl_opt: Loss | None = key('artifacts against ground truth, by the EMA; e.g. {type: L1Loss}', default=None)
    gan_opt: GanLoss | OtherGanLoss | None = key(
        'student against network_d, which learns beside it, e.g. {type: GANLoss, gan_type: vanilla, loss_weight: 0.1}',
        default=None,
    )
    optim_d: Optimizer | None = key(
        'the optimizer of network_d, e.g. {type: Adam, lr: !!float 1e-4}; the scheduler is that of both', default=None
    )
    net_d_iters: int = key('the student is trained in every so many iterations, network_d in all', default=1, least=1)
    net_d_init_iters: int = key('iterations before the student is trained too', default=0, least=0)
    grad_clip: float | None = key('largest norm of the gradient, ~ for any', default=None, above=0)
    nonfinite_limit: int = key(
        'steps in a row without a finite loss or gradient before the run stops', default=10, least=1
    )
    keep_checkpoints: int | None = key(
        'checkpoints kept: the last N and the best of each metric; ~ for all', default=None, least=1
    )
    deterministic: bool = key('deterministic algorithms on CUDA: exact resume, slower', default=False)
