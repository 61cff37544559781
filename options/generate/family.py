"""Every file of the family."""

from __future__ import annotations

import itertools

from options.generate.methods import RIVALS
from options.generate.networks import ACROSS, PAPER, SCALES
from options.generate.other_files import (
    FIRST_LINE,
    REAL_GAN,
    REAL_SWINIR,
    write_real_file,
    write_real_gan_file,
    write_test_file,
)
from options.generate.training import Training


def write_family() -> dict[str, str]:
    """Return the content of every file by its name."""
    own = itertools.product(('dukd_', 'kd_', ''), PAPER, SCALES)
    trainings = [Training(method, arch, arch, scale) for method, arch, scale in own]
    trainings += [Training('dukd_', teacher, student, 4) for teacher, student in ACROSS]
    trainings.append(Training('dukd_', 'edsr', 'edsr', 4, staged=True))
    trainings.append(Training('dukd_', 'edsr', 'edsr', 4, upcycled=True))
    trainings.append(Training('dukd_', 'edsr', 'edsr', 4, in_batch=True))
    trainings += [Training(method, arch, arch, 4) for method in RIVALS for arch in PAPER]
    trainings += [Training(method, 'edsr_f64b16', 'edsr_f64b16', 4) for method in ('dukd_', 'kd_', '')]
    trainings += [Training(method, 'edsr', 'edsr', 4, data='DF2K') for method in ('kd_', '')]
    files = {training.file: training.write() for training in trainings}
    files |= {REAL_SWINIR: write_real_file(), REAL_GAN: write_real_gan_file()}
    files |= {f'test_{arch}_x{scale}.yml': write_test_file(arch, scale) for arch in PAPER for scale in SCALES}
    return {name: FIRST_LINE + text for name, text in files.items()}
