"""Exports of networks that train as more than they deploy: small graphs, the same pictures."""

import re
from collections import Counter

import onnx
import pytest
import torch
from torch import nn

from dukd_basicsr.cli import main
from dukd_basicsr.networks.deploy import deploy
from dukd_basicsr.networks.onnx.fold import fold_constants
from dukd_basicsr.networks.onnx.graph import to_onnx
from dukd_basicsr.networks.onnx.session import ExportedNetwork, Metadata, open_exported, open_session
from dukd_basicsr.networks.weights import build_network
from tests.toys import EXPORTED, save_weights

ECBSR = {'type': 'ECBSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 1, 'num_channel': 4, 'with_idt': False,
         'act_type': 'prelu', 'scale': 2}  # fmt: skip
SHIPPED = {**ECBSR, 'num_block': 4, 'num_channel': 16, 'scale': 4}
ABOUT = Metadata('1', 'Net', 2, 3, 'RGB', '[0, 1]', 'fp32', 17, 5, 7, 'a.pth', 'ab')


class Merging(nn.Module):
    """Merges two kernels in every forward pass and has no method that says so."""

    def __init__(self):
        super().__init__()
        self.wide, self.narrow = nn.Parameter(torch.rand(12, 3, 3, 3)), nn.Parameter(torch.rand(12, 3, 1, 1))

    def forward(self, lq):
        kernel = self.wide + self.narrow.abs().sqrt() * torch.eye(3)
        return nn.functional.pixel_shuffle(nn.functional.conv2d(lq, kernel, padding=1), 2)


def run(model, lq):
    return ExportedNetwork(open_session(model.SerializeToString()), 'x.onnx', ABOUT)(lq)


def count_types(model):
    return Counter(node.op_type for node in model.graph.node)


@pytest.mark.parametrize('make', [Merging, lambda: build_network(ECBSR)], ids=['own', 'ECBSR'])
def test_kernels_that_a_network_merges_itself_are_folded(make):
    torch.manual_seed(0)
    net = make().eval().requires_grad_(False)
    traced = to_onnx(net, 2, 3)
    before = traced.SerializeToString()
    folded = fold_constants(traced)
    assert traced.SerializeToString() == before
    assert len(folded.graph.node) < len(traced.graph.node)
    stored = {tensor.name for tensor in folded.graph.initializer}
    kernels = [node.input[1] for node in folded.graph.node if node.op_type == 'Conv']
    assert kernels
    assert set(kernels) <= stored
    assert not {'Sqrt', 'Mul', 'Expand', 'ScatterND', 'Constant'} & set(count_types(folded))
    onnx.checker.check_model(folded, full_check=True)
    assert [(opset.domain, opset.version) for opset in folded.opset_import] == [('', 17)]
    for size in ((2, 3, 7, 9), (1, 3, 5, 4)):
        lq = torch.rand(size)
        torch.testing.assert_close(run(folded, lq), net(lq), rtol=0, atol=1e-5)


@pytest.mark.parametrize('name', EXPORTED)
def test_graphs_with_stored_weights_stay_as_they_are(name):
    network, scale = EXPORTED[name]
    traced = to_onnx(build_network(network).eval(), scale, 3)
    assert fold_constants(traced) is traced


def test_ecbsr_is_six_convolutions_in_72_kilobytes(tmp_path, capsys):
    net = save_weights(tmp_path / 'ecbsr.pth', SHIPPED)
    file = tmp_path / 'ecbsr.yml'
    file.write_text(f'network_g: {SHIPPED}\n')
    out = tmp_path / 'ecbsr.onnx'
    assert main(['export', str(tmp_path / 'ecbsr.pth'), '-opt', str(file), '-o', str(out)]) == 0
    printed = capsys.readouterr().out
    assert re.search(r'0\.07 MB, \d\d nodes, 16,768 parameters \(folded from 95,472 of training\)', printed), printed
    model, exported = onnx.load(out), open_exported(out)
    types = count_types(model)
    assert (types['Conv'], types['PRelu']) == (6, 5)
    assert out.stat().st_size < 73_000
    assert exported.metadata.params == 16_768
    lq = torch.rand(1, 3, 20, 13)
    torch.testing.assert_close(exported(lq), net.eval()(lq).detach(), rtol=0, atol=1e-4)


def test_span_is_22_convolutions():
    net = build_network({'type': 'SPAN', 'feature_channels': 4, 'upscale': 2, 'img_range': 1.0}).eval()
    model = to_onnx(deploy(net), 2, 3)
    assert count_types(model)['Conv'] == 22
    lq = torch.rand(1, 3, 9, 8)
    torch.testing.assert_close(run(model, lq), net(lq).detach(), rtol=0, atol=1e-5)


def test_what_cannot_be_folded_is_said_and_exported_as_it_was_trained(tmp_path, monkeypatch, capsys):
    net = save_weights(tmp_path / 'ecbsr.pth', ECBSR)
    (tmp_path / 'ecbsr.yml').write_text(f'network_g: {ECBSR}\n')
    monkeypatch.setattr('dukd_basicsr.networks.deploy._fold_ecb', lambda block: block.conv3x3)
    out = tmp_path / 'ecbsr.onnx'
    arguments = [str(tmp_path / 'ecbsr.pth'), '-opt', str(tmp_path / 'ecbsr.yml'), '-o', str(out)]
    assert main(['export', *arguments]) == 0
    printed = capsys.readouterr()
    assert 'ECBSR is measured and exported as it was trained: folded, its answer differs by ' in printed.err
    assert 'folded from' not in printed.out
    assert count_types(onnx.load(out))['Conv'] == 3
    lq = torch.rand(1, 3, 6, 7)
    torch.testing.assert_close(open_exported(out)(lq), net.eval()(lq).detach(), rtol=0, atol=1e-4)
