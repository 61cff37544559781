import pytest
import torch
from torch import nn

from dukd_basicsr.networks import window_masks as masks
from dukd_basicsr.networks.cost import _measure_cuda, count_bytes, measure_peak_memory
from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.networks.self_ensemble import SelfEnsemble
from dukd_basicsr.networks.weights import build_network
from tests.toys import STUDENT, TINY_SWINIR, AsksForValues

CPU = torch.device('cpu')


class Widening(nn.Module):
    """One convolution to 12 channels, and what it keeps of them decides the peak."""

    def __init__(self, kept):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)
        self.kept = kept

    def forward(self, x):
        kept = []
        for _ in range(3):
            kept = [*kept, self.conv(x)][-self.kept :]
        return nn.functional.pixel_shuffle(kept[-1], 2)


@pytest.mark.parametrize(('kept', 'alive'), [(1, 2), (3, 4)])
def test_living_tensors_are_counted(kept, alive):
    # float32: weights and bias, the input, and the 12-channel tensors alive at once: while the list holds the last
    # `kept` ones a new one is made beside them; pixel_shuffle makes one more when all of them are there.
    pixels, net = 20 * 30, Widening(kept).eval()
    expected = 4 * (12 * 3 * 9 + 12) + 4 * pixels * (3 + 12 * alive)
    assert measure_peak_memory(net, 20, 30, 3, CPU) == expected


def test_views_and_changes_in_place_cost_nothing():
    x = torch.zeros(5, 4)
    assert count_bytes(lambda: x.view(4, 5).add_(1).relu_().t()) == 0
    assert count_bytes(lambda: (x + 1).view(-1).mul_(2)) == 80
    assert count_bytes(lambda: [x + 1 for _ in range(3)]) == 240
    assert count_bytes(lambda: [None for _ in range(3) if (x + 1) is None]) == 80


@pytest.mark.parametrize('network', [STUDENT, TINY_SWINIR])
def test_counting_without_computing_is_counting(network):
    net = build_network(network).eval()
    weights = sum(tensor.nbytes for tensor in (*net.parameters(), *net.buffers()))
    masks.forget()
    real = count_bytes(lambda: super_resolve(net, torch.zeros(1, 3, 21, 34)))
    for _ in range(2):  # whatever a network keeps of an earlier input; EDSR's mean moves with its input
        assert measure_peak_memory(net, 21, 34, 3, CPU) == pytest.approx(weights + real, abs=16)


def test_memory_without_the_meta_device_is_scaled_by_the_area():
    weights = 4 * (12 * 3 * 9 + 12)
    convolved = 4 * 12 * 360 * 640
    expected = weights + 4 * 3 * 360 * 640 + 3 * convolved  # the convolution, its product and the shuffled one
    assert measure_peak_memory(AsksForValues().eval(), 360, 640, 3, CPU) in (expected, expected - convolved)


def test_on_cuda_the_allocator_is_asked(monkeypatch):
    net, lq = build_network(STUDENT).eval(), torch.zeros(1, 3, 8, 8)
    others, peak = 10_000, 14_000
    for name, value in (('memory_allocated', others + lq.nbytes), ('max_memory_allocated', peak),
                        ('synchronize', None), ('reset_peak_memory_stats', None)):  # fmt: skip
        monkeypatch.setattr(torch.cuda, name, lambda device, value=value: value)
    assert _measure_cuda(net, lq) == peak - others

    def exhausted(x):
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(net, 'forward', exhausted)
    assert _measure_cuda(net, lq) is None


def test_a_self_ensemble_needs_little_more_than_its_network():
    net = build_network(STUDENT).eval()
    alone, ensemble = (measure_peak_memory(each, 36, 64, 3, CPU) for each in (net, SelfEnsemble(net)))
    assert ensemble - alone == 4 * 3 * 36 * 64 * (2 + 4)  # the turned input and its copy, the sum of outputs
