"""What pages that import networks of anybody's share."""

import sys

import pytest
from basicsr.utils.registry import ARCH_REGISTRY

from tests.toys import forget_logger


@pytest.fixture
def _forgotten(monkeypatch):
    """What an import leaves behind is gone afterwards."""
    known, modules = dict(ARCH_REGISTRY._obj_map), set(sys.modules)
    monkeypatch.setattr(sys, 'path', sys.path[:])
    forget_logger()
    yield
    forget_logger()
    ARCH_REGISTRY._obj_map.clear()
    ARCH_REGISTRY._obj_map.update(known)
    for name in set(sys.modules) - modules:
        del sys.modules[name]
