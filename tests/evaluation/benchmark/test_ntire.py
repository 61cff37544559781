"""NTIRE's columns against counts by hand and a published line."""

import json
import re

import pytest
import torch
from torch import nn

from dukd_basicsr import cli
from dukd_basicsr.evaluation.benchmark import ntire
from dukd_basicsr.evaluation.benchmark.measure import Bicubic, Network
from dukd_basicsr.evaluation.benchmark.ntire import count_convolutions, measure_costs
from dukd_basicsr.networks.cost import count_macs, count_parameters
from dukd_basicsr.networks.deploy import deploy
from dukd_basicsr.networks.weights import build_network
from tests.evaluation.benchmark.option_files import write_options
from tests.toys import STUDENT, AsksForValues

CPU = torch.device('cpu')
MSRRESNET = {'type': 'MSRResNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 64, 'num_block': 16, 'upscale': 4}


def count_by_hand(layers):
    """Of (inputs, outputs, side) of each 3x3 convolution: parameters, multiply-accumulates, activations."""
    parameters = macs = activations = 0
    for inputs, outputs, side in layers:
        for _ in range(outputs):
            parameters += 9 * inputs + 1
            macs += 9 * inputs * side * side
            activations += side * side
    return parameters, macs, activations


def msrresnet():
    """The layers of AIM 2020's baseline, x4: 64 channels, 16 blocks, two upsamplings."""
    trunk = [(3, 64, 256)] + 32 * [(64, 64, 256)]
    return [*trunk, (64, 256, 256), (64, 256, 512), (64, 64, 1024), (64, 3, 1024)]


def edsr(feat, block, scale):
    trunk = [(3, feat, 256)] + (2 * block + 1) * [(feat, feat, 256)]
    ups = [(feat, 4 * feat, 256 * 2**number) for number in range({2: 1, 4: 2}[scale])]
    return [*trunk, *ups, (feat, 3, 256 * scale)]


@pytest.mark.parametrize(
    ('network', 'layers'),
    [
        (MSRRESNET, msrresnet()),
        ({**STUDENT, 'num_feat': 12, 'num_block': 3, 'upscale': 4}, edsr(12, 3, 4)),
        ({**STUDENT, 'num_feat': 24, 'num_block': 4}, edsr(24, 4, 2)),
    ],
    ids=['MSRResNet', 'EDSR x4', 'EDSR x2'],
)  # fmt: skip
def test_counts_are_those_by_hand(network, layers):
    net = build_network(network).eval()
    found, activations = count_convolutions(net, 256, 256, 3)
    assert found == len(layers)
    assert (count_parameters(net), count_macs(net, 256, 256), activations) == count_by_hand(layers)


def test_the_baseline_has_its_published_numbers():
    # AIM 2020 and NTIRE 2022 print 1.517 M parameters, 166.36 G, 292.55 M activations and 37 convolutions.
    parameters, macs, activations = count_by_hand(msrresnet())
    assert len(msrresnet()) == 37
    assert parameters == pytest.approx(1.517e6, rel=1e-3)
    assert round(activations / 1e6, 2) == 292.55
    assert macs == pytest.approx(166.36e9, rel=1e-3)


def test_folded_kernels_count_as_the_convolutions_that_they_are():
    network = {'type': 'ECBSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 4, 'num_channel': 16, 'with_idt': False,
               'act_type': 'prelu', 'scale': 4}  # fmt: skip
    deployed = deploy(build_network(network))
    assert count_convolutions(deployed, 256, 256, 3) == (6, 256 * 256 * (5 * 16 + 48))


def test_a_network_that_asks_for_values_is_scaled_by_the_area():
    assert count_convolutions(AsksForValues().eval(), 256, 128, 3) == (1, 12 * 256 * 128)


class Slow(nn.Module):
    """Counts how often it is asked; each time takes two seconds of a clock that only it moves."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.clock, self.sizes = 0.0, []

    def forward(self, lq):
        if lq.device.type != 'meta':
            self.clock += 2.0
            self.sizes.append(tuple(lq.shape))
        return lq + self.weight


def test_timing_is_the_mean_of_a_few_passes_after_one(monkeypatch):
    net = Slow().eval()
    monkeypatch.setattr(ntire, 'read_clock', lambda device: net.clock)
    (cost,) = measure_costs([Network('slow', 'student', net)], CPU)
    assert cost.ms == 2000
    assert net.sizes == 4 * [(1, 3, 256, 256)]  # one to warm up, and three: after two, four seconds have passed
    (bicubic,) = measure_costs([Network('bicubic', 'bicubic', Bicubic(2))], CPU)
    assert (bicubic.params, bicubic.macs, bicubic.activations, bicubic.convolutions) == (None, None, None, None)


def test_the_command_prints_and_keeps_them(tmp_path, capsys):
    file, out = write_options(tmp_path, 'ours'), tmp_path / 'out'
    assert cli.main(['benchmark', '-opt', str(file), '--ntire', '-o', str(out)]) == 0
    bicubic, ours = json.loads((out / 'benchmark.json').read_text())['ntire']
    assert (bicubic['name'], bicubic['params']) == ('bicubic', None)
    parameters, macs, activations = count_by_hand(edsr(4, 1, 2))
    assert (ours['params'], ours['macs'], ours['activations'], ours['convolutions']) == (
        parameters,
        macs,
        activations,
        6,
    )
    assert ours['ms'] > 0
    printed = capsys.readouterr().out
    assert "NTIRE's columns, for one input of 256x256." in printed
    assert re.search(r'\| network \| +params \| +FLOPs \| +activations \| +convolutions \| +ms \|', printed)
    assert (out / 'benchmark.md').read_text() in printed
    assert cli.main(['benchmark', '-opt', str(file)]) == 0
    assert 'NTIRE' not in capsys.readouterr().out
