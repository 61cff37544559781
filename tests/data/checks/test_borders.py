"""A crop_border that leaves nothing of a test image is said before anything is computed, with the image."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dukd_basicsr.cli import main
from dukd_basicsr.data.checks.borders import check_borders
from dukd_basicsr.options.report import Report
from tests.toys import STUDENT, save_weights
from tests.workplace import workplace  # noqa: F401  the fixture


def said(images, border, scale=1):
    report = Report()
    check_borders(images, {'psnr': {'type': 'calculate_psnr', 'crop_border': border}}, scale, report)
    return list(report.errors.values())


@pytest.mark.parametrize(
    ('size', 'scale', 'largest'),
    [((12, 30), 1, 5), ((30, 13), 1, 6), ((13, 13), 2, 5), ((15, 14), 4, 5), ((1, 1), 1, 0)],
)
def test_the_largest_border_that_leaves_a_pixel(size, scale, largest):
    """Of a side s, validated as s // scale * scale, a border b leaves s - 2 b pixels."""
    assert said({'a': size}, largest, scale) == []
    assert said({'b': (99, 99), 'a': size}, largest + 1, scale) == [
        f'val.metrics.psnr.crop_border: {largest + 1} leaves nothing of a with {size[0]}x{size[1]} pixels; write a '
        'smaller one, or leave the image out.'
    ]


def test_no_border_and_sizes_that_are_not_known(tmp_path):
    report = Report()
    check_borders({'a': (2, 2)}, {'lpips': {'type': 'calculate_pyiqa'}}, 2, report)
    assert report.errors == {}
    cv2.imwrite(str(tmp_path / 'a.jpg'), np.zeros((10, 40, 3), np.uint8))
    assert said({tmp_path / 'a.jpg': None}, 4) == []
    assert said({tmp_path / 'a.jpg': None}, 5)[0].startswith('val.metrics.psnr.crop_border: 5 leaves nothing of ')
    (tmp_path / 'text.jpg').write_text('no image')
    assert said({tmp_path / 'text.jpg': None}, 5) == []


@pytest.mark.parametrize('words', ['train -opt small.yml', 'benchmark -opt small.yml --weights student.pth -o table'])
def test_nothing_is_begun_where_an_image_is_too_small(words, workplace, monkeypatch, capsys):  # noqa: F811
    monkeypatch.chdir(workplace)
    opt = yaml.safe_load(Path('toy.yml').read_text(encoding='utf-8'))
    opt['name'], opt['val']['metrics']['psnr']['crop_border'] = 'small', 24  # of images with 48x52 pixels
    Path('small.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    save_weights('student.pth', STUDENT)
    before = sorted(workplace.rglob('*'))
    assert main(words.split()) == 2
    err = capsys.readouterr().err
    sentence = err.splitlines()[-1]
    assert sentence.startswith(f'basicsr {words.split()[0]}: val.metrics.psnr.crop_border: 24 leaves nothing of ')
    assert sentence.endswith('/0.png with 48x52 pixels; write a smaller one, or leave the image out.')
    assert sorted(workplace.rglob('*')) == before
