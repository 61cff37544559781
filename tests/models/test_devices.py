"""A step on any device is that of the CPU: views, teacher, losses, guard, optimizer and EMA, each switch once.

On a GPU these are its first proof; without one they run on a device that only says that it is another
(`tests/elsewhere.py`), where whatever was left on the CPU is found as CUDA would find it.
"""

from __future__ import annotations

import copy

import pytest
import torch
from basicsr.models import build_model

from tests.toys import L1, STUDENT, TEACHER, batch, save_vgg, save_weights, train_options

EVERYTHING = {
    **L1,
    'zoom_in': {'num': 3, 'crops': 'grid'},
    'consistency': {
        'prob': 0.5,
        'ops': ['invert', 'hflip', 'vflip', 'transpose', 'permute', 'translate'],
        'views': ['lq', 'zoom_in', 'zoom_out'],
    },
}
TAPS = {'taps': {'student': ['body.0'], 'teacher': ['body.1']}}
CASES = {
    'plain': {},
    'everything': {'dukd_opt': EVERYTHING, 'grad_clip': 1e-3},
    'in the batch, growing': {'dukd_opt': {**EVERYTHING, 'zoom_in': {}, 'in_batch': 0.5,
                                           'schedule': {'start': 0, 'end': 4}}},
    'channels last, in parts': {'channels_last': True, 'accumulate': 2, 'dukd_opt': EVERYTHING},
    'losses of features': {'feature_opt': {
        name: {'type': name} for name in ('FitNetLoss', 'ATLoss', 'FAKDLoss', 'RKDLoss', 'CrossKDLoss', 'MiPKDLoss')
    }},
    'losses of outputs': {'feature_opt': {
        'wavelet': {'type': 'WaveletLoss', 'levels': 2}, 'csd': {'type': 'CSDLoss', 'vgg': 'vgg.pth', 'negatives': 1},
        'fsp': {'type': 'FSPLoss', 'taps': {'student': ['conv_first', 'body.0'], 'teacher': ['conv_first', 'body.1']}},
    }},
}  # fmt: skip


def build_for(folder, train, **more):
    """The model of a case, with the same student and teacher on every device, and draws of the CPU's generator."""
    opt = train_options(folder, **copy.deepcopy(train))
    opt.update(copy.deepcopy(more))
    for loss in (opt['train'].get('feature_opt') or {}).values():
        loss |= {'vgg': str(folder / loss['vgg'])} if 'vgg' in loss else {}
    opt['path']['pretrain_network_g'] = str(folder / 'student.pth')
    torch.manual_seed(1)
    model = build_model(opt)
    if model.device.type == 'cuda':
        model.generator = torch.Generator()  # CUDA's draws are others
    return model


def train(model, data, steps=2):
    for iteration in range(1, steps + 1):
        model.update_learning_rate(iteration, warmup_iter=-1)
        model.feed_data(data)
        model.optimize_parameters(iteration)
    return model


def to_cpu(tensors):
    return {name: tensor.detach().cpu() for name, tensor in tensors.items()}


def compare(model, expected):
    """Terms, weights and averages, of the same values and all on the model's device."""
    nets = [(model.net_g, expected.net_g), (model.net_g_ema, expected.net_g_ema)]
    for found, wanted in [(model.log_dict, expected.log_dict), *((a.state_dict(), b.state_dict()) for a, b in nets)]:
        assert {tensor.device.type for tensor in found.values()} == {model.device.type}
        torch.testing.assert_close(to_cpu(found), to_cpu(wanted), rtol=1e-4, atol=1e-6)


@pytest.fixture
def on_cpu(tmp_path):
    """Models trained before the device is entered: fixtures are made in the order of their names in a test."""
    save_weights(tmp_path / 'student.pth', STUDENT)
    save_weights(tmp_path / 'teacher.pth', TEACHER)
    save_vgg(tmp_path / 'vgg.pth')
    return {name: train(build_for(tmp_path, case), batch(8)) for name, case in CASES.items()}


@pytest.fixture
def there(on_cpu, device):
    """The device, after the CPU has done its part."""
    return device


def test_a_step_is_that_of_the_cpu(on_cpu, there, tmp_path):
    for name, case in CASES.items():
        model = train(build_for(tmp_path, case), batch(8))
        assert model.device == there or there.type == 'cuda', name
        compare(model, on_cpu[name])
