"""A network that goes on from features: its own give its own answer, others what its rest makes of them."""

import copy

import pytest
import torch

from dukd_basicsr.distillation.continuation import Continuation
from dukd_basicsr.distillation.taps import Taps
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.weights import build_network
from tests.distillation.toy_features import RCAN, SWINIR
from tests.toys import STUDENT, TEACHER

PROBE = torch.zeros(1, 3, 16, 16)


def going(net, path, dtype=None):
    return Continuation(net, [path], PROBE, dtype)


def own(net, path, x):
    """What a module of the network answers to an image, and what the network does."""
    taps = Taps(net, [path], 'key')
    with torch.no_grad(), taps.record(len(x)):
        answer = padding.forward(net, x, padding.find_size_requirement(net))
        return taps.read(path, x.shape[-2:]), answer


@pytest.mark.parametrize(
    ('network', 'path', 'size'),
    [
        (TEACHER, 'body.0', (8, 6)),
        (TEACHER, 'body.1', (8, 6)),
        (TEACHER, 'body.1.conv1', (8, 6)),
        (TEACHER, 'conv_after_body', (8, 6)),
        (TEACHER, 'upsample.1', (8, 6)),
        (RCAN, 'body.1', (8, 6)),
        (SWINIR, 'layers.0', (16, 8)),
        (SWINIR, 'layers.1', (12, 10)),
        (SWINIR, 'conv_after_body', (12, 10)),
        (SWINIR, 'upsample.0', (12, 10)),
    ],
)
def test_from_its_own_features_a_network_goes_on_to_its_own_answer(network, path, size):
    net = build_network(network).eval()
    x = torch.rand(2, 3, *size)
    features, answer = own(net, path, x)
    torch.testing.assert_close(going(net, path)(x, path, features), answer)
    other = going(net, path)(x, path, features + torch.randn(features.shape))
    assert other.shape == answer.shape
    assert (other - answer).abs().max() > 1e-4


def test_from_other_features_the_rest_makes_the_image_and_the_skip_connection_is_its_own():
    net = build_network(TEACHER)
    x, features = torch.rand(2, 3, 8, 6), torch.randn(2, 8, 8, 6)
    first = net.conv_first((x - net.mean) * net.img_range)
    rest = net.conv_after_body(net.body[1](features)) + first
    expected = net.conv_last(net.upsample(rest)) / net.img_range + net.mean
    torch.testing.assert_close(going(net, 'body.0')(x, 'body.0', features), expected)


def test_what_a_module_answers_to_padding_stays_its_own():
    net = build_network(SWINIR).eval()
    x, features = torch.rand(1, 3, 12, 10), torch.randn(1, 12, 12, 10)
    padded = padding.pad(x, padding.find_size_requirement(net))
    whole, _ = own(net, 'layers.1', padded)
    whole = whole.clone()
    whole[..., :12, :10] = features
    expected = padding.crop(going(net, 'layers.1')(padded, 'layers.1', whole), padded, x)
    torch.testing.assert_close(going(net, 'layers.1')(x, 'layers.1', features), expected)


def test_blocks_before_the_module_are_not_asked_and_the_features_stay_as_they_are():
    net = build_network({**TEACHER, 'num_block': 4})
    go_on, asked = going(net, 'body.2'), []
    for name, module in net.named_modules():
        if name.endswith('conv1'):
            module.register_forward_hook(lambda m, x, y, name=name: asked.append(name))
    features = torch.randn(1, 8, 8, 8)
    before = features.clone()
    go_on(torch.rand(1, 3, 8, 8), 'body.2', features)
    assert asked == ['body.3.conv1']
    go_on = going(net, 'conv_after_body')  # whose answer EDSR adds to in place
    go_on(torch.rand(1, 3, 8, 8), 'conv_after_body', features)
    assert torch.equal(features, before)


def test_gradients_reach_the_features_but_no_frozen_parameter():
    net = build_network(TEACHER).double().requires_grad_(False)
    x, features = torch.rand(1, 3, 4, 4).double(), torch.randn(1, 8, 4, 4).double().requires_grad_()
    go_on = Continuation(net, ['body.0'], PROBE.double())
    assert torch.autograd.gradcheck(lambda f: go_on(x, 'body.0', f), [features])
    assert all(parameter.grad is None for parameter in net.parameters())


def test_a_trained_network_gets_gradients_behind_the_module_and_in_its_skip_connection_only():
    net = build_network(TEACHER)
    go_on = going(net, 'body.0')
    go_on(torch.rand(1, 3, 8, 8), 'body.0', torch.randn(1, 8, 8, 8)).mean().backward()
    without = {name for name, parameter in net.named_parameters() if parameter.grad is None}
    assert without == {f'body.0.conv{number}.{kind}' for number in (1, 2) for kind in ('weight', 'bias')}


def test_the_network_is_as_it_was_also_after_a_failure():
    net = build_network(TEACHER).train()
    state, x = copy.deepcopy(net.state_dict()), torch.rand(1, 3, 8, 8)
    answer = net(x)
    go_on = going(net, 'body.1')
    go_on(x, 'body.1', torch.randn(1, 8, 8, 8))
    with pytest.raises(RuntimeError):
        go_on(x, 'body.1', torch.randn(1, 5, 8, 8))
    assert net.training
    assert all('forward' not in vars(module) and not module._forward_hooks for module in net.modules())
    assert torch.equal(net(x), answer)
    torch.testing.assert_close(dict(net.state_dict()), dict(state), rtol=0, atol=0)


def test_in_fewer_bits_the_answer_is_as_precise_as_the_image():
    net = build_network(TEACHER)
    x, features = torch.rand(1, 3, 8, 8), torch.randn(1, 8, 8, 8)
    exact, rounded = (going(net, 'body.0', dtype)(x, 'body.0', features) for dtype in (None, torch.bfloat16))
    assert rounded.dtype == torch.float32
    assert not torch.equal(exact, rounded)
    torch.testing.assert_close(rounded, exact, rtol=0, atol=0.02)


def test_a_compiled_network_is_asked_as_it_stands():
    net = build_network(STUDENT)
    x, features = torch.rand(1, 3, 8, 8), torch.randn(1, 4, 8, 8)
    expected = going(net, 'body.0')(x, 'body.0', features)
    net.compile(backend='eager', dynamic=False)
    answer = net(x)
    torch.testing.assert_close(going(net, 'body.0')(x, 'body.0', features), expected)
    torch.testing.assert_close(net(x), answer)
