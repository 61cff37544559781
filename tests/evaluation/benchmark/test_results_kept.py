"""Results are not lost where they cannot be written, and what is no number is not scored as one."""

import json
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from dukd_basicsr.cli import main
from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.evaluation.benchmark import tabulate
from dukd_basicsr.evaluation.benchmark.tabulate import tabulate_networks
from dukd_basicsr.evaluation.metrics import score
from tests.evaluation.benchmark.option_files import PSNR, SSIM, write_options


@pytest.mark.parametrize('out', ['file', 'file/below'])
def test_a_place_that_is_no_folder_is_said_before_the_work(tmp_path, monkeypatch, capsys, out):
    file = write_options(tmp_path, 'ours')
    (tmp_path / 'file').touch()
    monkeypatch.setattr(tabulate, 'load_networks', lambda *_: pytest.fail('work began'))
    assert main(['benchmark', '-opt', str(file), '-o', str(tmp_path / out)]) == 2
    assert f'{tmp_path / "file"} is a file, but results go to a folder of that name' in capsys.readouterr().err


def test_a_place_that_cannot_be_written_to_is_said_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr('os.access', lambda *_: False)  # root may write to everything
    with pytest.raises(UserError, match='cannot be written to; give another folder: -o DIR'):
        tabulate_networks([write_options(tmp_path, 'ours')], tmp_path / 'out')


@pytest.mark.skipif(sys.platform != 'linux', reason='there is no /proc')
def test_a_place_that_refuses_root_too_is_said_before_the_work(tmp_path):
    with pytest.raises(UserError, match='/proc cannot be written to; give another folder: -o DIR'):
        tabulate_networks([write_options(tmp_path, 'ours')], Path('/proc/out'))


@pytest.mark.parametrize('name', ['benchmark.md', 'benchmark_images.csv', 'pictures/odd/0.png'])
def test_the_table_is_printed_where_it_cannot_be_written(tmp_path, capsys, name):
    out = tmp_path / 'out'
    (out / name).mkdir(parents=True)  # no file can take its place
    with pytest.raises(RunError, match='cannot be written'):
        tabulate_networks([write_options(tmp_path, 'ours')], out, pictures=True)
    printed = capsys.readouterr().out
    assert '| ours ' in printed
    assert 'Protocol: x2;' in printed
    assert not list(out.rglob('*.tmp'))


class Broken(nn.Module):
    """Answers one pixel with what is no number, and with it the image of 21x34."""

    def forward(self, x):
        output = x.repeat_interleave(2, -1).repeat_interleave(2, -2)
        if x.shape[-1] == 34:
            output[0, 0, 0, 0] = torch.nan
        return output


def test_an_answer_that_is_no_number_has_no_score(tmp_path, monkeypatch, capsys):
    real = tabulate.load_networks

    def load(*arguments):
        bicubic, ours = real(*arguments)
        return [bicubic, type(ours)('broken', 'student', Broken())]

    monkeypatch.setattr(tabulate, 'load_networks', load)
    content = tabulate_networks([write_options(tmp_path, 'ours')], tmp_path / 'out')
    assert content['rows'][1]['scores'] == {'odd': {'psnr': None, 'ssim': None}}
    assert json.loads((tmp_path / 'out' / 'benchmark.json').read_text())['rows'] == content['rows']
    printed = capsys.readouterr().out
    assert next(line for line in printed.splitlines() if line.startswith('| broken')).endswith(' - / - |')
    assert 'No score (-) where an answer or a metric is no number: broken on 1 of 2 of odd.' in printed


def test_a_border_that_leaves_nothing_is_a_mistake():
    image = torch.zeros(20, 30, 3, dtype=torch.uint8).numpy()
    assert score(image, image, {'psnr': PSNR | {'crop_border': 9}, 'ssim': SSIM}).keys() == {'psnr', 'ssim'}
    with pytest.raises(UserError, match=r'val\.metrics\.psnr: crop_border 10 leaves nothing of an image of 30x20'):
        score(image, image, {'psnr': PSNR | {'crop_border': 10}})
