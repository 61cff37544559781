"""Tiles against the whole image, and what they know of a network against what its gradients say."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from dukd_basicsr.networks import padding, tiling
from dukd_basicsr.networks.cost import read_free_memory
from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.networks.tiling import find_margin, find_overlap, fit_tile, is_exact, super_resolve_tiled
from dukd_basicsr.networks.weights import build_network
from tests.toys import STUDENT, TINY_SWINIR, IdentityUp

RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1, 'num_grow_ch': 2}
EXACT = {
    'EDSR': STUDENT,
    'SRVGGNetCompact': {'type': 'SRVGGNetCompact', 'num_feat': 4, 'num_conv': 3, 'upscale': 4},
    'RRDBNet x4': {**RRDB, 'scale': 4},
    'RRDBNet x2': {**RRDB, 'scale': 2},
    'RRDBNet x1': {**RRDB, 'scale': 1},
}
SWINIR = {**TINY_SWINIR, 'depths': [2, 2], 'num_heads': [2, 2], 'upsampler': 'pixelshuffledirect'}
RCAN = {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_group': 1, 'num_block': 1,
        'squeeze_factor': 2, 'upscale': 2}  # fmt: skip


def sharp(network):
    """A network that listens to its neighbourhood more than a fresh one does."""
    net = build_network(network).eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(2)
    return net


@pytest.mark.parametrize('name', EXACT)
def test_tiles_equal_the_whole(name, device):
    net, lq = sharp(EXACT[name]).to(device), torch.rand(1, 3, 43, 30, device=device)
    with torch.no_grad():
        whole = super_resolve(net, lq)
    assert whole.std() > 0.01
    assert is_exact(net)
    for tile in (13, 30, 200):
        seen = []
        tiled = super_resolve_tiled(net, lq, tile, progress=lambda done, of, seen=seen: seen.append((done, of)))
        torch.testing.assert_close(tiled, whole, rtol=0, atol=1e-5)
        step = -(-tile // padding.find_size_requirement(net).multiple) * padding.find_size_requirement(net).multiple
        count = -(-43 // step) * -(-30 // step)
        assert seen == [(number, count) for number in range(1, count + 1)]


def test_a_margin_that_is_too_small_shows():
    net, lq = sharp(EXACT['SRVGGNetCompact']), torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        whole = super_resolve(net, lq)
    assert (super_resolve_tiled(net, lq, 20, overlap=find_margin(net) - 1) - whole).abs().max() > 1e-5


def support(net):
    """How far from an LR pixel the outputs above it have a gradient: what they see, without knowing a layer."""
    middle = find_margin(net) + 2  # so that more than the margin could be seen
    net, radius, side = net.double(), 0, 2 * middle
    for seed in range(3):  # a ReLU may be shut
        lq = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(seed)).double().requires_grad_()
        output = net(lq)
        s = output.shape[-1] // side
        place = slice(middle * s, (middle + 1) * s)
        (gradient,) = torch.autograd.grad(output[..., place, place].sum(), lq)
        touched = gradient.abs().sum((0, 1)).nonzero()
        radius = max(radius, int((touched - middle).abs().max()))
    return radius


@pytest.mark.parametrize(('name', 'slack'), [('EDSR', 1), ('SRVGGNetCompact', 0), ('RRDBNet x4', 3), ('RRDBNet x2', 7)])
def test_the_margin_is_what_gradients_reach(name, slack):
    net = sharp(EXACT[name])
    assert find_margin(net) - slack <= support(net) <= find_margin(net)


def test_dilated_convolutions_reach_further():
    net = nn.Sequential(nn.Conv2d(3, 3, 5, padding=4, dilation=2), nn.PReLU(), nn.Conv2d(3, 3, (1, 3), padding=(0, 1)))
    assert find_margin(net) == support(net) == 5


class Averaging(nn.Conv2d):
    """Adds the mean of the image, which no layer shows."""

    def forward(self, x):
        return super().forward(x + x.mean((2, 3), keepdim=True))


class Recursive(nn.Module):
    """One convolution, twice."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 3, padding=1)

    def forward(self, x):
        return self.conv(self.conv(x))


@pytest.mark.parametrize(
    'net',
    [
        Averaging(3, 3, 3, padding=1),
        Recursive(),
        build_network(RCAN),
        build_network(SWINIR),
        nn.Sequential(nn.Conv2d(3, 3, 3), nn.BatchNorm2d(3)),
        nn.Conv2d(3, 3, 3, stride=2),
        nn.Conv2d(3, 3, 3, padding=1, padding_mode='circular'),
        IdentityUp(),
    ],
)
def test_what_has_no_bound_is_not_exact(net):
    assert find_margin(net) is None
    assert not is_exact(net)
    assert find_overlap(net) == tiling.OVERLAP


def test_a_bound_beyond_the_overlap_is_not_exact():
    net = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(tiling.OVERLAP)))
    assert is_exact(net)
    assert not is_exact(net.append(nn.Conv2d(1, 1, 3, padding=1)))
    assert find_overlap(net) == tiling.OVERLAP


def test_windows_stay_where_they_were():
    """Tiles of windows differ from the whole by less than 8 bits show; windows cut elsewhere would differ by more."""
    net, lq = sharp(SWINIR), torch.rand(1, 3, 40, 93)
    with torch.no_grad():
        whole = super_resolve(net, lq)
        moved = torch.cat((super_resolve(net, lq[..., :52]), super_resolve(net, lq[..., 28:])[..., 48:]), -1)
    assert (super_resolve_tiled(net, lq, 17, overlap=21) - whole).abs().max() < 1 / 255
    assert (moved - whole).abs().max() > 1 / 255
    assert (super_resolve_tiled(net, lq, 24, overlap=0) - whole).abs().max() > 1 / 255


@pytest.mark.parametrize(('network', 'multiple'), [(STUDENT, 1), (SWINIR, 8), (EXACT['RRDBNet x2'], 2)])
def test_the_tile_shrinks_with_the_memory(network, multiple, monkeypatch):
    net = build_network(network).eval()

    def side(memory):
        monkeypatch.setattr(tiling, 'read_free_memory', lambda _: memory)
        return fit_tile(net, 3, torch.device('cpu'))

    sides = [side(2**power) for power in (10, 24, 26, 28, 30)]
    assert sides[0] == tiling.LEAST
    assert all(each % multiple == 0 for each in sides)
    for smaller, larger in itertools.pairwise(sides[1:]):  # four times the memory, twice the side
        assert abs(larger - 2 * smaller) <= 2 * multiple


def test_the_tile_fits_as_it_says(monkeypatch):
    """Both maps of this network are alive together, 16 + 3 numbers a pixel, and a convolution may copy them."""
    net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 3, 3, padding=1))
    monkeypatch.setattr(tiling, 'read_free_memory', lambda _: 2 * (2 * 4 * (16 + 3)) * 100**2)
    assert fit_tile(net, 3, torch.device('cpu')) == 100


def test_this_machine_has_memory():
    assert 2**20 < read_free_memory(torch.device('cpu')) < 2**50
