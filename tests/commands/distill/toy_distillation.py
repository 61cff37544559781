"""A teacher and photographs, as small as `basicsr distill` takes them."""

from __future__ import annotations

import pytest

from dukd_basicsr.cli import main
from dukd_basicsr.commands.distill.options_file import Settings
from tests.images import fill
from tests.toys import STUDENT, forget_logger, save_weights

TEACHER = {**STUDENT, 'num_feat': 24, 'num_block': 3}
SETTINGS = Settings(
    name='toy', scale=2, student=STUDENT, teacher=TEACHER, teacher_file='experiments/pretrained_models/a: #1.pth',
    patch=32, batch=8, workers=1, iterations=12_000, rate=3.8e-3, cached=False, late=False, val_set='held_out',
)  # fmt: skip
SHORT = ('--student', 'compact', '--params', '3K', '-o', 'run')


@pytest.fixture
def studio(tmp_path, monkeypatch):
    """The current folder, with teacher.pth and twelve photographs in photos/."""
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / 'teacher.pth', TEACHER)
    fill(tmp_path / 'photos', *[(70 + n, 80) for n in range(12)])
    forget_logger()
    yield tmp_path
    forget_logger()


def distill(*words):
    """The exit code of `basicsr distill teacher.pth photos` with these words."""
    return main(['distill', 'teacher.pth', 'photos', *map(str, words)])
