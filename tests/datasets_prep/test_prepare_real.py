"""`basicsr prepare --preset real` and `real-test`."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataset
from PIL import Image
from skimage import data

from datasets_prep.images import mod_crop
from datasets_prep.multiscale import make_versions
from datasets_prep.real import prepare_real, prepare_real_test
from dukd_basicsr.cli import main
from dukd_basicsr.data.degradation import Degradation, degradation_seed, draw_kernels, own_draws
from dukd_basicsr.data.degradation.settings import DEGRADATION, KERNELS
from dukd_basicsr.data.images import decode_image, read_image

PHOTO = np.ascontiguousarray(data.astronaut()[..., ::-1])


def fill(folder, **sizes):
    """Parts of a photograph by name, each of (height, width)."""
    folder.mkdir()
    for number, (name, (height, width)) in enumerate(sizes.items()):
        cv2.imwrite(str(folder / f'{name}.png'), PHOTO[30 * number : 30 * number + height, :width])
    return folder


def by_real_esrgan(image, shortest_edge):
    """scripts/generate_multiscale_DF2K.py of xinntao/Real-ESRGAN, written anew."""
    pillow = Image.fromarray(image)
    width, height = pillow.size
    sizes = [(int(width * factor), int(height * factor)) for factor in (0.75, 0.5, 1 / 3)]
    if width < height:
        sizes.append((shortest_edge, int(shortest_edge * (height / width))))
    else:
        sizes.append((int(shortest_edge * (width / height)), shortest_edge))
    return [np.array(pillow.resize(size, resample=Image.LANCZOS)) for size in sizes]


@pytest.mark.parametrize('shape', [(480, 500), (500, 480), (400, 400)])
def test_large_images_have_the_versions_of_real_esrgan(shape):
    image = PHOTO[: shape[0], : shape[1]]
    found = dict(make_versions(image, 100))
    assert list(found) == ['', 'T0', 'T1', 'T2', 'T3']
    assert found[''] is image
    for number, expected in enumerate(by_real_esrgan(image, 100)):
        assert np.array_equal(found[f'T{number}'], expected)


def test_nothing_is_enlarged_or_smaller_than_asked_for():
    image = PHOTO[:200, :300]
    assert list(dict(make_versions(image, 100))) == ['', 'T0', 'T1', 'T3']
    assert list(dict(make_versions(image, 150))) == ['', 'T0', 'T3']
    assert list(dict(make_versions(image, 200))) == ['']
    assert list(dict(make_versions(image, 400))) == ['']


def test_a_training_set_is_read_by_basicsrs_dataset(tmp_path, capsys):
    source = fill(tmp_path / 'hr', a=(200, 300), b=(90, 200), c=(60, 200))
    folder = prepare_real(source, tmp_path, 'P', size=100, step=50, min_size=80, workers=2)
    lines = (folder / 'meta_info.txt').read_text().splitlines()
    assert sorted(line.split(' ')[0] for line in lines) == sorted(file.name for file in folder.glob('*.png'))
    names = {line.split('_s')[0] for line in lines}
    assert names == {'a', 'aT0', 'aT1', 'aT3', 'b'}  # c is too small
    assert lines[0] == 'a_s001.png (100,100,3)'
    assert np.array_equal(read_image(folder / 'a_s007.png'), read_image(source / 'a.png')[50:150, 50:150])
    said = capsys.readouterr().out
    assert f'{len(lines)} sub-images of 2 images' in said
    fragment = yaml.safe_load(said.split('For the options file:\n')[1])['datasets']['train']
    options = KERNELS | fragment | {'phase': 'train', 'scale': 4, 'use_hflip': False, 'use_rot': False}
    dataset = build_dataset(options)
    assert len(dataset) == len(lines)
    expected = read_image(folder / 'a_s001.png')[..., ::-1].transpose(2, 0, 1) / np.float32(255)
    assert np.array_equal(dataset[0]['gt'].numpy()[:, :100, :100], expected)


def test_a_test_set_is_the_degradation_of_its_seed(tmp_path):
    source = fill(tmp_path / 'hr', a=(90, 101), b=(82, 120))
    gt, lq = prepare_real_test(source, tmp_path, 'P', scale=4, seed=0)
    assert gt == tmp_path / 'P' / 'real_x4_seed0' / 'GT'
    for name in ('a', 'b'):
        whole = read_image(source / f'{name}.png')
        assert np.array_equal(read_image(gt / f'{name}.png'), mod_crop(whole, 4))
    import hashlib

    number = int.from_bytes(hashlib.blake2b(b'a', digest_size=4).digest(), 'little')
    image = torch.from_numpy(mod_crop(PHOTO[:90, :101], 4)[..., ::-1].copy()).permute(2, 0, 1)[None] / 255
    with own_draws(degradation_seed(0, 0, number), torch.device('cpu')):
        expected = Degradation(DEGRADATION)(image, draw_kernels(KERNELS), 4)
    expected = (expected[0] * 255).round().byte().permute(1, 2, 0).numpy()[..., ::-1]
    assert np.array_equal(read_image(lq / 'a.png'), expected)
    assert expected.shape == (22, 25, 3)


def test_a_test_set_is_the_same_with_other_images_and_threads_and_another_with_another_seed(tmp_path):
    both, one = fill(tmp_path / 'both', a=(90, 101), b=(82, 120)), fill(tmp_path / 'one', a=(90, 101))
    first = prepare_real_test(both, tmp_path, 'P', seed=0, workers=3)[1]
    again = prepare_real_test(one, tmp_path, 'Q', seed=0, workers=1)[1]
    other = prepare_real_test(one, tmp_path, 'Q', seed=1, workers=1)[1]
    images = [decode_image((folder / 'a.png').read_bytes()) for folder in (first, again, other)]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


@pytest.mark.parametrize(
    ('argv', 'sentence'),
    [
        (['--preset', 'real-test', '--seed', '-1'], '--seed -1 is too small'),
        (['--preset', 'real', '--size', '0'], '--size 0 is too small'),
        (['--preset', 'real', '--codec', 'bmp'], 'a training set for RealESRGANDataset is a folder of PNGs'),
        (['--preset', 'real-test'], 'smaller than 74 pixels, which cannot be degraded'),
        (['--preset', 'real'], 'All images are too small'),
    ],
)
def test_what_cannot_be_made_is_said(argv, sentence, tmp_path, capsys):
    source = fill(tmp_path / 'hr', a=(40, 300))
    assert main(['prepare', str(source), '-o', str(tmp_path / 'out'), *argv]) == 2
    assert sentence in capsys.readouterr().err
    assert not list(tmp_path.glob('out/hr/*/*'))


def test_the_commands_defaults(tmp_path):
    source = fill(tmp_path / 'hr', a=(410, 420))
    assert main(['prepare', str(source), '-o', str(tmp_path), '--preset', 'real-test', '--name', 'P']) == 0
    assert main(['prepare', str(source), '-o', str(tmp_path), '--preset', 'real', '--name', 'P']) == 0
    assert [path.name for path in (tmp_path / 'P' / 'real_x4_seed0' / 'LR').glob('*.png')] == ['a.png']
    lines = (tmp_path / 'P' / 'P_multiscale_sub' / 'meta_info.txt').read_text().splitlines()
    assert [line.split(' ')[0] for line in lines] == ['a_s001.png', 'a_s002.png', 'a_s003.png', 'a_s004.png',
                                                      'aT3_s001.png', 'aT3_s002.png']  # fmt: skip
