"""The keys of an options file: their types, limits, defaults and documentation.

A key without default is required. The defaults are those of BasicSR 1.4.2 and of the models of this plugin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from dukd_basicsr.options.schema.fields import key
from dukd_basicsr.options.schema.train import Train


@dataclass(frozen=True, kw_only=True)
class IoBackend:
    """Where images are read from; other keys go to the backend."""

    OPEN: ClassVar[bool] = True
    STRICT: ClassVar[bool] = True
    type: Literal['disk', 'lmdb', 'memcached'] = key('disk for folders of images, lmdb for folders *.lmdb')


@dataclass(frozen=True, kw_only=True)
class PairedDataset:
    """`datasets.val` and `datasets.test`: HR images and their LR images."""

    STRICT: ClassVar[bool] = True
    SHARED: ClassVar[bool] = True
    type: Literal['PairedImageDataset'] = key('the class of the dataset')
    name: str = key('the name of the dataset in logs')
    dataroot_gt: str = key('the folder or LMDB of HR images')
    dataroot_lq: str = key('the folder or LMDB of LR images')
    io_backend: IoBackend = key('where images are read from, {type: disk} or {type: lmdb}')
    filename_tmpl: str = key("LR file name for an HR one, e.g. '{}x4'; not for lmdb", default='{}')
    meta_info_file: str | None = key('a file that lists the images; not for lmdb', default=None)
    gt_size: int | None = key('the side of an HR patch', default=None, least=1, most=65536)
    use_hflip: bool = key('random horizontal flips', default=False)
    use_rot: bool = key('random vertical flips and transposition', default=False)
    color: Literal['y'] | None = key('y for the luma channel only', default=None)
    mean: list[float] | None = key('subtracted from each channel', default=None)
    std: list[float] | None = key('divides each channel', default=None)
    num_worker_per_gpu: int = key('processes that load images, for each GPU', default=0, least=0, most=1000)
    batch_size_per_gpu: int = key('images of a batch, for each GPU', default=1, least=1, most=100_000)
    dataset_enlarge_ratio: float = key('how often an epoch repeats the images', default=1, above=0, most=100_000)
    prefetch_mode: Literal['cpu', 'cuda'] | None = key('how batches are fetched ahead', default=None)
    num_prefetch_queue: int = key('batches fetched ahead, for prefetch_mode cpu', default=1, least=1, most=1000)
    pin_memory: bool = key('page-locked host memory; prefetch_mode cuda needs it', default=False)
    persistent_workers: bool = key('keep workers from epoch to epoch', default=False)


@dataclass(frozen=True, kw_only=True)
class TrainDataset(PairedDataset):
    """`datasets.train`: as for validation, with what a training batch needs."""

    gt_size: int = key('the side of an HR patch, a multiple of scale', least=1, most=65536)
    use_hflip: bool = key('random horizontal flips, true or false')
    use_rot: bool = key('random vertical flips and transposition, true or false')
    num_worker_per_gpu: int = key('processes that load images, for each GPU', least=0, most=1000)
    batch_size_per_gpu: int = key('images of a batch, for each GPU', least=1, most=100_000)


@dataclass(frozen=True, kw_only=True)
class OtherDataset:
    """A dataset of another class, whose keys only that class knows."""

    OPEN: ClassVar[bool] = True
    type: str = key('the class of the dataset, e.g. PairedImageDataset')
    name: str = key('the name of the dataset in logs')


@dataclass(frozen=True, kw_only=True)
class Paths:
    """`path`. BasicSR makes a folder of the value of any other key."""

    pretrain_network_g: str | None = key('weights that the student starts from, or is tested with', default=None)
    param_key_g: str | None = key('where in that file they are', default='params')
    strict_load_g: bool = key('whether that file must fit exactly', default=True)
    pretrain_network_t: str | list[str] | None = key('weights of the teacher; of several as a list', default=None)
    param_key_t: str | None = key('where in that file they are', default='params')
    strict_load_t: bool = key('whether that file must fit exactly', default=True)
    pretrain_network_d: str | None = key('weights that the discriminator starts from', default=None)
    param_key_d: str | None = key('where in that file they are', default='params')
    strict_load_d: bool = key('whether that file must fit exactly', default=True)
    resume_state: str | None = key('a training state to go on from', default=None)
    experiments_root: str | None = key('the folder of training runs, ~ for experiments', default=None)
    results_root: str | None = key('the folder of tests, ~ for results', default=None)
    ignore_resume_networks: list[str] | None = key('networks that a resumed run does not reload', default=None)


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A registered metric; other keys are its arguments."""

    OPEN: ClassVar[bool] = True
    type: str = key('the metric, e.g. calculate_psnr')
    crop_border: int | None = key(
        'pixels cut from each edge; the scale in published numbers', default=None, least=0, most=1000
    )
    test_y_channel: bool = key('on luma, as published numbers are', default=False)
    better: Literal['higher', 'lower'] = key('which way is better', default='higher')


@dataclass(frozen=True, kw_only=True)
class Validation:
    """`val`."""

    SHARED: ClassVar[bool] = True
    save_img: bool = key('whether to save images, true or false')
    val_freq: float | None = key('iterations between validations', default=None, least=1, whole=True)
    suffix: str | None = key("of saved images' names in a test, ~ for the name of the run", default=None)
    pbar: bool = key('a progress bar', default=False)
    metrics: dict[str, Metric] | None = key('metrics by any name', default=None)


@dataclass(frozen=True, kw_only=True)
class Wandb:
    """`logger.wandb`."""

    SHARED: ClassVar[bool] = True
    project: str | None = key('the project, ~ for no wandb', default=None)
    entity: str | None = key("the account or team, ~ for the user's own", default=None)
    resume_id: str | None = key('the run to go on with', default=None)


@dataclass(frozen=True, kw_only=True)
class Logger:
    """`logger`."""

    SHARED: ClassVar[bool] = True
    print_freq: float = key('iterations between log lines', least=1, whole=True)
    save_checkpoint_freq: float = key('iterations between checkpoints', least=1, whole=True)
    use_tb_logger: bool = key('whether to write tensorboard files, true or false')
    wandb: Wandb | None = key('weights and biases', default=None)


@dataclass(frozen=True, kw_only=True)
class Distributed:
    """`dist_params`."""

    OPEN: ClassVar[bool] = True
    backend: Literal['nccl', 'gloo'] = key('nccl on CUDA, gloo on CPU', default='nccl')
    port: int | None = key('of the first process, for slurm', default=None, least=1, most=65535)


@dataclass(frozen=True, kw_only=True)
class Options:
    """A whole options file."""

    SHARED: ClassVar[bool] = True
    name: str = key('the name of the run and of its folder')
    model_type: str = key('SRModel, DistillModel, DUKDModel or DUKDRealModel')
    scale: int = key('the factor of super-resolution', least=1, most=16)
    num_gpu: int | Literal['auto'] = key('how many GPUs, 0 for the CPU, auto for all', least=0)
    manual_seed: int | None = key('of all random numbers', default=None, least=0, most=2**32 - 1)
    find_unused_parameters: bool = key('for distributed training', default=False)
    datasets: dict[str, Any] = key('train and val, val_1, ...; or test, test_1, ...')
    network_g: dict[str, Any] = key('the student, e.g. {type: EDSR, num_in_ch: 3, num_out_ch: 3}')
    network_t: dict[str, Any] | list[dict[str, Any]] | None = key('the teacher; several as a list', default=None)
    network_d: dict[str, Any] | None = key(
        'the discriminator of train.gan_opt, e.g. {type: UNetDiscriminatorSN, num_in_ch: 3, num_feat: 64}', default=None
    )
    path: Paths = key('weights to start from; at least resume_state: ~')
    train: Train | None = key('how to train', default=None)
    val: Validation | None = key('how to validate or test', default=None)
    logger: Logger | None = key('how to log', default=None)
    dist_params: Distributed | None = key('of distributed runs', default=None)
