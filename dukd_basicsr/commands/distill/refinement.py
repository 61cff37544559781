"""`--int8`: the trained student is refined through the roundings of its int8 graph, after the training it has had."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from dukd_basicsr.commands.distill.options_file import Settings
from dukd_basicsr.commands.distill.students import FAMILIES
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.build import build
from dukd_basicsr.networks.deploy import deploy
from dukd_basicsr.networks.fake_int8 import find_or_calibrate
from dukd_basicsr.networks.onnx import ranges

STAGE, FORM = 'refine', 'int8_trained'
"""The stage that does it, and the exported form that comes of it."""
SHARE, LEAST = 10, 150
"""A tenth of the training's iterations, at least the second: docs/export.md has 250 after 2,700 and 150, of which most
of what int8 costs comes back."""
SLOWER = 8
"""Of the training's first learning rate an eighth: docs/export.md has 5e-4 after 4e-3 for EDSR, and 1e-4 for the
SRVGGNetCompact whose training would have 6.7e-4 here."""
VALIDATIONS = 2


def refuse_unfit(student: str) -> None:
    """Refuse what could not be refined in the end, before anything is begun.

    Args:
        student (str): A key of FAMILIES.

    Raises:
        UserError: The student's blocks are folded when it is deployed.
    """
    if _is_folded(student):
        others = ' or '.join(name for name in FAMILIES if not _is_folded(name))
        raise UserError(
            f'--int8: {student} students are folded when they are deployed, so that other weights would be rounded '
            f'than are trained; give --student {others}, or leave --int8 out: int8 is then calibrated after training.'
        )


def _is_folded(student: str) -> bool:
    family = FAMILIES[student]
    net = build(family.make(*family.sizes[0], 2)).eval()
    return deploy(net) is not net


def refine(settings: Settings) -> Settings:
    """What the options file of the refinement says.

    Args:
        settings (Settings): Of the training that it goes on from: its teacher, its labels and its data are the same.
    """
    return replace(
        settings,
        name=f'{settings.name}_{FORM}',
        refines=f'experiments/{settings.name}/models/net_g_latest.pth',
        iterations=count_iterations(settings.iterations),
        validations=min(VALIDATIONS, settings.validations),
        rate=float(f'{settings.rate / SLOWER:.1e}'),
        late=False,  # logits distillation, as it was measured
        bf16=False,
    )


def count_iterations(training: int) -> int:
    """Iterations of the refinement after so many of the training.

    Example:
        >>> count_iterations(4), count_iterations(600), count_iterations(20_000)
        (4, 150, 2000)
    """
    return min(training, max(LEAST, training // SHARE))


def spend(iterations: int, step: float, refining: float) -> float:
    """Seconds of a training and its refinement.

    Args:
        iterations (int): Of the training.
        step (float): Seconds of each.
        refining (float): Seconds of an iteration of the refinement; 0 without one.
    """
    return iterations * step + count_iterations(iterations) * refining


def fit_iterations(budget: float, step: float, refining: float) -> float:
    """The iterations of a training that takes a time with its refinement: the inverse of `spend`.

    Args:
        budget (float): Seconds of both.
        step (float): As of `spend`, like the next.
        refining (float): Of the refinement.
    """
    long = min((budget - LEAST * refining) / step, budget / (step + refining / SHARE))
    return max(budget / (step + refining), long)


@contextmanager
def stand_in(settings: Settings) -> Iterator[str]:
    """A file of random weights with ranges, in place of the trained student, while an iteration is measured.

    Args:
        settings (Settings): Of a refinement.

    Yields:
        str: Its path.

    Raises:
        UserError: The network has other layers than convolutions.
    """
    net = build(settings.student).eval()
    with tempfile.TemporaryDirectory(prefix='dukd_int8_') as name:
        folder = Path(name)
        pixels = np.random.default_rng(0).integers(0, 256, (settings.patch, settings.patch, 3), np.uint8)
        cv2.imwrite(str(folder / 'noise.png'), pixels)
        opt: dict[str, Any] = {
            'path': {'pretrain_network_g': str(folder / 'none.pth')},
            'train': {'int8_opt': {'calibrate': str(folder)}},
            'network_g': dict(settings.student),
            'scale': settings.scale,
        }
        found = ranges.to_tensors(find_or_calibrate(net, opt))
        torch.save({'params': net.state_dict(), ranges.KEY: found}, folder / 'student.pth')
        yield str(folder / 'student.pth')
