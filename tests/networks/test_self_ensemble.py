import numpy as np
import pytest
import torch
from torch import nn

from dukd_basicsr.networks.cost import count_macs, count_parameters
from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.networks.self_ensemble import SelfEnsemble
from dukd_basicsr.networks.weights import build_network
from tests.toys import STUDENT, TINY_SWINIR, IdentityUp


def by_loops(net, image):
    """x8 by numpy, as EDSR does it: turned by 0, 90, 180, 270 degrees, mirrored or not, averaged unrounded."""
    total = 0
    for mirrored in (False, True):
        for quarters in range(4):
            turned = np.rot90(image[:, ::-1] if mirrored else image, quarters).copy()
            output = super_resolve(net, torch.from_numpy(turned).permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
            output = np.rot90(output, -quarters)
            total = total + (output[:, ::-1] if mirrored else output)
    return total / 8


@pytest.mark.parametrize('network', [STUDENT, TINY_SWINIR])
def test_equals_plain_loops(network):
    net = build_network(network).eval()
    image = np.random.default_rng(0).random((21, 34, 3), np.float32)
    output = super_resolve(SelfEnsemble(net), torch.from_numpy(image).permute(2, 0, 1)[None])
    assert output[0].permute(1, 2, 0).numpy() == pytest.approx(by_loops(net, image), abs=1e-5)
    plain = super_resolve(net, torch.from_numpy(image).permute(2, 0, 1)[None])
    assert not torch.allclose(output, plain, atol=1e-4)


def test_an_equivariant_network_gains_nothing():
    image = torch.randint(256, (1, 3, 9, 14)) / 256  # sums of eight are exact
    kept = image.clone()
    assert torch.equal(SelfEnsemble(IdentityUp())(image), IdentityUp()(image))
    assert torch.equal(SelfEnsemble(nn.Identity())(image), kept)
    assert torch.equal(image, kept)


def test_costs_eight_times_the_operations_and_no_parameter_more():
    net = build_network(STUDENT).eval()
    ensemble = SelfEnsemble(net)
    assert count_macs(ensemble, 36, 64) == 8 * count_macs(net, 36, 64)
    assert count_parameters(ensemble) == count_parameters(net)
