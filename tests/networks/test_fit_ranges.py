"""Ranges of least squared error, against every candidate tried by itself."""

import numpy as np
import torch
from torch import nn

from dukd_basicsr.networks.fake_int8 import round_activation
from dukd_basicsr.networks.fit_ranges import FACTORS, fit_ranges, shrink
from dukd_basicsr.networks.onnx.graph import to_onnx
from dukd_basicsr.networks.onnx.precision import to_int8
from dukd_basicsr.networks.onnx.ranges import Range, override_ranges, read_ranges


def images(count=3):
    """Dark but for one white pixel: a range up to it makes the steps of all others twice as coarse."""
    generator = np.random.default_rng(0)
    found = [generator.random((1, 3, 100, 70)).astype(np.float32) / 2 for _ in range(count)]
    found[0][0, 1, 50, 30] = 1
    return found


def network():
    torch.manual_seed(2)
    return nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1), nn.ReLU()).requires_grad_(False)


def test_each_range_is_the_best_of_its_candidates():
    net = network()
    widest = read_ranges(to_int8(to_onnx(net, 1, 3), images()))
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    found = fit_ranges(net, widest, images())
    shown = torch.cat([torch.from_numpy(image) for image in images()])
    activations = {'0': (shown, net[0](shown)), '1': (net[0](shown), net[1](net[0](shown)))}
    for name, (entering, leaving) in activations.items():
        for values, wide, got in ((entering, widest[name].input, found[name].input),
                                  (leaving, widest[name].output, found[name].output)):  # fmt: skip
            losses = [float((round_activation(values, shrink(wide, factor)) - values).double().square().sum())
                      for factor in FACTORS]  # fmt: skip
            assert got == shrink(wide, FACTORS[int(np.argmin(losses))])
    assert found['0'].input.scale < widest['0'].input.scale
    assert found['0'].output == found['1'].input  # one activation
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    override_ranges(to_onnx(net, 1, 3), found)


def test_a_flat_distribution_keeps_its_range():
    net = nn.Sequential(nn.Conv2d(1, 1, 1)).requires_grad_(False)
    image = np.linspace(0, 1, 400, dtype=np.float32).reshape(1, 1, 20, 20)
    widest = read_ranges(to_int8(to_onnx(net, 1, 1), [image]))
    assert fit_ranges(net, widest, [image])['0'].input == widest['0'].input


def test_shrinking_keeps_the_zero_and_float32():
    found = shrink(Range(float(np.float32(0.1)), 7), 0.35)
    assert found.zero == 7
    assert found.scale == float(np.float32(float(np.float32(0.1)) * 0.35))
