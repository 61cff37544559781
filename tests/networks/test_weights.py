import re

import pytest
import torch
from torch import nn

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.weights import load_into, read_weights
from tests.toys import Malicious


def small_net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 3, 3))


def test_layouts_that_basicsr_writes(tmp_path):
    weights = small_net().state_dict()
    ema = {name: value + 1 for name, value in weights.items()}
    prefixed = {f'module.{name}': value for name, value in weights.items()}
    cases = [
        ({'params': weights, 'params_ema': ema}, 'params', weights),
        ({'params': weights, 'params_ema': ema}, 'params_ema', ema),
        ({'params': weights}, 'params_ema', weights),
        ({'params_ema': ema}, 'params', ema),
        ({'params': prefixed}, 'params', weights),
        (weights, 'params', weights),
        (weights, None, weights),
    ]
    for place, (content, key, expected) in enumerate(cases):
        path = tmp_path / f'{place}.pth'
        torch.save(content, path)
        torch.testing.assert_close(read_weights(path, key), dict(expected), rtol=0, atol=0)


def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path):
    path, target = tmp_path / 'bad.pth', tmp_path / 'made_by_pickle'
    torch.save({'params': Malicious(str(target))}, path)
    with pytest.raises(UserError, match='would run code'):
        read_weights(path)
    assert not target.exists()
    torch.load(path, weights_only=False)  # the file does what the test says it does
    assert target.exists()


@pytest.mark.parametrize('content', [b'', b'text', b'not a checkpoint', b'PK\x03\x04 half a zip file'])
def test_files_that_are_no_checkpoints(tmp_path, content):
    path = tmp_path / 'broken.pth'
    path.write_bytes(content)
    with pytest.raises(UserError, match='not a readable checkpoint'):
        read_weights(path)


def test_a_truncated_checkpoint(tmp_path):
    path = tmp_path / 'net.pth'
    torch.save({'params': small_net().state_dict()}, path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match='not a readable checkpoint'):
        read_weights(path)


def test_missing_file_and_missing_key_say_what_is_there(tmp_path):
    with pytest.raises(UserError, match='there is no such checkpoint file'):
        read_weights(tmp_path / 'none.pth')
    path = tmp_path / 'other.pth'
    torch.save({'generator': small_net().state_dict(), 'epoch': 3}, path)
    with pytest.raises(UserError, match='under param_key "params"; the file holds "generator", "epoch"'):
        read_weights(path)
    assert read_weights(path, 'generator').keys() == small_net().state_dict().keys()


def test_strict_loading_names_the_first_differences_and_leaves_the_network_alone():
    net = small_net()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    wrong = {'0.weight': torch.zeros(5, 3, 3, 3), '0.bias': torch.zeros(4), 'tail.weight': torch.zeros(1)}
    message = re.escape(
        'x.pth does not fit Sequential as configured: 0.weight is (5, 3, 3, 3) in the file, (4, 3, 3, 3) in the '
        'network; 2.weight is missing in the file; 2.bias is missing in the file; tail.weight is only in the file.'
    )
    with pytest.raises(UserError, match=message):
        load_into(net, wrong, 'x.pth')
    torch.testing.assert_close(dict(net.state_dict()), before, rtol=0, atol=0)


def test_loose_loading_takes_what_fits_and_refuses_a_stranger():
    net = small_net()
    differences = load_into(net, {'0.bias': torch.ones(4), 'tail.weight': torch.zeros(1)}, 'x.pth', strict=False)
    assert torch.equal(net[0].bias, torch.ones(4))
    assert len(differences) == 4
    with pytest.raises(UserError, match='does not fit'):
        load_into(net, {'tail.weight': torch.zeros(1)}, 'x.pth', strict=False)


def test_half_precision_weights_are_widened():
    net, half = small_net(), small_net().half().state_dict()
    load_into(net, half, 'x.pth')
    assert net[0].weight.dtype == torch.float32
    assert torch.equal(net[0].weight, half['0.weight'].float())
