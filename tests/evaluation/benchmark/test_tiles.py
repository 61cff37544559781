import csv

import pytest
import torch

from dukd_basicsr.distillation.teacher import Teacher
from dukd_basicsr.errors import RunError
from dukd_basicsr.evaluation.benchmark.measure import Network
from dukd_basicsr.evaluation.benchmark.tabulate import _ask, tabulate_networks
from dukd_basicsr.networks import tiling
from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.networks.self_ensemble import SelfEnsemble
from dukd_basicsr.networks.tiling import LEAST, Tiler, find_margin
from dukd_basicsr.networks.weights import build_network
from tests.evaluation.benchmark.option_files import write_options
from tests.toys import STUDENT, TEACHER, TINY_SWINIR, save_weights

UNFOLDING = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'scale': 2, 'num_feat': 4, 'num_block': 1,
             'num_grow_ch': 2}  # fmt: skip
"""Folds 2x2 pixels into channels, so that its tiles must start at even pixels."""

POOLING = {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_group': 1, 'num_block': 1,
           'squeeze_factor': 2, 'upscale': 2}  # fmt: skip


class Small(torch.nn.Module):
    """A network on a GPU that has memory for so many pixels."""

    def __init__(self, net, pixels):
        super().__init__()
        self.net, self.pixels, self.asked = net, pixels, []

    def forward(self, x):
        self.asked.append(tuple(x.shape[-2:]))
        if x.shape[-2] * x.shape[-1] > self.pixels:
            raise torch.cuda.OutOfMemoryError
        return self.net(x)


def ask_exactly(net, tile=None):
    """As a benchmark asks a network."""
    return Tiler(net, 3, torch.device('cpu'), tile, exact=True)


@pytest.mark.parametrize('wrap', [lambda net: net, Teacher, SelfEnsemble, lambda net: SelfEnsemble(Teacher(net))])
@pytest.mark.parametrize('network', [STUDENT, UNFOLDING])
def test_tiles_equal_the_whole(network, wrap):
    net, lq = wrap(build_network(network).eval()), torch.rand(1, 3, 30, 130)
    output, tiled = ask_exactly(net, 21)(lq)
    assert tiled
    assert torch.allclose(output, super_resolve(net, lq), atol=1e-6)


@pytest.mark.parametrize('tile', [None, 34])
def test_small_images_are_whole(tile):
    net, lq = build_network(STUDENT).eval(), torch.rand(1, 3, 21, 34)
    output, tiled = ask_exactly(net, tile)(lq)
    assert not tiled
    assert torch.equal(output, super_resolve(net, lq))


class Averaging(torch.nn.Module):
    """Looks at the whole image, with no layer that would say so."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(3, 12, 3, padding=1)

    def forward(self, x):
        return torch.nn.functional.pixel_shuffle(self.conv(x) - x.mean(), 2)


@pytest.mark.parametrize('make', [lambda: build_network(TINY_SWINIR), lambda: build_network(POOLING), Averaging])
def test_a_network_that_looks_further_is_never_cut(make):
    net, lq = make().eval(), torch.rand(1, 3, 21, 34)
    output, tiled = ask_exactly(net, 8)(lq)
    assert not tiled
    assert torch.equal(output, super_resolve(net, lq))


def test_what_the_gpu_has_no_memory_for_is_tiled_and_not_tried_again():
    whole, lq = build_network(STUDENT).eval(), torch.rand(1, 3, 40, 100)
    net = Small(whole, pixels=3000)
    ask = ask_exactly(net)
    output, tiled = ask(lq)
    assert tiled
    assert torch.allclose(output, super_resolve(whole, lq), atol=1e-6)
    assert net.asked[:2] == [(16, 16), (40, 100)]  # the first tells how large a tile may be
    before = len(net.asked)
    assert torch.equal(ask(lq)[0], output)
    again = net.asked[before:]
    assert (40, 100) not in again
    assert again == net.asked[before - len(again) : before]


@pytest.mark.parametrize(('network', 'pixels'), [(STUDENT, 100), (TINY_SWINIR, 1000)])
def test_no_memory_at_all_is_said(network, pixels):
    net = Small(build_network(network).eval(), pixels)
    with pytest.raises(RunError, match='net: the GPU has not enough memory for an LR image of 100x40, and tiles'):
        _ask({'net': ask_exactly(net)}, Network('net', 'student', net), torch.rand(1, 3, 40, 100))


@pytest.mark.parametrize('wrap', [lambda net: net, SelfEnsemble])
def test_a_tile_is_as_large_as_the_free_memory_holds(wrap, monkeypatch):
    net, lq = build_network(STUDENT).eval(), torch.rand(1, 3, 40, 100)
    small = Small(net, pixels=(LEAST + 2 * find_margin(net)) ** 2)
    monkeypatch.setattr(tiling, 'read_free_memory', lambda _: 2**20)
    output, tiled = ask_exactly(wrap(small))(lq)
    assert tiled
    assert torch.allclose(output, super_resolve(wrap(net), lq), atol=1e-6)
    assert max(height * width for height, width in small.asked) <= small.pixels


def test_a_tiled_table_is_that_of_whole_images_and_says_so(tmp_path):
    pools = write_options(tmp_path, 'pools', network_g=POOLING)
    save_weights(tmp_path / 'pools.pth', POOLING)
    files = [write_options(tmp_path, 'ours', teacher=TEACHER), pools]
    whole, tiled = (tabulate_networks(files, tmp_path / 'out', self_ensemble=True, tile=tile) for tile in (None, 30))
    for one, other in zip(whole['rows'], tiled['rows'], strict=True):
        assert other['scores']['odd'] == pytest.approx(one['scores']['odd'], abs=1e-3)
    assert 'tiles' not in whole['protocol']['text']
    text = tiled['protocol']['text']
    assert 'Computed in tiles, with the result of the whole image: ours 1 of 2 of odd, ours+ 1 of 2 of odd' in text
    assert 'pools' not in text
    with (tmp_path / 'out' / 'benchmark_images.csv').open() as file:
        found = {(line['network'], line['image']) for line in csv.DictReader(file) if line['tiled'] == '1'}
    assert found == {(f'{name}{plus}', '0') for name in ('ours', 'teacher (teacher)') for plus in ('', '+')}
