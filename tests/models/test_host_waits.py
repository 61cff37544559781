"""On a GPU the host must not wait for the device within a step. Both ways of waiting can be seen without one."""

from types import SimpleNamespace

import pytest
import torch
from basicsr.models import build_model
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tests.toys import L1, SWINIR, batch, save_weights, train_options

READING = {'_local_scalar_dense', 'nonzero', 'masked_select', 'is_nonzero', 'equal', '_unique2', 'unique_dim'}
"""Operators that read a value of the device, or whose size it decides."""
READING_CALLS = {'item', 'tolist', 'numpy', 'cpu', '__bool__', '__float__', '__int__', '__index__', '__array__'}


class Operators(TorchDispatchMode):
    """Notes the operators that would make the host wait."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.seen = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen += 1
        name = func.overloadpacket.__name__
        tensors = [each for each in tree_leaves(args) if isinstance(each, torch.Tensor)]
        out = func(*args, **(kwargs or {}))
        if name in READING or (name.startswith('index') and any(each.dtype == torch.bool for each in tensors[1:])):
            self.found.append(name)
        # A tensor of Python's numbers, or one made by the host, that the device needs.
        if name == 'lift_fresh' or (name in ('_to_copy', 'copy_') and _devices([tensors[-1]]) != _devices([out])):
            self.found.append('copy')
        return out


def _devices(tensors):
    return {each.device for each in tensors}


class Calls(TorchFunctionMode):
    """Notes the calls on tensors that would."""

    def __init__(self):
        super().__init__()
        self.found = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if getattr(func, '__name__', '') in READING_CALLS:
            self.found.append(func.__name__)
        return func(*args, **(kwargs or {}))


def waits(work):
    operators, calls = Operators(), Calls()
    with calls, operators:
        work()
    assert operators.seen > 0
    return operators.found + calls.found


@pytest.mark.parametrize(
    'wait',
    [
        lambda x: x.item(), lambda x: float(x), lambda x: bool(x > 0), lambda x: x.tolist(), lambda x: x[x > 0],
        lambda x: torch.tensor([1.0]) + x, lambda x: (x > 0).nonzero(), lambda x: x.cpu() + x,
        lambda x: x.to(torch.device('meta')), lambda x: torch.empty((), device='meta').copy_(x),
    ],
)  # fmt: skip
def test_waits_are_seen(wait):
    x = torch.ones(())
    assert waits(lambda: wait(x + 0))


def brought(samples):
    """What an UpcycledImageDataset adds to a batch."""
    small = torch.rand(samples, 3, 4, 4)
    return {'lq_label': torch.rand(samples, 3, 16, 16), 'zoom_in': torch.rand(samples, 1, 3, 8, 8),
            'zoom_in_label': torch.rand(samples, 1, 3, 16, 16), 'zoom_out': small,
            'zoom_out_label': torch.rand(samples, 3, 8, 8)}  # fmt: skip


DUKD = {**L1, 'zoom_in': {'num': 1}, 'consistency': {'prob': 0.5}}


def model_of(folder, network, train):
    opt = train_options(folder, **{'dukd_opt': DUKD, **train})
    opt['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    if network:
        opt['network_g'] = opt['network_t'] = network
        save_weights(folder / 'teacher.pth', network)
    return build_model(opt)


ADVERSARIAL = {'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1},
               'optim_d': {'type': 'Adam', 'lr': 1e-3}}  # fmt: skip
CASES = {
    'EDSR': ({}, {}, False),
    'clipped parts': ({}, {'grad_clip': 1.0, 'accumulate': 2, 'channels_last': True}, False),
    'cached': ({}, {}, True),
    'in the batch': ({}, {'dukd_opt': {**DUKD, 'in_batch': 0.5}}, False),
    'in the batch, cached': ({}, {'dukd_opt': {**DUKD, 'in_batch': 0.5}}, True),
    'SwinIR': (SWINIR, {}, False),
    'a discriminator': ({}, ADVERSARIAL, False),
    'a discriminator alone': ({}, {**ADVERSARIAL, 'net_d_init_iters': 2}, False),
}


@pytest.mark.parametrize(
    ('network', 'train', 'cached'),
    [*CASES.values(), ({}, {'amp': 'bf16', 'teacher_opt': {'precision': 'bf16'}}, False)],
    ids=[*CASES, 'bf16'],
)
def test_a_step_reads_nothing(tmp_path, network, train, cached):
    model = model_of(tmp_path, network, train)
    data = batch(samples=4) | (brought(4) if cached else {})

    def step(iteration):
        model.update_learning_rate(iteration, warmup_iter=-1)
        model.feed_data(data)
        model.optimize_parameters(iteration)

    step(1)  # the first may: networks move their constants, masks are made
    assert waits(lambda: step(2)) == []
    assert torch.isfinite(model.log_dict['l_d_real' if 'net_d_init_iters' in train else 'l_zoom_in'])


@pytest.mark.parametrize(('network', 'train', 'cached'), CASES.values(), ids=CASES)
def test_a_step_sends_nothing_but_its_batch(tmp_path, monkeypatch, network, train, cached):
    """Forward and backward on torch's meta device, which like a GPU takes no tensor of the host's and has no values."""
    model = model_of(tmp_path, network, train)
    model.device = torch.device('meta')
    for net in (model.net_g, model.net_t, *([model.net_d] if model.adversary else [])):
        net.to('meta')
    model.generator = SimpleNamespace(device=model.device, manual_seed=lambda seed: None)  # the meta device has none
    for name in ('rand', 'randint'):
        draw = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *args, generator=None, draw=draw, **named: draw(*args, **named))
    updated = []
    # Adam knows no meta device; the test above has it.
    monkeypatch.setattr(model, '_update', lambda loss, *_: updated.append(loss))
    data = batch(samples=4) | (brought(4) if cached else {})
    model.feed_data(data)
    model.optimize_parameters(1)  # networks move their constants, masks are made
    assert waits(lambda: model.optimize_parameters(2)) == []
    assert updated[1].device == model.device
    sent = []
    for name, value in data.items():
        data[name] = value.as_subclass(Noted)
    monkeypatch.setattr(Noted, 'sent', sent)
    model.feed_data(data)
    assert len(sent) == len(data)
    assert all(sent)


class Noted(torch.Tensor):
    """Notes whether it was sent to a device without waiting for it."""

    sent = None

    def to(self, *args, non_blocking=False, **named):
        self.sent.append(non_blocking)
        return self.as_subclass(torch.Tensor).to(*args, non_blocking=non_blocking, **named)
