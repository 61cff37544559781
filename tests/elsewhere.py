"""A device that no machine has: tensors there compute as on the CPU, and do not mix with the CPU's.

What would fail on a GPU with "Expected all tensors to be on the same device" fails here too, on any machine. A tensor
of it wraps one of the CPU; every operator goes through `_run`, which looks at where its arguments are. What it cannot
show is what depends on CUDA itself: kernels, autocast, streams, pinned memory. `TESTS_DEVICE=elsewhere pytest ...` has
the fixture `device` yield it; tests/test_elsewhere.py does so.
"""

from __future__ import annotations

import os

import torch
from torch import nn
from torch.utils import backend_registration
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_leaves, tree_map_only

NAME = 'elsewhere'
"""For torch's `privateuseone`, which it keeps for devices that it does not know."""
MOVING = {'_to_copy', 'copy_', '_foreach_copy_'}
"""Operators that take tensors from one device to another."""
WANTED = os.environ.get('TESTS_DEVICE') == NAME
"""torch believes in one such device a process, for good: the tests on it have a process of their own."""
if WANTED:
    backend_registration._setup_privateuseone_for_python_backend(NAME)
DEVICE = torch.device(NAME if WANTED else 'cpu', 0)


def can_be_had() -> bool:
    """Whether this torch takes devices that are written in Python, as those from 2.10 on do."""
    return hasattr(backend_registration, '_setup_privateuseone_for_python_backend')


class There(torch.Tensor):
    """A tensor of that device; `raw` is the CPU's that it stands for."""

    @staticmethod
    def __new__(cls, raw):
        made = torch.Tensor._make_wrapper_subclass(
            cls, raw.shape, strides=raw.stride(), storage_offset=raw.storage_offset(), dtype=raw.dtype, device=DEVICE
        )
        made.raw = raw
        return made

    def __init__(self, raw):
        pass

    def __repr__(self):
        return f'There({self.raw})'

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class Everything(TorchDispatchMode):
    """Operators that make tensors have none to tell them the device by."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


class Generator(torch.Generator):
    """The CPU's, which says that it is of another device."""

    def __new__(cls, device='cpu'):
        made = super().__new__(cls)
        made.named = torch.device(device)
        return made

    def __init__(self, device='cpu'):
        pass

    @property
    def device(self):
        return DEVICE if self.named.type == DEVICE.type else self.named


def _run(func, args, kwargs):
    name = func.overloadpacket.__name__
    tensors = [each for each in tree_leaves((args, kwargs)) if isinstance(each, torch.Tensor)]
    there = [each for each in tensors if isinstance(each, There)]
    # Numbers of the CPU, tensors without dimensions, go with any device's, as on CUDA.
    strange = [each for each in tensors if not isinstance(each, There) and each.dim()]
    if there and strange and name not in MOVING:
        raise RuntimeError(f'{func}: all tensors must be on one device, but {len(strange)} of them are on the CPU')
    to_there = bool(there)
    if kwargs.get('device') is not None:
        to_there = torch.device(kwargs['device']).type == DEVICE.type
        kwargs = {**kwargs, 'device': torch.device('cpu')}
    elif name in MOVING:
        to_there = isinstance(tree_leaves(args[0])[0], There)
    known = {id(each.raw): each for each in there}
    raw_args, raw_kwargs = tree_map_only(There, lambda each: each.raw, (args, kwargs))
    with _disable_current_modes():
        out = func(*raw_args, **raw_kwargs)

    def wrap(tensor):
        if id(tensor) in known:  # changed in place
            return known[id(tensor)]
        return There(tensor) if to_there else tensor

    return tree_map_only(torch.Tensor, wrap, out)


def _move(module, *args, **kwargs):
    """`nn.Module.to`: new parameters, since torch cannot put a tensor of another kind into an old one."""
    device, dtype, _, layout = torch._C._nn._parse_to(*args, **kwargs)
    for each in module.modules():
        for name, tensor in each._parameters.items():
            if tensor is not None:
                moved = _move_tensor(tensor.detach(), device, dtype, layout)
                each._parameters[name] = nn.Parameter(moved, tensor.requires_grad)
        for name, tensor in each._buffers.items():
            each._buffers[name] = None if tensor is None else _move_tensor(tensor, device, dtype, layout)
    return module


def _move_tensor(tensor, device, dtype, layout):
    dtype = dtype if tensor.is_floating_point() else None
    tensor = tensor.to(device=device or tensor.device, dtype=dtype or tensor.dtype)
    return tensor if layout is None or tensor.dim() != 4 else tensor.to(memory_format=layout)


def enter(monkeypatch):
    """Make the device the one of BasicSR's models, until `monkeypatch` is undone; returns a context for the test."""
    from basicsr.models.base_model import BaseModel

    init = BaseModel.__init__

    def init_there(self, opt):
        init(self, opt)
        self.device = DEVICE

    monkeypatch.setattr(BaseModel, '__init__', init_there)
    monkeypatch.setattr(nn.Module, 'to', _move)
    monkeypatch.setattr(nn.Module, 'double', lambda module: module.to(torch.float64))
    monkeypatch.setattr(torch, 'Generator', Generator)
    return Everything()
