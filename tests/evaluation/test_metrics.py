import re
import sys
import types
from pathlib import Path

import basicsr.train
import numpy as np
import pytest
import torch
import yaml

from dukd_basicsr import options
from dukd_basicsr.cli import main
from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.evaluation import metrics as perceptual
from dukd_basicsr.evaluation.benchmark.tabulate import tabulate_networks
from tests.evaluation.benchmark.option_files import write_options
from tests.toys import REPOSITORY, forget_logger
from tests.workplace import workplace  # noqa: F401  the fixture


class FakeMetric:
    """As pyiqa's InferenceModel: 'FR' is given a reference, 'NR' is not."""

    def __init__(self, name):
        self.metric_mode = 'NR' if name == 'niqe' else 'FR'
        self.lower_better = name != 'psnr'

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
    perceptual._create.cache_clear()
    yield
    perceptual._create.cache_clear()


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
    with pytest.raises(RunError, match=r'pyiqa lpips: .* 5x7 \(ValueError: too small\); leave it out'):
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
    perceptual._create.cache_clear()
    with pytest.raises(UserError, match='--pyiqa lpips: pyiqa is not installed; pip install pyiqa'):
        tabulate_networks([write_options(tmp_path, 'first')], None, pyiqa=['lpips'])


METRICS = {'perceived': {'type': 'calculate_pyiqa', 'name': 'lpips', 'better': 'lower'}}


@pytest.mark.usefixtures('pyiqa')
def test_a_validation_measures_them(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (2, 12, 9, 3), np.uint8)
    found = perceptual.score(*images, METRICS)
    assert found == {'perceived': perceptual.calculate_pyiqa(*images, 'lpips', 'cpu')}
    perceptual.check_perceptual_metrics(METRICS)
    perceptual.check_perceptual_metrics(None)


@pytest.mark.parametrize(
    ('metric', 'said'),
    [
        ({'name': 'lpips'},
         'val.metrics.perceived.better: pyiqa says of lpips that lower is better; write better: lower.'),
        ({'name': 'psnr', 'better': 'lower'},
         'val.metrics.perceived.better: pyiqa says of psnr that higher is better; write better: higher.'),
        ({'name': 'lpip', 'better': 'lower'},
         'val.metrics.perceived: pyiqa has no such metric. Did you mean "lpips"?'),
        ({'name': 'musiq'}, 'val.metrics.perceived: pyiqa cannot load it (OSError: no connection).'),
    ],
)  # fmt: skip
@pytest.mark.usefixtures('pyiqa')
def test_what_is_wrong_is_said_before_the_first_iteration(metric, said):
    with pytest.raises(UserError) as caught:
        perceptual.check_perceptual_metrics({'psnr': {'type': 'calculate_psnr'},
                                             'perceived': {'type': 'calculate_pyiqa', **metric}})  # fmt: skip
    assert caught.value.messages == (said,)


def test_they_are_options_like_others():
    opt = options.load(REPOSITORY / 'options' / 'train_edsr_x2.yml')
    opt['val']['metrics'] |= METRICS
    assert options.check(opt, 'x.yml', True) == []
    opt['val']['metrics']['perceived'] = {'type': 'calculate_pyiqa', 'crop_border': 2}
    with pytest.raises(options.OptionsError) as caught:
        options.check(opt, 'x.yml', True)
    assert [message.split(': ', 2)[1] for message in caught.value.messages] == [
        'val.metrics.perceived.crop_border', 'val.metrics.perceived.name',
    ]  # fmt: skip


@pytest.mark.usefixtures('pyiqa')
def test_a_run_validates_with_them(workplace, monkeypatch, capsys):  # noqa: F811
    """Through the command: on the images of a validation, with the best that is the lowest."""
    monkeypatch.chdir(workplace)
    opt = yaml.safe_load(Path('toy.yml').read_text(encoding='utf-8'))
    opt['name'], opt['val']['val_freq'] = 'perceived', 1
    opt['val']['metrics'] |= METRICS
    Path('perceived.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    forget_logger()
    assert main(['train', '-opt', 'perceived.yml']) == 0
    forget_logger()
    (log,) = Path('experiments/perceived').glob('train_*.log')
    found = re.findall(r'# perceived: (\S+)\tBest: (\S+) @', log.read_text(encoding='utf-8'))
    values = [float(value) for value, _ in found]
    assert len(values) == 4
    assert [float(best) for _, best in found] == [min(values[: place + 1]) for place in range(4)]
    assert min(values) > 0


def test_a_run_without_pyiqa_creates_nothing(workplace, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setitem(sys.modules, 'pyiqa', None)
    perceptual._create.cache_clear()
    monkeypatch.chdir(workplace)
    opt = yaml.safe_load(Path('toy.yml').read_text(encoding='utf-8'))
    opt['name'] = 'without'
    opt['val']['metrics'] |= METRICS
    Path('without.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    assert main(['train', '-opt', 'without.yml']) == 2
    said = capsys.readouterr().err
    assert said == (
        'basicsr train: val.metrics.perceived: pyiqa is not installed; pip install pyiqa, or leave it out.\n'
    )
    assert not Path('experiments/without').exists()
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', 'without.yml'])  # of the user's own
    monkeypatch.setattr(sys, 'excepthook', sys.excepthook)
    with pytest.raises(UserError, match=r'val\.metrics\.perceived: pyiqa is not installed'):
        basicsr.train.train_pipeline(str(workplace))
    assert not Path('experiments/without').exists()
