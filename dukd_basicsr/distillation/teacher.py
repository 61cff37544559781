"""The frozen teacher: built from the options, checked against the student's task, never trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from dukd_basicsr.data.cache.fit import find_misfit
from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.acceleration import find_dtype, lay_out_channels_last, reduce_precision
from dukd_basicsr.networks.build import build, count_input_channels, load_network
from dukd_basicsr.networks.padding import PROBE_SIZE
from dukd_basicsr.options.rules.teacher import as_list, asks_teacher, is_cached

CPU_BATCH = 2
"""Images that the teacher labels at once on the CPU."""


class Teacher(nn.Module):
    """A network that cannot be trained: eval mode, no gradients, no graph, whatever its surroundings do.

    The authors' teacher stayed in train mode under autograd: stochastic depth made SwinIR's labels random, and each
    teacher pass cost three.

    Args:
        net (nn.Module): Maps (B, C, H, W) in [0, 1] to (B, C, s * H, s * W).

    Examples:
        >>> teacher = Teacher(nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.PixelShuffle(2)))
        >>> label = teacher.train()(torch.rand(1, 3, 16, 16))
        >>> label.shape, label.requires_grad, teacher.training
        (torch.Size([1, 3, 32, 32]), False, False)
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.requires_grad_(False)
        self.size_requirement = padding.find_size_requirement(net)
        self.dtype: torch.dtype | None = None
        """What its convolutions and matrix products are computed in (`reduce_precision`); None: as the weights are."""
        self.train(False)

    @property
    def members(self) -> Sequence[Teacher]:
        """The teachers that this one consists of."""
        return [self]

    def train(self, mode: bool = True) -> Teacher:
        """Stay in eval mode, also when a parent module is switched to training."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, lq: Tensor) -> Tensor:
        """Label clean inputs of any size: (B, C, H, W) to (B, C, s * H, s * W), without a graph.

        On the CPU a larger batch is no faster, but its upsampler's activations would be the peak of the whole step.
        """
        parts = [lq] if lq.is_cuda else lq.split(CPU_BATCH)
        net = reduce_precision(self.net, self.dtype)
        answers = [padding.forward(net, part, self.size_requirement) for part in parts]
        return torch.cat(answers) if len(answers) > 1 else answers[0]


class TeacherGroup(nn.Module):
    """Several teachers of one task: the mean of their labels, or the labels of one of them a step.

    Drawing one a batch is what FAKD's users do with several teachers; it costs no more than one.

    Args:
        teachers (Sequence[Teacher]): At least one, all of the same scale and channels.
        combine (str): 'random' draws one a step, 'average' takes the mean of all.
    """

    def __init__(self, teachers: Sequence[Teacher], combine: Literal['random', 'average'] = 'random') -> None:
        super().__init__()
        self.teachers = nn.ModuleList(teachers)
        self.combine = combine
        self.chosen = 0

    @property
    def members(self) -> Sequence[Teacher]:
        """The teachers of the group."""
        return cast('Sequence[Teacher]', self.teachers)

    def draw(self, seed: int) -> None:
        """Choose the teacher of a step; the same on all ranks if the seed is."""
        self.chosen = seed % len(self.teachers)

    def forward(self, lq: Tensor) -> Tensor:
        """Label clean inputs: (B, C, H, W) to (B, C, s * H, s * W), without a graph."""
        if self.combine == 'random':
            return self.teachers[self.chosen](lq)
        return torch.stack([teacher(lq) for teacher in self.teachers]).mean(0)


def build_teacher(opt: Mapping[str, Any]) -> Teacher | TeacherGroup:
    """Build, load and check `network_t` of an options file, on the CPU.

    Args:
        opt (Mapping): BasicSR options with `network_t`, `scale` and `path.pretrain_network_t`; optional
            `path.param_key_t` ('params'), `path.strict_load_t` (true), `train.teacher_opt.combine` and
            `train.channels_last`. Several teachers: `network_t` and `path.pretrain_network_t` are lists of the same
            length. With `dry_run` a teacher without a file keeps the weights that it is built with.

    Raises:
        UserError: Missing or unreadable file, weights that do not fit the architecture (the first differing names),
            or an output that does not have the scale and channels of the student's task.
    """
    path_opt, train_opt = opt['path'], opt.get('train') or {}
    networks, paths = as_list(opt['network_t']), as_list(path_opt.get('pretrain_network_t'))
    if (None in paths and not opt.get('dry_run')) or len(paths) != len(networks):
        raise UserError(
            f'path.pretrain_network_t: a teacher needs its weights; {len(networks)} in network_t, '
            f'{len([path for path in paths if path])} checkpoints given.'
        )
    teachers = []
    for network, path in zip(networks, paths, strict=True):
        key, strict = path_opt.get('param_key_t', 'params'), path_opt.get('strict_load_t', True)
        if path is None:
            net = build(network, 'network_t')
        else:
            net = load_network(network, path, key, strict, 'path.pretrain_network_t')
        teacher = Teacher(lay_out_channels_last(net) if train_opt.get('channels_last') else net)
        check_output(teacher, opt['scale'], count_input_channels(opt['network_g']))
        teachers.append(teacher)
    if len(teachers) == 1:
        return teachers[0]
    return TeacherGroup(teachers, (train_opt.get('teacher_opt') or {}).get('combine', 'random'))


def check_output(teacher: nn.Module, scale: int, channels: int) -> None:
    """Ask the teacher for one small image and compare the shape of its answer.

    Raises:
        UserError: The teacher fails on it, or its scale or channels are not the student's.
    """
    try:
        answer = padding.answer_zeros(teacher, channels)
    except Exception as error:  # a network of anyone's, which raises what it likes
        raise UserError(
            f'network_t: the teacher cannot take {channels}-channel images as the student does '
            f'({str(error).splitlines()[0]}).'
        ) from None
    probe = (1, channels, PROBE_SIZE, PROBE_SIZE)
    expected = (1, channels, PROBE_SIZE * scale, PROBE_SIZE * scale)
    if tuple(answer.shape) != expected:
        raise UserError(
            f'network_t: the teacher turns {probe} into {tuple(answer.shape)}, but scale: {scale} needs '
            f'{expected}; use a teacher of that scale or change scale and network_g.'
        )


class NoTeacher(nn.Module):
    """A teacher that is not loaded: no term asks one, or a complete cache leaves it nothing to say."""

    members: Sequence[nn.Module] = ()

    def forward(self, lq: Tensor) -> Tensor:
        """Answer nothing.

        Raises:
            RunError: It was asked after all.
        """
        raise RunError(
            'the data have brought no label for a view that needs one, and there is no teacher: with '
            'datasets.train.type: UpcycledImageDataset, feed the batches of that dataset.'
        )


def find_teacher(opt: Mapping[str, Any], device: torch.device) -> Teacher | TeacherGroup | NoTeacher:
    """Build the teacher of a run, on the CPU; none where no term asks one, or where a cache of its labels answers.

    Args:
        opt (Mapping): As for `build_teacher`, with `datasets`; optional `train.teacher_opt.precision`.
        device (torch.device): Where it will be asked.

    Raises:
        UserError: As for `build_teacher`; a cache of other labels, a precision that the device does not have.
    """
    in_cache = is_cached(opt) and not opt.get('dry_run')
    problem = find_misfit(opt, Path.cwd()) if in_cache else None
    if problem:
        raise UserError(f'datasets.train.dataroot_upcycled: {problem}')
    if not asks_teacher(opt):
        return NoTeacher()
    teacher = build_teacher(opt)
    precision = (opt['train'].get('teacher_opt') or {}).get('precision')
    for member in teacher.members:
        member.dtype = find_dtype(precision, device, 'train.teacher_opt.precision')
    return teacher
