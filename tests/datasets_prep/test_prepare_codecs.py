"""`basicsr prepare --codec`: other bytes, the same pixels."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
import torch
from basicsr.data.paired_image_dataset import PairedImageDataset

from datasets_prep.codecs import CODECS, encode
from datasets_prep.prepare import prepare_training
from dukd_basicsr import compat
from dukd_basicsr.cli import main
from dukd_basicsr.data.images import UnusableImageError
from dukd_basicsr.errors import UserError
from tests.images import PHOTO, SMALL, fill, pairs_by_basicsr, read_lmdb

STOCK = compat.stock(compat.read_pair)
FLAT = np.full((30, 40, 3), (1, 2, 3), np.uint8)


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize('image', [PHOTO[:97, :121], PHOTO[:1, :1], FLAT], ids=['photo', 'pixel', 'flat'])
def test_every_codec_is_lossless(codec, image):
    image = np.ascontiguousarray(image)
    decoded = cv2.imdecode(np.frombuffer(encode(image, codec), np.uint8), cv2.IMREAD_UNCHANGED)
    assert np.array_equal(decoded, image)


def test_the_trade_of_size_against_decoding():
    webp, png, bmp = (len(encode(PHOTO, codec)) for codec in ('webp', 'png', 'bmp'))
    assert webp < 0.9 * png < 0.6 * bmp
    stock_png = len(cv2.imencode('.png', PHOTO, [cv2.IMWRITE_PNG_COMPRESSION, 1])[1])
    assert png < 1.1 * stock_png


def test_an_image_that_a_format_cannot_hold_is_refused():
    long = np.zeros((1, 16384, 3), np.uint8)
    with pytest.raises(UnusableImageError, match='cannot be written as webp'):
        encode(long, 'webp')
    with pytest.raises(UnusableImageError, match='cannot be written as nonsense'):
        encode(FLAT, 'nonsense')


def test_the_lmdbs_of_all_codecs_hold_the_same_pixels_for_basicsr(tmp_path):
    source = fill(tmp_path / 'hr', (61, 75), (50, 60))
    stored = {}
    for codec in CODECS:
        paths = prepare_training(source, tmp_path / codec, 'P', (2,), **SMALL, codec=codec)
        stored[codec] = [read_lmdb(path) for path in paths]
        first = (paths[0] / 'meta_info.txt').read_text().splitlines()[0]
        assert first == f'0001_s001.{codec} (48,48,3) 1'
        dataset = pairs_by_basicsr(paths, 2, 48, 'val')
        assert torch.equal(STOCK(dataset, 0)['gt'], dataset[0]['gt'])
    for codec in ('webp', 'bmp'):
        for left, right in zip(stored['png'], stored[codec], strict=True):
            assert left.keys() == right.keys()
            assert all(np.array_equal(left[key], right[key]) for key in left)


def test_another_codec_is_not_the_same_data(tmp_path):
    source = fill(tmp_path / 'hr', (60, 75))
    home = prepare_training(source, tmp_path, 'P', (2,), **SMALL)[0]
    with pytest.raises(UserError, match='was made with codec png instead of bmp: delete it'):
        prepare_training(source, tmp_path, 'P', (2,), **SMALL, codec='bmp')
    record = home / '.prepare.json'
    old = json.loads(record.read_text())
    del old['codec']  # as the first version wrote it
    record.write_text(json.dumps(old))
    prepare_training(source, tmp_path, 'P', (2,), **SMALL)


def test_the_command_takes_a_codec_for_lmdbs_only(tmp_path, capsys):
    fill(tmp_path / 'hr', (60, 75))
    small = ['--scale', '2', '--size', '48', '--step', '24', '--min-size', '24', '-o', str(tmp_path / 'out')]
    assert main(['prepare', str(tmp_path / 'hr'), *small, '--codec', 'bmp', '--workers', '2']) == 0
    high, low = (tmp_path / 'out' / 'hr' / f'hr_{name}_sub.lmdb' for name in ('HR', 'LR_bicubic_X2'))
    assert (high / 'data.mdb').stat().st_size > 6 * 48 * 48 * 3
    opt = {'dataroot_gt': str(high), 'dataroot_lq': str(low), 'io_backend': {'type': 'lmdb'}, 'phase': 'val'}
    assert len(PairedImageDataset(opt | {'scale': 2})) == 6
    assert main(['prepare', str(tmp_path / 'hr'), '--preset', 'benchmark', '--codec', 'webp']) == 2
    assert '--codec webp: a test set is a folder of PNGs' in capsys.readouterr().err
