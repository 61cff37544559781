import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dukd_basicsr.networks import padding
from dukd_basicsr.networks.padding import SizeRequirement
from dukd_basicsr.networks.weights import build_network
from tests.toys import TINY_SWINIR, IdentityUp


@given(height=st.integers(1, 20), width=st.integers(1, 20), multiple=st.integers(1, 9), minimum=st.integers(1, 25))
def test_pads_to_the_smallest_size_that_fits_by_reflection(height, width, multiple, minimum):
    lq = torch.rand(1, 2, height, width)
    requirement = SizeRequirement(multiple, minimum)
    padded = padding.pad(lq, requirement)
    for side, wanted in zip((height, width), padded.shape[-2:], strict=True):
        assert wanted == next(n for n in range(side, 100) if n % multiple == 0 and n >= minimum)
    after = [(0, wanted - side) for side, wanted in zip(lq.shape, padded.shape, strict=True)]
    assert np.array_equal(padded.numpy(), np.pad(lq.numpy(), after, mode='reflect'))


@pytest.mark.parametrize('scale', [1, 2, 3])
def test_crop_gives_back_exactly_what_belongs_to_the_input(scale):
    lq = torch.rand(2, 3, 13, 21)
    net = IdentityUp(scale)
    assert torch.equal(padding.forward(net, lq, SizeRequirement(8)), net(lq))


def test_networks_say_what_they_need():
    assert padding.find_size_requirement(nn.Conv2d(3, 3, 1)) == SizeRequirement(1, 1)
    swinir = build_network(TINY_SWINIR)
    assert padding.find_size_requirement(swinir) == SizeRequirement(8)
    assert padding.find_size_requirement(nn.DataParallel(swinir)) == SizeRequirement(8)


def test_swinir_answers_for_every_size_as_basicsr_validates_it():
    from basicsr.models.swinir_model import SwinIRModel

    net = build_network(TINY_SWINIR).eval()
    lq = torch.rand(1, 3, 12, 17)
    with torch.no_grad():
        ours = padding.forward(net, lq, padding.find_size_requirement(net))
    stock = SwinIRModel.__new__(SwinIRModel)
    stock.opt, stock.lq, stock.net_g_ema = {'network_g': TINY_SWINIR, 'scale': 2}, lq, net
    stock.test()
    assert torch.equal(ours, stock.output)


def test_padded_pixels_carry_no_gradient_of_the_loss():
    net = IdentityUp(2)
    lq = torch.rand(1, 1, 5, 5, requires_grad=True)
    seen = []

    def spy(x):
        x.retain_grad()
        seen.append(x)
        return net(x)

    padding.forward(spy, lq, SizeRequirement(8)).sum().backward()
    assert seen[0].grad[..., :5, :5].eq(4).all()
    assert seen[0].grad[..., 5:, :].eq(0).all()
    assert seen[0].grad[..., :, 5:].eq(0).all()


@pytest.mark.parametrize(('scale', 'multiple'), [(4, 1), (2, 2), (1, 4)])
def test_rrdbnet_that_folds_pixels_first_takes_any_side_when_padded(scale, multiple):
    sizes = {'num_feat': 4, 'num_block': 1, 'num_grow_ch': 2}
    net = build_network({'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'scale': scale, **sizes}).eval()
    requirement = padding.find_size_requirement(net)
    assert requirement.multiple == multiple
    assert padding.forward(net, torch.rand(1, 3, 5, 7), requirement).shape == (1, 3, 5 * scale, 7 * scale)
