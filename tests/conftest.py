"""What every test shares: BasicSR made importable, one thread a process, tiny data."""

from __future__ import annotations

import os
import signal

os.environ.setdefault('OMP_NUM_THREADS', '1')

import dukd_basicsr.plugin  # noqa: F401, I001  makes basicsr importable for every test module
import pytest
import torch
from hypothesis import settings

from tests import elsewhere, toys
from tests.workplace import workplace  # noqa: F401  the fixture, for every module

torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's job in the background is born ignoring it
settings.register_profile('project', deadline=None, max_examples=40, derandomize=True)
settings.load_profile('project')


def pytest_collection_modifyitems(items):
    """Files with slow tests come first: of two processes, one would wait for the other to end them."""
    slow = {item.path for item in items if item.get_closest_marker('slow')}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(autouse=True)
def _seeded():
    torch.manual_seed(0)


REAL = ['cpu', *(['cuda'] if torch.cuda.is_available() else [])]


@pytest.fixture(params=[elsewhere.NAME] if elsewhere.WANTED else REAL)
def device(request, monkeypatch):
    """The CPU, and CUDA too wherever there is a GPU; the models of `toys.train_options` are on it.

    In a process of its own (`tests/elsewhere.py`) a device that only says that it is another: devices do not mix.
    """
    if request.param == elsewhere.NAME:
        with elsewhere.enter(monkeypatch):
            yield elsewhere.DEVICE
    else:
        _use(request.param, monkeypatch)
        yield torch.device(request.param)


@pytest.fixture(params=REAL)
def real_device(request, monkeypatch):
    """As `device`, for what no other device has: autocast, compilers, commands in processes of their own."""
    _use(request.param, monkeypatch)
    return torch.device(request.param)


def _use(name, monkeypatch):
    """On CUDA in float32 as the CPU has it, with algorithms that repeat themselves: results can be compared."""
    if name == 'cuda':
        monkeypatch.setattr(toys, 'NUM_GPU', 1)
        monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)
        monkeypatch.setattr(torch.backends.cudnn, 'deterministic', True)
        monkeypatch.setattr(torch.backends.cudnn, 'benchmark', False)
