"""Blocks that train as several branches, folded: the same answers, an untouched original, the published sizes."""

import copy

import pytest
import torch
from torch import nn

from dukd_basicsr.networks.cost import count_parameters
from dukd_basicsr.networks.deploy import TOLERANCE, deploy, deploy_checked
from dukd_basicsr.networks.weights import build_network
from tests.toys import STUDENT

ECBSR = {'type': 'ECBSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 2, 'num_channel': 5, 'with_idt': True,
         'act_type': 'prelu', 'scale': 2}  # fmt: skip
SPAN = {'type': 'SPAN', 'feature_channels': 6, 'upscale': 2, 'img_range': 1.0}


class RepVGGBlock(nn.Module):
    """Identity, 1x1 and 3x3 side by side, with the protocol of RepVGG's code."""

    def __init__(self, channels, wrong=0.0):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(channels, channels, 3, padding=1), nn.Conv2d(channels, channels, 1)
        self.wrong, self.folds = wrong, 0

    def forward(self, x):
        if self.narrow is None:
            return self.wide(x)
        return self.wide(x) + self.narrow(x) + x

    def switch_to_deploy(self):
        self.folds += 1
        weight = self.wide.weight.data.clone()
        weight[..., 1:2, 1:2] += self.narrow.weight + torch.eye(len(weight))[..., None, None] + self.wrong
        self.wide.weight.data = weight
        self.wide.bias.data = self.wide.bias + self.narrow.bias
        self.narrow = None


class TwiceTheSame(nn.Module):
    """One block in two places, as weights are shared."""

    def __init__(self):
        super().__init__()
        self.first = RepVGGBlock(3)
        self.rest = nn.ModuleList([nn.Sequential(self.first), RepVGGBlock(3)])

    def forward(self, x):
        return self.rest[1](self.rest[0](self.first(x)))


def randomise(net):
    """Weights as large as each other, so that no branch is too weak to be missed."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if not name.endswith('mask'):
                parameter.copy_(torch.randn(parameter.shape, generator=generator) / 3)
    return net


def convolutions(net):
    return sum(isinstance(module, nn.Conv2d) for module in net.modules())


def train_forward(net, image):
    """What the branches compute, apart from eval mode, where some networks fold themselves."""
    net = copy.deepcopy(net).train()
    with torch.no_grad():
        return net(image)


@pytest.mark.parametrize('idt', [False, True])
@pytest.mark.parametrize('act', ['prelu', 'relu', 'softplus', 'linear'])
def test_ecbsr_is_one_convolution_a_block(idt, act):
    net = randomise(build_network({**ECBSR, 'with_idt': idt, 'act_type': act})).double()
    image = torch.rand(2, 3, 9, 7, dtype=torch.float64)
    deployed = deploy(net)
    # In float64 stock's own fold raises, so the branches are the second opinion; 1e-15 is a few roundings of float64.
    torch.testing.assert_close(deployed(image), train_forward(net, image), rtol=1e-12, atol=1e-12)
    assert convolutions(deployed) == 4
    assert not any(type(module).__name__ in ('ECB', 'SeqConv3x3') for module in deployed.modules())


def test_span_is_what_its_branches_compute():
    net = randomise(build_network(SPAN)).double()
    image = torch.rand(2, 3, 9, 7, dtype=torch.float64)
    deployed = deploy(net)
    expected = train_forward(net, image)
    torch.testing.assert_close(deployed(image), expected, rtol=1e-11, atol=1e-11 * expected.abs().max())
    assert convolutions(deployed) == 20 + 2  # blocks of three, the first and last, and two that are plain
    assert not any(type(module).__name__ == 'Conv3XC' for module in deployed.modules())


def test_conv3xc_with_an_activation_keeps_it():
    from spandrel.architectures.SPAN.__arch.span import Conv3XC

    block = randomise(Conv3XC(4, 5, gain1=2, relu=True)).double()
    image = torch.randn(1, 4, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(deploy(block)(image), train_forward(block, image), rtol=1e-12, atol=1e-12)


def test_repvgg_blocks_switch_once_wherever_they_stand():
    net = TwiceTheSame()
    image = torch.rand(1, 3, 6, 5)
    deployed = deploy(net)
    torch.testing.assert_close(deployed(image), net(image))
    assert deployed.first is deployed.rest[0][0]
    assert [block.folds for block in (deployed.first, deployed.rest[1])] == [1, 1]
    assert [block.folds for block in (net.first, net.rest[1])] == [0, 0]


@pytest.mark.parametrize('network', [ECBSR, SPAN], ids=lambda network: network['type'])
def test_float32_is_equal_and_the_original_untouched(network):
    net = build_network(network)
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    image = torch.rand(1, 3, 12, 10)
    deployed = deploy(net)
    assert net.training
    assert not deployed.training
    assert [name for name, value in net.named_parameters() if not value.requires_grad] == [
        name for name in before if name.endswith('mask') or '.eval_conv.' in name
    ]
    assert not any(parameter.requires_grad for parameter in deployed.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    expected = train_forward(net, image)
    assert (deployed(image) - expected).abs().max() <= TOLERANCE * expected.abs().max().clamp(min=1)
    found = deploy_checked(net.eval(), 3)
    assert found.trained is net
    assert found.note is None
    assert count_parameters(found.net) == count_parameters(deployed)


def test_networks_without_blocks_stay_themselves():
    net = build_network(STUDENT).eval()
    assert deploy(net) is net
    found = deploy_checked(net, 3)
    assert (found.net, found.trained, found.note) == (net, None, None)


@pytest.mark.parametrize(
    ('break_it', 'said'),
    [
        (lambda block: setattr(block, 'wrong', 0.01), 'folded, its answer differs by '),
        (lambda block: setattr(block, 'wrong', float('nan')), 'folded, its answer differs by nan.'),
        (lambda block: block.wide.register_parameter('bias', None), 'its blocks cannot be folded (TypeError'),
    ],
    ids=['another function', 'no numbers', 'raises'],
)
def test_a_fold_that_is_wrong_is_not_used(break_it, said):
    net = nn.Sequential(RepVGGBlock(3)).eval()
    break_it(net[0])
    found = deploy_checked(net, 3)
    assert found.net is net
    assert found.trained is None
    assert said in found.note
    assert found.note.startswith('Sequential is measured and exported as it was trained: ')


def test_published_sizes():
    # ECBSR-M4C16 x4 and SPAN x4 by hand: 3x3 kernels and biases, PReLU slopes; SPAN has 20 blocks and a 1x1.
    ecbsr = build_network({**ECBSR, 'num_block': 4, 'num_channel': 16, 'with_idt': False, 'scale': 4})
    assert count_parameters(ecbsr) == 95_472
    assert count_parameters(deploy(ecbsr)) == 16_768 == (
        (27 * 16 + 16) + 4 * (9 * 16 * 16 + 16) + 5 * 16 + (9 * 16 * 48 + 48)
    )  # fmt: skip
    span = build_network({'type': 'SPAN', 'feature_channels': 48, 'upscale': 4})
    assert count_parameters(span) == 2_236_728
    assert count_parameters(deploy(span)) == (
        (27 * 48 + 48) + 19 * (9 * 48 * 48 + 48) + (4 * 48 * 48 + 48) + (9 * 48 * 48 + 48)
    )  # fmt: skip
