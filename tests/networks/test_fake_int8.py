"""A network computed as its int8 graph: against onnxruntime, gradients against loops, scales against numpy's."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import nn

from dukd_basicsr.networks.fake_int8 import FakeInt8, fit_pairs, round_activation, round_weights
from dukd_basicsr.networks.onnx import weight_scales
from dukd_basicsr.networks.onnx.graph import to_onnx
from dukd_basicsr.networks.onnx.precision import to_int8
from dukd_basicsr.networks.onnx.ranges import LayerRanges, Range, read_ranges
from dukd_basicsr.networks.onnx.session import ExportedNetwork, Metadata, open_session
from dukd_basicsr.networks.weights import build_network
from tests.toys import EXPORTED

PHOTOGRAPH = Path(skimage.data.__file__).parent / 'chelsea.png'
ABOUT = Metadata('1', 'EDSR', 2, 3, 'RGB', '[0, 1]', 'int8', 17, 5, 7, 'a.pth', 'ab')
NETWORKS = {
    'EDSR': ({**EXPORTED['EDSR'][0], 'num_feat': 8, 'num_block': 3}, 2),
    'RCAN': ({**EXPORTED['RCAN'][0], 'num_feat': 8, 'num_group': 2, 'num_block': 2}, 3),
    'SRVGGNetCompact': ({**EXPORTED['SRVGGNetCompact'][0], 'num_feat': 8, 'num_conv': 4}, 4),
    'RRDBNet': EXPORTED['RRDBNet'],
    'MSRResNet': ({'type': 'MSRResNet', 'num_feat': 8, 'num_block': 2, 'upscale': 4}, 4),
}


def photograph(height=20, width=24):
    return cv2.resize(cv2.imread(str(PHOTOGRAPH)), (width, height)).transpose(2, 0, 1)[None] / np.float32(255)


def exact(model):
    """The graph computed as it stands: integers times scales, convolved in float32."""
    return ExportedNetwork(open_session(model.SerializeToString(), as_written=True), Path('x.onnx'), ABOUT)


@pytest.fixture(scope='module', params=NETWORKS)
def quantised(request):
    torch.manual_seed(0)
    network, scale = NETWORKS[request.param]
    net = build_network(network).eval().requires_grad_(False)
    graph = to_int8(to_onnx(net, scale, 3), [photograph()])
    return net, graph, read_ranges(graph)


@pytest.mark.parametrize('image', [photograph(), photograph(33, 17), np.ones((2, 3, 9, 14), np.float32)])
def test_the_answer_is_that_of_the_exported_graph(quantised, image):
    """Sums of floats in another order move a value across the edge of a level, and with it what is convolved from it.

    So few differ, and by a level or two of the last layer; without the roundings most would, by more.
    """
    net, graph, ranges = quantised
    lq = torch.from_numpy(image)
    wanted, found, plain = exact(graph)(lq), FakeInt8(ranges, net).wrap(net)(lq), net(lq)
    level = list(ranges.values())[-1].output.scale / getattr(net, 'img_range', 1)
    differences = (found - wanted).abs()
    assert differences.max() <= 2.001 * level
    assert (differences > 0.5 * level).float().mean() < 0.1
    assert (plain - wanted).abs().mean() > 4 * differences.mean()


def test_one_layer_is_exact_whatever_it_has():
    torch.manual_seed(1)
    for bias, padding, groups in ((True, 1, 1), (False, 0, 1), (True, 0, 2)):
        net = nn.Sequential(nn.Conv2d(4, 6, 3, padding=padding, bias=bias, groups=groups)).requires_grad_(False)
        image = np.random.default_rng(0).random((1, 4, 9, 8), np.float32)
        graph = to_int8(to_onnx(net, 1, 4), [image])
        lq = torch.from_numpy(1.5 * image - 0.25)  # beyond both ends
        found = FakeInt8(read_ranges(graph), net).wrap(net)(lq)
        session = open_session(graph.SerializeToString(), as_written=True)
        (wanted,) = session.run(None, {'lq': lq.numpy()})
        np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_networks_stay_as_they_are(quantised):
    net, _, ranges = quantised
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    lq = torch.from_numpy(photograph())
    plain = net(lq)
    first = FakeInt8(ranges, net).wrap(net)
    assert torch.equal(first(lq), first(lq))
    assert torch.equal(net(lq), plain)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)),
                     elements=st.floats(-3, 3, width=32)))  # fmt: skip
def test_scales_are_those_of_the_exporter_to_the_bit(weights):
    assert np.array_equal(fit_pairs(torch.from_numpy(weights)).numpy(), weight_scales.fit_pairs(weights))


def test_scales_of_a_drawn_layer_are_too():
    weights = torch.randn(64, 576, generator=torch.Generator().manual_seed(0)) ** 3
    assert np.array_equal(fit_pairs(weights).numpy(), weight_scales.fit_pairs(weights.numpy()))


def gradients_by_loops(x, weight, bias, layer, above):
    """Straight through: d(sum(above * output)) by the chain rule, an element at a time."""

    def to_range(value, to):
        level = round(value / to.scale) + to.zero
        return (min(max(level, 0), 255) - to.zero) * to.scale, 0 <= level <= 255

    weights, scales = weight_scales_of(weight)
    grad = {'x': np.zeros_like(x), 'weight': np.zeros_like(weight), 'bias': np.zeros_like(bias)}
    for o in range(len(weight)):
        step = scales[o] * layer.input.scale
        for row in range(x.shape[1] - 1):
            for column in range(x.shape[2] - 1):
                places = [(c, i, j) for c in range(x.shape[0]) for i in range(2) for j in range(2)]
                value = round(bias[o] / step) * step
                for c, i, j in places:
                    value += to_range(x[c, row + i, column + j], layer.input)[0] * weights[o, c, i, j]
                if not to_range(value, layer.output)[1]:
                    continue
                here = above[o, row, column]
                grad['bias'][o] += here
                for c, i, j in places:
                    seen, inside = to_range(x[c, row + i, column + j], layer.input)
                    grad['weight'][o, c, i, j] += here * seen
                    grad['x'][c, row + i, column + j] += here * weights[o, c, i, j] * inside
    return grad


def weight_scales_of(weight):
    scales = weight_scales.fit_pairs(weight.reshape(len(weight), -1).astype(np.float32)).astype(float)
    steps = scales.reshape(-1, 1, 1, 1)
    return np.rint(weight / steps) * steps, scales


def test_gradients_pass_roundings_and_end_beyond_ranges():
    generator = np.random.default_rng(2)
    x, above = generator.normal(size=(2, 4, 5)), generator.normal(size=(3, 3, 4))
    weight, bias = generator.normal(size=(3, 2, 2, 2)) / 2, generator.normal(size=3)
    layer = LayerRanges(Range(1.5 / 255, 100), Range(2.0 / 255, 150))
    net = nn.Conv2d(2, 3, 2)
    net.load_state_dict({'weight': torch.from_numpy(weight), 'bias': torch.from_numpy(bias)})
    net = nn.Sequential(net)
    image = torch.tensor(x[None], dtype=torch.float32, requires_grad=True)
    FakeInt8({'0': layer}, net).wrap(net)(image).backward(torch.tensor(above[None], dtype=torch.float32))
    expected = gradients_by_loops(
        image.detach().double().numpy()[0], *(each.detach().double().numpy() for each in net.parameters()), layer, above
    )
    found = {'x': image.grad[0], 'weight': net[0].weight.grad, 'bias': net[0].bias.grad}
    assert (found['x'] == 0).any()  # an input beyond its range
    for name, grad in expected.items():
        np.testing.assert_allclose(found[name], grad, rtol=1e-4, atol=1e-5, err_msg=name)


def test_end_points():
    to = Range(0.5, 10)
    x = torch.tensor([-5.0, -5.2, -6.0, 0.0, 0.25, 0.75, 122.5, 122.8, 900.0], requires_grad=True)
    found = round_activation(x, to)
    assert found.tolist() == [-5.0, -5.0, -5.0, 0.0, 0.0, 1.0, 122.5, 122.5, 122.5]  # ties to even
    found.sum().backward()
    assert x.grad.tolist() == [1, 1, 0, 1, 1, 1, 1, 0, 0]  # 122.8 is nearest to level 256, which there is not
    weights, scales = round_weights(torch.tensor([[[[1.0]], [[1.0]]], [[[0.0]], [[0.0]]]]))
    assert scales.tolist() == [1 / 64, 1]
    assert weights.flatten().tolist() == [1, 1, 0, 0]
