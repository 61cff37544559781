import sys
import types

import numpy as np
import pytest
import torch

from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.evaluation import metrics as perceptual
from dukd_basicsr.evaluation.benchmark.tabulate import tabulate_networks
from tests.evaluation.benchmark.option_files import write_options


class FakeMetric:
    """As pyiqa's InferenceModel: 'FR' is given a reference, 'NR' is not."""

    def __init__(self, name):
        self.metric_mode = 'NR' if name == 'niqe' else 'FR'

    def __call__(self, image, *reference):
        assert image.shape[:2] == (1, 3)
        assert image.dtype == torch.float32
        if min(image.shape[-2:]) < 8:
            raise ValueError('too small\nfor four scales')
        assert len(reference) == (self.metric_mode == 'FR')
        return (image[:, 0] - reference[0][:, 0]).abs().mean() if reference else image[:, 0].mean(dtype=torch.float64)


@pytest.fixture
def pyiqa(monkeypatch):
    def create_metric(name, device):
        if name == 'musiq':
            raise OSError('no connection')
        return FakeMetric(name)

    fake = types.ModuleType('pyiqa')
    fake.create_metric, fake.list_models = create_metric, lambda: ['lpips', 'musiq', 'niqe', 'psnr']
    monkeypatch.setitem(sys.modules, 'pyiqa', fake)
    perceptual._load.cache_clear()
    yield
    perceptual._load.cache_clear()


@pytest.mark.usefixtures('pyiqa')
def test_metrics_of_pyiqa_are_columns(tmp_path, capsys):
    content = tabulate_networks([write_options(tmp_path, 'first')], None, pyiqa=['lpips', 'niqe'])
    assert list(content['rows'][1]['scores']['odd']) == ['psnr', 'ssim', 'lpips', 'niqe']
    printed = capsys.readouterr().out
    assert 'odd PSNR / SSIM / LPIPS / NIQE |' in printed
    assert 'PSNR, SSIM on Y with crop_border 2; LPIPS, NIQE by pyiqa on RGB with crop_border 0; mean over' in printed


@pytest.mark.usefixtures('pyiqa')
def test_images_are_shown_whole_in_rgb():
    image, truth = np.random.default_rng(0).integers(0, 256, (2, 12, 9, 3), np.uint8)
    red = [each[..., 2].astype(float) / 255 for each in (image, truth)]
    found = {name: perceptual.calculate_pyiqa(image, truth, name, 'cpu') for name in ('lpips', 'niqe')}
    assert found == {
        'lpips': pytest.approx(np.abs(red[0] - red[1]).mean(), abs=1e-6),
        'niqe': pytest.approx(red[0].mean(), abs=1e-6),
    }
    with pytest.raises(RunError, match=r'--pyiqa lpips: .* 5x7 \(ValueError: too small\); leave it out'):
        perceptual.calculate_pyiqa(image[:7, :5], truth[:7, :5], 'lpips', 'cpu')


@pytest.mark.usefixtures('pyiqa')
@pytest.mark.parametrize(
    ('name', 'sentence'),
    [
        ('lpip', 'pyiqa has no such metric. Did you mean "lpips"?'),
        ('musiq', r'pyiqa cannot load it \(OSError: no connection\)'),
        ('psnr', 'val.metrics has its own psnr already'),
    ],
)
def test_metrics_that_cannot_be_are_said_before_anything_is_measured(tmp_path, name, sentence):
    with pytest.raises(UserError, match=sentence):
        tabulate_networks([write_options(tmp_path, 'first')], tmp_path / 'out', pyiqa=[name])
    assert not (tmp_path / 'out').exists()


def test_without_pyiqa_its_command_is_said(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyiqa', None)
    perceptual._load.cache_clear()
    with pytest.raises(UserError, match='--pyiqa lpips: pyiqa is not installed; pip install pyiqa'):
        tabulate_networks([write_options(tmp_path, 'first')], None, pyiqa=['lpips'])
