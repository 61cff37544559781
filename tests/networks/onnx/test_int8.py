"""Exported int8 graphs mean the same on every CPU, also on those that saturate a pair of products at 16 bits."""

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
import skimage.metrics
import torch
from onnx import numpy_helper
from torch import nn

from dukd_basicsr.cli import main
from dukd_basicsr.networks import export as export_run
from dukd_basicsr.networks.onnx.graph import INPUT, to_onnx
from dukd_basicsr.networks.onnx.kernels import Kept, keep
from dukd_basicsr.networks.onnx.precision import PORTABLE, Int8Form, to_int8
from dukd_basicsr.networks.onnx.session import ExportedNetwork, Metadata, open_session
from dukd_basicsr.networks.weights import build_network
from tests.toys import EXPORTED, STUDENT, save_weights

PHOTOGRAPH = Path(skimage.data.__file__).parent / 'chelsea.png'
SEVEN_BITS, EIGHT_BITS = Int8Form(weight_range='7 bits'), Int8Form(weight_range='8 bits')
ABOUT = Metadata('1', 'EDSR', 2, 3, 'RGB', '[0, 1]', 'int8', 17, 5, 7, 'a.pth', 'ab')
INT16 = np.iinfo(np.int16)


def exported(model, **options):
    return ExportedNetwork(open_session(model.SerializeToString(), **options), Path('x.onnx'), ABOUT)


def products(model):
    """Of each quantised layer: weights, (output channels, inputs of one), their scales, the type of its activations."""
    made_by = {name: node for node in model.graph.node for name in node.output}
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type not in ('Conv', 'Gemm', 'MatMul'):
            continue
        pair = [made_by.get(name) for name in node.input[:2]]
        if any(each is None or each.op_type != 'DequantizeLinear' for each in pair):
            continue
        weights = arrays[pair[1].input[0]]
        by_output = weights if node.op_type == 'Conv' else weights.T
        scales = arrays[pair[1].input[1]]
        yield by_output.reshape(len(by_output), -1).astype(int), scales, arrays[pair[0].input[2]].dtype


def worst_pair(weights, _, activations):
    """The sum of two products that is farthest from 0, whichever two weights of an output meet in an instruction."""
    ends = np.iinfo(activations)
    highest = np.maximum(weights * ends.max, weights * ends.min)
    lowest = np.minimum(weights * ends.max, weights * ends.min)
    two_highest, two_lowest = np.sort(highest)[:, -2:].sum(1), np.sort(lowest)[:, :2].sum(1)
    return max(two_highest.max(), -two_lowest.min())


@pytest.fixture(scope='module', params=EXPORTED)
def quantised(request):
    """A network, a calibration image, and the graphs of the exported form, of 7 and of 8 bits."""
    torch.manual_seed(0)
    opt, scale = EXPORTED[request.param]
    net = build_network(opt).eval().requires_grad_(False)
    image = cv2.resize(cv2.imread(str(PHOTOGRAPH)), (24, 20)).transpose(2, 0, 1)[None] / np.float32(255)
    graph = to_onnx(net, scale, 3)
    return net, image, *(to_int8(graph, [image], form) for form in (PORTABLE, SEVEN_BITS, EIGHT_BITS))


def test_no_pair_of_products_can_leave_16_bits(quantised):
    _, _, portable, _, eight = quantised
    layers = list(products(portable))
    assert len(layers) == len(list(products(eight))) >= 3
    assert {activations for *_, activations in layers} == {np.dtype(np.uint8)}
    assert max(worst_pair(*layer) for layer in layers) <= INT16.max
    assert max(worst_pair(*layer) for layer in products(eight)) > INT16.max


def test_weights_are_scaled_between_seven_and_eight_bits(quantised):
    by_form = [np.concatenate([scales for _, scales, _ in products(graph)]) for graph in quantised[2:]]
    portable, seven, eight = by_form
    assert np.all(portable <= seven * (1 + 1e-6))
    assert np.all(portable >= eight * (1 - 1e-6))
    assert np.mean(portable < 0.99 * seven) > 0.5


def test_this_machine_keeps_what_calibration_promised(quantised):
    net, image, portable, _, _ = quantised
    kept = keep(net, exported(portable, as_written=True), exported(portable), [torch.from_numpy(image)])
    assert kept.here == pytest.approx(kept.promised, abs=0.1)
    assert 30 < kept.promised < 90


def layer_of_extremes():
    """A convolution whose weights lie at the ends of their range, in patterns that add up and that cancel, and one that
    stands out so far that it alone gets all eight bits.
    """
    net = nn.Conv2d(8, 5, 3, padding=1).requires_grad_(False)
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (8, 3, 3))
    outstanding = np.full((8, 3, 3), 1 / 127)
    outstanding[3, 1, 1] = 1
    net.weight.copy_(torch.from_numpy(np.stack([np.ones((8, 3, 3)), -np.ones((8, 3, 3)), signs, -signs, outstanding])))
    net.bias.zero_()
    return net


def extreme_images():
    """Black, white, and noise of both."""
    noise = np.random.default_rng(1).choice([0.0, 1.0], (1, 8, 6, 7))
    return [each.astype(np.float32) for each in (np.zeros_like(noise), np.ones_like(noise), noise)]


def integer_sums(model, image, saturate):
    """The accumulators of the one convolution in `model`, (N, 6, 7), in pairs as pmaddubsw adds them or exactly."""
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    first = next(node for node in model.graph.node if node.op_type == 'QuantizeLinear' and node.input[0] == INPUT)
    step, zero = (arrays[name] for name in first.input[1:])
    ((weights, scales, _),) = products(model)
    pixels = np.clip(np.rint(image[0] / step) + zero, 0, 255).astype(int)
    padded = np.pad(pixels, ((0, 0), (1, 1), (1, 1)), constant_values=int(zero))
    columns = np.stack([padded[c, y : y + 6, x : x + 7] for c in range(8) for y in range(3) for x in range(3)])
    pairs = (weights[:, :, None, None] * columns).reshape(len(weights), -1, 2, 6, 7).sum(2)
    if saturate:
        pairs = pairs.clip(INT16.min, INT16.max)
    sums = pairs.sum(1) - int(zero) * weights.sum(1)[:, None, None]
    return sums * float(step) * scales.reshape(-1, 1, 1)


def test_weights_and_activations_at_their_ends_do_not_saturate():
    net, images = layer_of_extremes(), extreme_images()
    graph = to_onnx(net, 1, 8)
    portable, eight = to_int8(graph, images), to_int8(graph, images, EIGHT_BITS)
    ((weights, *_),) = products(portable)
    assert np.abs(weights).max(1).tolist() == [64, 64, 64, 64, 127]
    level = 2 * 72 / 255  # of the output's 8 bits
    for image in images:
        exact = integer_sums(portable, image, saturate=False)
        assert np.array_equal(integer_sums(portable, image, saturate=True), exact)
        np.testing.assert_allclose(exact, net(torch.from_numpy(image))[0], atol=1e-3)
        for session in (exported(portable), exported(portable, as_written=True), exported(eight, as_written=True)):
            np.testing.assert_allclose(session(torch.from_numpy(image))[0], exact, atol=level)
    lost = integer_sums(eight, images[1], saturate=True) - integer_sums(eight, images[1], saturate=False)
    assert abs(lost).max() > 30 * level


def test_what_is_kept_is_a_psnr():
    generator = np.random.default_rng(0)
    images = [torch.from_numpy(generator.random((1, 3, *size))) for size in ((5, 8), (9, 4))]
    net, near, far = nn.Identity(), Shifted(0.01), Shifted(0.1)
    kept = keep(net, near, far, images)
    flat = [np.concatenate([np.asarray(each(lq)).clip(0, 1).ravel() for lq in images]) for each in (net, near, far)]
    expected = [skimage.metrics.peak_signal_noise_ratio(flat[0], each, data_range=1) for each in flat[1:]]
    assert [kept.promised, kept.here] == pytest.approx(expected)
    assert kept.worse_than_promised
    assert not Kept(45.0, 44.6).worse_than_promised
    assert keep(net, net, net, images) == Kept(float('inf'), float('inf'))
    assert not keep(net, net, net, images).worse_than_promised


class Shifted(nn.Module):
    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, lq):
        return lq + self.by


class Saturating:
    """A session on a machine whose integer arithmetic loses the brightest tenth."""

    def __init__(self, session):
        self.session = session

    def __getattr__(self, name):
        return getattr(self.session, name)

    def run(self, names, inputs):
        return [0.9 * output for output in self.session.run(names, inputs)]


def test_export_says_when_this_machine_is_worse(tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    save_weights(tmp_path / 'net.pth', STUDENT)
    (tmp_path / 'lr').mkdir()
    cv2.imwrite(str(tmp_path / 'lr' / 'a.png'), cv2.imread(str(PHOTOGRAPH))[100:120, 100:130])

    def export(name):
        options = ['--precision', 'int8', '--calibrate', str(tmp_path / 'lr')]
        assert main(['export', str(tmp_path / 'net.pth'), '-o', str(tmp_path / name), *options]) == 0
        printed = capsys.readouterr()
        found = re.search(r': (\S+) dB on this machine, (\S+) dB promised by calibration', printed.out)
        return float(found[1]), float(found[2]), printed.err

    def saturating(model, **options):
        session = open_session(model, **options)
        return Saturating(session) if b'QuantizeLinear' in model and not options else session

    here, promised, said = export('good.onnx')
    assert here == pytest.approx(promised, abs=0.1)
    assert 'worse than its calibration' not in said
    monkeypatch.setattr(export_run, 'open_session', saturating)
    bad, same, said = export('bad.onnx')
    assert same == promised
    assert bad < promised - 10
    assert f'int8 on this machine is worse than its calibration promised: {bad:.1f} dB to float32' in said
    assert (tmp_path / 'bad.onnx').exists()
