"""What is found out about a teacher."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_psnr
from torch import nn

from dukd_basicsr.commands.distill import teacher as module
from dukd_basicsr.commands.distill.photographs import survey
from dukd_basicsr.commands.distill.teacher import recognise, try_out
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.open_network import Opened
from tests.images import fill
from tests.toys import IdentityUp, save_weights


class Ranged(IdentityUp):
    """Right with img_range 2 and a res_scale of 0.1 in one of its layers only."""

    def __init__(self):
        super().__init__()
        self.img_range = 255.0
        self.inner = nn.Identity()
        self.inner.res_scale = 1.0

    def forward(self, x):
        return super().forward(x) + 0.01 * (self.img_range - 2) + 0.3 * (self.inner.res_scale - 0.1)


@pytest.fixture
def held_out(tmp_path):
    fill(tmp_path / 'photos', *[(70 + n, 81) for n in range(8)])
    return survey(tmp_path / 'photos', None, 64).held_out


def test_what_the_file_does_not_say_is_found_on_the_photographs(held_out):
    net, network = Ranged(), {'type': 'X', 'img_range': 255.0, 'res_scale': 1.0}
    opened = Opened('a', net, 2, 3, Path('a.pth'), network, ('img_range is not in the file.', 'res_scale neither.'))
    found = try_out(opened, held_out)
    assert found.network == {'type': 'X', 'img_range': 2.0, 'res_scale': 0.1}
    assert (net.img_range, net.inner.res_scale) == (2.0, 0.1)
    assert found.notes == (
        'img_range 2, res_scale 0.1: the file does not say it; so it enlarges your photographs best.',
    )


def test_what_the_file_says_is_not_touched(held_out):
    net, network = Ranged(), {'type': 'X', 'img_range': 255.0, 'res_scale': 1.0}
    found = try_out(Opened('a', net, 2, 3, Path('a.pth'), network, ()), held_out)
    assert (found.network, net.img_range) == (network, 255.0)
    assert found.psnr < found.bicubic


def test_its_quality_is_psnr_in_rgb(held_out):
    opened = Opened('a', IdentityUp(), 2, 3, Path('a.pth'), {'type': 'X'}, ())
    lq, gt = (image[0].permute(1, 2, 0).double().numpy() * 255 for image in module._make_pair(held_out[0].path, 2))
    assert (np.round(lq) == np.round(lq, 3)).all()
    expected = calculate_psnr(lq.repeat(2, 0).repeat(2, 1), gt, crop_border=2, input_order='HWC')
    assert try_out(opened, held_out[:1]).psnr == pytest.approx(expected, abs=1e-3)
    assert math.isfinite(try_out(opened, held_out).seconds)


@pytest.mark.parametrize(
    ('network', 'said'),
    [
        ({'type': 'SRVGGNetCompact', 'num_feat': 4, 'num_conv': 1, 'upscale': 5}, 'its network enlarges 5 times'),
        ({'type': 'SRVGGNetCompact', 'num_in_ch': 1, 'num_out_ch': 1, 'num_feat': 4, 'num_conv': 1, 'upscale': 2},
         'of 1 channel; only'),
    ],
)  # fmt: skip
def test_what_cannot_teach(network, said, tmp_path):
    save_weights(tmp_path / 'a.pth', network)
    with pytest.raises(UserError, match=said):
        recognise(tmp_path / 'a.pth', None)
    torch.save({}, tmp_path / 'a.onnx')
    with pytest.raises(UserError, match='is an exported file'):
        recognise(tmp_path / 'a.onnx', None)
