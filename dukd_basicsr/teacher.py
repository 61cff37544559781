"""The frozen teacher: built from the options, checked against the student's task, never trained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from dukd_basicsr.checkpoint import build_network, load_into, read_weights
from dukd_basicsr.errors import UserError

PROBE_SIZE = 16
"""Side of the zeros that a teacher answers once: small, even, a multiple of common windows (8 and 16)."""
CPU_BATCH = 2
"""Images that the teacher labels at once on the CPU."""


class Teacher(nn.Module):
    """A network that cannot be trained: eval mode, no gradients, no graph, whatever its surroundings do.

    The authors' teacher stayed in train mode under autograd: stochastic depth made SwinIR's labels random, and each
    teacher pass cost three.

    Args:
        net (nn.Module): Maps (B, C, H, W) in [0, 1] to (B, C, s * H, s * W).
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> Teacher:
        """Stay in eval mode, also when a parent module is switched to training."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, lq: Tensor) -> Tensor:
        """Label clean inputs: (B, C, H, W) to (B, C, s * H, s * W), without a graph.

        On the CPU a larger batch is no faster, but its upsampler's activations would be the peak of the whole step.
        """
        if lq.is_cuda:
            return self.net(lq)
        return torch.cat([self.net(part) for part in lq.split(CPU_BATCH)])


def build_teacher(opt: Mapping[str, Any]) -> Teacher:
    """Build, load and check `network_t` of an options file, on the CPU.

    Args:
        opt (Mapping): BasicSR options with `network_t`, `scale` and `path.pretrain_network_t`; optional
            `path.param_key_t` ('params') and `path.strict_load_t` (true).

    Raises:
        UserError: Missing or unreadable file, weights that do not fit the architecture (the first differing names),
            or an output that does not have the scale and channels of the student's task.
    """
    path_opt = opt['path']
    path = path_opt.get('pretrain_network_t')
    if path is None:
        raise UserError('path.pretrain_network_t: a teacher needs its weights; give the path of its checkpoint.')
    net = build_network(opt['network_t'])
    weights = read_weights(path, path_opt.get('param_key_t', 'params'))
    load_into(net, weights, f'path.pretrain_network_t: {path}', path_opt.get('strict_load_t', True))
    teacher = Teacher(net)
    check_output(teacher, opt['scale'], opt['network_g'].get('num_in_ch', 3))
    return teacher


def check_output(teacher: Teacher, scale: int, channels: int) -> None:
    """Ask the teacher for one small image and compare the shape of its answer.

    Raises:
        UserError: The teacher fails on it, or its scale or channels are not the student's.
    """
    probe = torch.zeros(1, channels, PROBE_SIZE, PROBE_SIZE)
    try:
        answer = teacher(probe)
    except RuntimeError as error:
        raise UserError(
            f'network_t: the teacher cannot take {channels}-channel images as the student does '
            f'({str(error).splitlines()[0]}).'
        ) from None
    expected = (1, channels, PROBE_SIZE * scale, PROBE_SIZE * scale)
    if tuple(answer.shape) != expected:
        raise UserError(
            f'network_t: the teacher turns {tuple(probe.shape)} into {tuple(answer.shape)}, but scale: '
            f'{scale} needs {expected}; use a teacher of that scale or change scale and network_g.'
        )
