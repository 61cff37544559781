"""What every test shares: BasicSR made importable, one thread a process, tiny data."""

from __future__ import annotations

import os
import signal

os.environ.setdefault('OMP_NUM_THREADS', '1')

import dukd_basicsr.plugin  # noqa: F401, I001  makes basicsr importable for every test module
import pytest
import torch
from hypothesis import settings

from tests.workplace import workplace  # noqa: F401  the fixture, for every module

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background is born ignoring it
settings.register_profile('project', deadline=None, max_examples=40, derandomize=True)
settings.load_profile('project')


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)
