import pytest
import torch

from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.networks.tiling import super_resolve_tiled
from dukd_basicsr.networks.weights import build_network
from dukd_basicsr.web import tile
from dukd_basicsr.web.tile import LARGEST, find_tile, find_web_overlap
from tests.toys import EXPORTED


@pytest.fixture(params=EXPORTED)
def net(request):
    return build_network(EXPORTED[request.param][0]).eval()


def test_tiles_start_where_windows_do_and_are_of_a_useful_size(net):
    align = getattr(net, 'window_size', 1)
    side, overlap = find_tile(net, 3), find_web_overlap(net)
    assert side % align == overlap % align == 0
    assert 32 <= side <= LARGEST
    assert overlap >= 2


def test_heavier_networks_get_smaller_tiles(monkeypatch):
    net = build_network(EXPORTED['EDSR'][0]).eval()
    before = find_tile(net, 3)
    monkeypatch.setattr(tile, 'MACS', 10**7)
    assert 32 <= find_tile(net, 3) < before
    monkeypatch.setattr(tile, 'MEMORY', 1)
    assert find_tile(net, 3) == 32


@pytest.mark.parametrize('name', ['EDSR', 'SRVGGNetCompact'])
def test_tiles_of_the_page_give_the_whole_picture(name):
    net = build_network(EXPORTED[name][0]).eval()
    lq = torch.rand(1, 3, 41, 55)
    tiled = super_resolve_tiled(net, lq, 16, find_web_overlap(net))
    assert torch.allclose(tiled, super_resolve(net, lq), atol=1e-5)
