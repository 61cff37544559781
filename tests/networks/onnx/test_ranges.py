"""Ranges of activations: read from a graph, kept in a checkpoint, written into a graph."""

import numpy as np
import pytest
import torch

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.onnx.graph import to_onnx
from dukd_basicsr.networks.onnx.precision import to_int8
from dukd_basicsr.networks.onnx.ranges import KEY, find_ranges, from_tensors, override_ranges, read_ranges, to_tensors
from dukd_basicsr.networks.weights import build_network, read_weights
from tests.toys import EXPORTED, STUDENT

IMAGE = np.random.default_rng(0).random((1, 3, 12, 10), np.float32)


@pytest.mark.parametrize('name', ['EDSR', 'RCAN', 'SRVGGNetCompact', 'RRDBNet'])
def test_a_graph_from_ranges_is_the_graph_they_came_from(name, tmp_path):
    network, scale = EXPORTED[name]
    torch.manual_seed(0)
    net = build_network(network).eval()
    graph = to_onnx(net, scale, 3)
    calibrated = to_int8(graph, [IMAGE])
    ranges = read_ranges(calibrated)
    assert ranges.keys() == {name for name, module in net.named_modules() if isinstance(module, torch.nn.Conv2d)}
    file = tmp_path / 'net_g_1.pth'
    torch.save({'params': net.state_dict(), KEY: to_tensors(ranges)}, file)
    kept = find_ranges(file)
    assert kept == ranges
    other = np.zeros((1, 3, 5, 5), np.float32)  # has other ranges
    assert to_int8(graph, [other], ranges=kept).SerializeToString() == calibrated.SerializeToString()
    assert to_int8(graph, [other]).SerializeToString() != calibrated.SerializeToString()
    assert read_weights(file).keys() == net.state_dict().keys()


def test_networks_with_other_layers_are_refused():
    network, scale = EXPORTED['SwinIR']
    graph = to_int8(to_onnx(build_network(network).eval(), scale, 3), [IMAGE])
    with pytest.raises(
        UserError, match=r'train.int8_opt: the layer /net/\S+ is no convolution with weights of its own'
    ):
        read_ranges(graph)


def test_ranges_of_another_network_are_refused():
    graph = to_onnx(build_network(STUDENT).eval(), 2, 3)
    ranges = read_ranges(to_int8(graph, [IMAGE]))
    larger = to_onnx(build_network({**STUDENT, 'num_block': 2}).eval(), 2, 3)
    with pytest.raises(UserError, match=r'not those of this network: they differ in body\.1\.conv1'):
        override_ranges(larger, ranges)


def test_files_without_ranges_and_with_damaged_ones(tmp_path):
    plain, damaged, text = tmp_path / 'plain.pth', tmp_path / 'damaged.pth', tmp_path / 'text.pth'
    torch.save({'params': {'a': torch.zeros(1)}}, plain)
    text.write_text('no checkpoint')
    assert [find_ranges(file) for file in (plain, text, tmp_path / 'none.pth')] == [None, None, None]
    for tensor in (torch.zeros(4), torch.ones(3), torch.tensor([1.0, 300, 1, 0]), torch.full((4,), float('nan'))):
        torch.save({KEY: {'conv': tensor}}, damaged)
        with pytest.raises(UserError, match='its ranges for int8 are damaged'):
            find_ranges(damaged)
    with pytest.raises(ValueError, match='conv'):
        from_tensors({'conv': torch.tensor([0.0, 1, 1, 1])})
