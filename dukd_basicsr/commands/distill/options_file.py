"""The options file of a distillation: complete, explained, and BasicSR's: `basicsr train -opt` needs nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from dukd_basicsr.commands.distill.int8_options import (
    explain_rate,
    explain_way,
    write_gpus,
    write_roundings,
    write_start,
)
from dukd_basicsr.commands.distill.real_options import read_degradation, read_kernels

CROPS = 16
"""Zoom-in crops of a sub-image in a cache; docs/study has as many."""
SUB_IMAGE = 480
"""Side of the HR sub-images, and their distance: none is labelled twice."""
TRAIN_SET = 'photographs'
UPCYCLED_SHARE = 0.375
LATE = 0.75
"""From this part of the iterations on, part of the batch is upcycled."""


@dataclass(frozen=True)
class Settings:
    """What the options file of a distillation says; the rest of it is the same for all."""

    name: str
    scale: int
    student: Mapping[str, Any]
    """`network_g`."""
    teacher: Mapping[str, Any]
    """`network_t`."""
    teacher_file: str
    """Relative to the folder of the run, as all paths."""
    patch: int
    """Side of the LR patches."""
    batch: int
    workers: int
    iterations: int
    rate: float
    """The first learning rate."""
    cached: bool
    """Whether the labels come from a cache."""
    late: bool
    """Whether part of the batch is upcycled at the end."""
    val_set: str
    validations: int = 8
    """How many there are about, in the course of the training."""
    real: bool = False
    """Whether LR images are made by Real-ESRGAN's degradations instead of bicubic."""
    channels_last: bool = False
    bf16: bool = False
    """Whether convolutions are computed in bfloat16; weights, losses and validation stay float32."""
    refines: str = ''
    """The checkpoint of the trained student that is refined for int8; empty for a training of its own."""

    @property
    def model(self) -> str:
        """`model_type`."""
        return 'DUKDRealModel' if self.real else 'DUKDModel' if self.late else 'DistillModel'

    @property
    def train_roots(self) -> dict[str, str]:
        """The keys of `datasets.train` that name data."""
        home = f'datasets/{TRAIN_SET}/{TRAIN_SET}'
        if self.real:
            return {
                'dataroot_gt': f'{home}_multiscale_sub',
                'meta_info': f'{home}_multiscale_sub/meta_info.txt',
            }
        return {'dataroot_gt': f'{home}_HR_sub.lmdb', 'dataroot_lq': self.lq_lmdb}

    @property
    def val_roots(self) -> tuple[str, str]:
        """HR and LR images that are validated with."""
        home = f'datasets/{self.val_set}'
        if self.real:
            return f'{home}/real_x{self.scale}_seed0/GT', f'{home}/real_x{self.scale}_seed0/LR'
        return f'{home}/GTmod{self.scale}', f'{home}/LRbicx{self.scale}'

    @property
    def lq_lmdb(self) -> str:
        """LR sub-images."""
        return f'datasets/{TRAIN_SET}/{TRAIN_SET}_LR_bicubic_X{self.scale}_sub.lmdb'

    @property
    def cache(self) -> str:
        """What `basicsr upcycle` writes, where it is asked to."""
        return f'datasets/{TRAIN_SET}/{TRAIN_SET}_X{self.scale}_upcycled.lmdb'

    @property
    def ema(self) -> float:
        """Decay of the averaged student: about a hundredth of the run, as in docs/study, at most BasicSR's 0.999."""
        return 0.999 if self.iterations >= 10_000 else 0.99 if self.iterations >= 300 else 0.9

    @property
    def print_freq(self) -> int:
        """Iterations between log lines."""
        return max(1, min(500, self.iterations // 40))

    @property
    def val_freq(self) -> int:
        """Iterations between validations, each after a log line that says its iteration."""
        return self.print_freq * max(1, self.iterations // self.validations // self.print_freq)

    @property
    def save_freq(self) -> int:
        """Iterations between checkpoints."""
        return self.print_freq * max(1, min(5000, self.iterations // 8) // self.print_freq)


def write_options(settings: Settings, head: Sequence[str]) -> str:
    """Return the text of the options file.

    Args:
        settings (Settings): What differs from run to run.
        head (Sequence[str]): Lines to begin with, as comments.
    """
    lines = ''.join(f'# {line}\n' if line else '#\n' for line in head)
    return (
        f'{lines}\n# general settings\n'
        f'name: {settings.name}  # of the folder in experiments/, where basicsr distill looks for the student\n'
        f'model_type: {settings.model}\nscale: {settings.scale}\n'
        f'{write_gpus(settings.refines)}\nmanual_seed: 10\n\n{_write_degradation(settings)}'
        f'{_write_datasets(settings)}\n# network structures\n{_write_network("network_g", settings.student)}\n'
        f'{_write_network("network_t", settings.teacher)}\n{_write_paths(settings)}\n'
        f'# training settings\ntrain:\n{_write_schedule(settings)}\n{_write_losses(settings)}\n'
        f'{_write_validation(settings)}'
    )


def _write_datasets(settings: Settings) -> str:
    roots = ''.join(f'    {key}: {value}\n' for key, value in settings.train_roots.items())
    gt, lq = settings.val_roots
    return (
        f'# dataset and data loader settings\ndatasets:\n  train:\n    name: {TRAIN_SET}\n'
        f'{_write_kind(settings)}{roots}'
        f'    io_backend:\n      type: {"disk" if settings.real else "lmdb"}\n\n'
        f'{read_kernels() if settings.real else ""}    gt_size: {settings.patch * settings.scale}'
        f'  # LR patches of {settings.patch}x{settings.patch}\n    use_hflip: true\n    use_rot: true\n\n'
        f'    # data loader\n    num_worker_per_gpu: {settings.workers}\n    batch_size_per_gpu: {settings.batch}\n'
        '    dataset_enlarge_ratio: 100  # epochs of 100 passes: the workers start anew with each\n'
        '    prefetch_mode: ~\n\n'
        f'  val:\n    name: {settings.val_set}\n    type: PairedImageDataset\n'
        f'    dataroot_gt: {gt}\n    dataroot_lq: {lq}\n    io_backend:\n      type: disk\n'
    )


def _write_kind(settings: Settings) -> str:
    """Of the training set, with the other way to have labels."""
    if settings.real:
        return '    type: RealESRGANDataset\n'
    cache = f'dataroot_upcycled: {settings.cache}'
    if settings.cached:
        other = 'PairedImageDataset, without dataroot_upcycled: the teacher labels every batch'
        return f'    type: UpcycledImageDataset\n    # or {other}\n    {cache}\n'
    other = 'UpcycledImageDataset after basicsr upcycle, which makes the labels once, with'
    return f'    type: PairedImageDataset\n    # or {other}\n    # {cache}\n'


def _write_degradation(settings: Settings) -> str:
    if not settings.real:
        return ''
    return f'{read_degradation(settings.patch * settings.scale, settings.batch)}\n'


def _write_network(key: str, network: Mapping[str, Any]) -> str:
    lines = (
        yaml.safe_dump({name: _plain(value)}, default_flow_style=True, width=math.inf)
        for name, value in network.items()
    )
    return f'{key}:\n' + ''.join(f'  {line.strip()[1:-1]}\n' for line in lines)


def _plain(value: Any) -> Any:
    """Tuples as lists, since YAML has no other."""
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _write_paths(settings: Settings) -> str:
    file = yaml.safe_dump(settings.teacher_file, default_style='"', width=math.inf).strip()
    return (
        f'# path\npath:\n{write_start(settings.refines)}  strict_load_g: true\n'
        f'  pretrain_network_t: {file}\n'
        '  param_key_t: params_ema  # params is taken where the file has no averaged weights\n'
        '  strict_load_t: true\n  resume_state: ~  # basicsr train --auto_resume finds the newest\n'
    )


def _write_schedule(settings: Settings) -> str:
    return (
        f'  total_iter: {settings.iterations}\n  warmup_iter: -1  # no warm up\n  ema_decay: {settings.ema}\n'
        '  optim_g:\n    type: Adam\n'
        f'    lr: !!float {settings.rate:.1e}  # {explain_rate(settings.refines)}\n'
        '    weight_decay: 0\n    betas: [0.9, 0.99]\n\n'
        '  scheduler:  # half a cosine, which ends with the run: change it with total_iter\n'
        f'    type: CosineAnnealingRestartLR\n    periods: [{settings.iterations}]\n    restart_weights: [1]\n'
        '    eta_min: !!float 1e-7\n\n'
        f'  # how it is computed; {explain_way(settings.refines)}\n'
        f'  channels_last: {str(settings.channels_last).lower()}  # true: another order of the weights in memory\n'
        f'  amp: {"bf16" if settings.bf16 else "~"}  # bf16: convolutions in bfloat16; ~: all in float32\n\n'
        f'{write_roundings(settings.refines)}'
        '  keep_checkpoints: 2  # the last ones, and the best of each metric\n'
        '  teacher_opt:\n    precision: fp32  # bf16 is faster where the hardware has it, for 0.02 dB\n'
        '    val_images: 0  # the teacher is measured by basicsr benchmark\n'
    )


def _write_losses(settings: Settings) -> str:
    text = '  # losses\n'
    for name, what in (('pixel_opt', 'student against ground truth'), ('kd_opt', 'student against teacher')):
        text += f'  {name}:  # {what}\n    type: L1Loss\n    loss_weight: 1.0\n    reduction: mean\n\n'
    if settings.late or settings.real:
        text += (
            '  dukd_opt:  # crops of the HR patch, which only the teacher can label\n'
            '    type: L1Loss\n    loss_weight: 1.0\n    reduction: mean\n'
            '    zoom_in:\n      num: 1\n    zoom_out: ~\n'
            "    consistency:  # random invertible augmentation of the student's input\n"
            '      ops: [invert, hflip, vflip, transpose]\n      prob: 0.3\n      views: [zoom_in]\n'
            f'    in_batch: {UPCYCLED_SHARE}  # of the samples, in place of pairs: an iteration costs the same\n'
            '    schedule:  # logits distillation first, upcycling at the end\n'
            f'      start: {int(LATE * settings.iterations)}\n'
        )
    return text.rstrip('\n') + '\n'


def _write_validation(settings: Settings) -> str:
    metrics = ''.join(
        f'    {name}:\n      type: calculate_{name}\n      crop_border: {settings.scale}\n      test_y_channel: true\n'
        for name in ('psnr', 'ssim')
    )
    return (
        f'# validation settings\nval:\n  val_freq: {settings.val_freq}\n  save_img: false\n  metrics:\n{metrics}\n'
        f'# logging settings\nlogger:\n  print_freq: {settings.print_freq}\n'
        f'  save_checkpoint_freq: {settings.save_freq}\n'
        '  use_tb_logger: false  # true draws all of it in tensorboard\n'
        '  wandb:\n    project: ~\n    resume_id: ~\n\n'
        '# dist training settings\ndist_params:\n  backend: nccl\n  port: 29500\n'
    )
