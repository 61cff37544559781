"""What `basicsr prepare` writes, read back through BasicSR."""

from __future__ import annotations

import re

import cv2
import numpy as np
import pytest
import yaml

from datasets_prep.codecs import encode
from datasets_prep.images import mod_crop, shrink
from datasets_prep.prepare import prepare_benchmark, prepare_div2k, prepare_training
from dukd_basicsr.data.images import read_image
from dukd_basicsr.errors import UserError
from tests.images import PHOTO, SMALL, fill, pairs_by_basicsr, read_lmdb


def as_pixels(tensor):
    return (tensor.permute(1, 2, 0).numpy()[..., ::-1] * 255).round().astype(np.uint8)


def test_training_pairs_are_read_by_basicsrs_dataset_and_aligned(tmp_path):
    source = fill(tmp_path / 'hr', (97, 120), (60, 75))
    paths = prepare_training(source, tmp_path, 'P', **SMALL)
    home = tmp_path / 'P'
    assert paths == [home / 'P_HR_sub.lmdb', *(home / f'P_LR_bicubic_X{s}_sub.lmdb' for s in (2, 3, 4))]
    for scale, path in zip((2, 3, 4), paths[1:], strict=True):
        dataset = pairs_by_basicsr([paths[0], path], scale, 48)
        assert len(dataset) == 3 * 4 + 2 * 2
        for index in range(len(dataset)):
            pair = dataset[index]
            assert pair['lq'].shape == (3, 48 // scale, 48 // scale)
            inside = np.s_[3:-3, 3:-3]  # nearer the border the kernel reaches beyond the sub-image
            assert np.array_equal(shrink(as_pixels(pair['gt']), scale)[inside], as_pixels(pair['lq'])[inside])


def test_sub_images_are_parts_of_the_whole_image_and_of_its_lr(tmp_path):
    source = fill(tmp_path / 'hr', (97, 120))
    paths = prepare_training(source, tmp_path, 'P', (2, 4), **SMALL)
    high, low = read_lmdb(paths[0]), read_lmdb(paths[2])
    image = mod_crop(read_image(source / '0001.png'), 4)
    places = [(top, left) for top in (0, 24, 48) for left in (0, 24, 48, 72)]
    assert list(high) == [f'0001_s{number:03d}' for number in range(1, 13)]
    for (top, left), key in zip(places, high, strict=True):
        assert np.array_equal(high[key], image[top : top + 48, left : left + 48])
        assert np.array_equal(low[key], shrink(image, 4)[top // 4 : top // 4 + 12, left // 4 : left // 4 + 12])


def test_meta_info_is_as_basicsr_writes_it_and_the_file_is_no_larger_than_its_data(tmp_path):
    paths = prepare_training(fill(tmp_path / 'hr', (60, 75)), tmp_path, 'P', (2,), **SMALL)
    assert (paths[1] / 'meta_info.txt').read_bytes() == b''.join(
        b'0001_s%03d.png (24,24,3) 1\n' % n for n in range(1, 7)
    )
    stored = sum(len(encode(image)) for image in read_lmdb(paths[0]).values())
    assert (paths[0] / 'data.mdb').stat().st_size < 1.5 * stored + 100_000


def test_a_map_that_is_too_small_grows(tmp_path, monkeypatch):
    monkeypatch.setattr('datasets_prep.writers._MAP_STEP', 64 * 1024)
    source = fill(tmp_path / 'hr', (200, 200), (200, 200))
    paths = prepare_training(source, tmp_path, 'P', (2,), **SMALL)
    assert (paths[0] / 'data.mdb').stat().st_size > 4 * 64 * 1024
    meta = (paths[0] / 'meta_info.txt').read_text().splitlines()
    assert [line.split('.')[0] for line in meta] == list(read_lmdb(paths[0]))
    assert len(meta) == 2 * 8 * 8


def test_the_fragment_for_the_options_file_names_the_largest_scale(tmp_path, capsys):
    paths = prepare_training(fill(tmp_path / 'hr', (60, 75)), tmp_path, 'P', **SMALL)
    text = capsys.readouterr().out.split('For the options file:\n')[1]
    train = yaml.safe_load(text)['datasets']['train']
    assert yaml.safe_load(text)['scale'] == 4
    assert (train['dataroot_gt'], train['dataroot_lq']) == (paths[0].as_posix(), paths[-1].as_posix())
    assert train['io_backend'] == {'type': 'lmdb'}


def test_small_images_are_whole_and_smaller_ones_named(tmp_path, capsys):
    source = fill(tmp_path / 'hr', (30, 75), (20, 75), (75, 20))
    paths = prepare_training(source, tmp_path, 'P', (2,), **SMALL)
    assert [image.shape for image in read_lmdb(paths[0]).values()] == [(30, 48, 3)] * 3
    said = capsys.readouterr().out
    assert 'Left out as too small: 2 of 3 (0002.png, 0003.png). To keep them: --min-size 20.' in said
    prepare_training(source, tmp_path / 'all', 'P', (2,), **SMALL | {'min_size': 20})
    assert 'Left out' not in capsys.readouterr().out


def test_nothing_is_left_when_no_image_is_large_enough(tmp_path):
    source = fill(tmp_path / 'hr', (20, 75))
    with pytest.raises(UserError, match=r'1 of 1 \(0001\.png\)\. To keep them: --min-size 12'):
        prepare_training(source, tmp_path, 'P', **SMALL)
    assert not (tmp_path / 'P').exists()


def test_every_unusable_image_is_counted_and_five_named(tmp_path):
    source = fill(tmp_path / 'hr', (60, 75))
    for number in range(7):
        (source / f'bad{number}.png').write_text('no')
    with pytest.raises(UserError, match='7 of 8 images cannot be used') as caught:
        prepare_training(source, tmp_path, 'P', (2,), **SMALL)
    assert [f'bad{n}.png' in str(caught.value) for n in range(7)] == [True] * 5 + [False] * 2
    assert not (tmp_path / 'P').exists()


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        ({'size': 50}, '--size 50 is not a multiple of 12.*48 or 60'),
        ({'step': 5}, '--step 5 is not a multiple of 12.*give 12'),
        ({'step': 0}, '--step 0 is not a multiple of 12.*give 12'),
        ({'scales': (1, 2)}, 'from 2 on'),
        ({'scales': ()}, 'from 2 on'),
        ({'name': '../x'}, '--name'),
        ({'workers': 0}, '--workers 1'),
    ],
)
def test_wrong_arguments_end_before_anything_is_written(tmp_path, change, says):
    source = fill(tmp_path / 'hr', (60, 75))
    with pytest.raises(UserError, match=says):
        prepare_training(**{'source': source, 'out': tmp_path / 'out', 'name': 'P'} | SMALL | change)
    assert not list(tmp_path.glob('out/*/*'))


def test_a_folder_without_images_says_where_some_are(tmp_path):
    with pytest.raises(UserError, match='There is no folder'):
        prepare_training(tmp_path / 'absent', tmp_path, 'P')
    fill(tmp_path / 'hr' / 'inner', (60, 75))
    with pytest.raises(UserError, match=re.escape(f'give {tmp_path / "hr" / "inner"}')):
        prepare_training(tmp_path / 'hr', tmp_path, 'P')


def official(source, scale, folder):
    """LR images that differ from computed ones by 1, so that it shows which were used."""
    folder.mkdir(parents=True)
    for path in source.glob('DIV2K_train_HR/*.png'):
        low = shrink(read_image(path), scale)
        (folder / f'{path.stem}x{scale}.png').write_bytes(encode(low ^ 1))


def test_div2k_cuts_official_lr_where_it_is_there_and_computes_the_rest(tmp_path):
    fill(tmp_path / 'DIV2K_train_HR', (396, 204))
    official(tmp_path, 2, tmp_path / 'DIV2K_train_LR_bicubic' / 'X2')
    official(tmp_path, 4, tmp_path / 'DIV2K_train_LR_bicubic_X4' / 'DIV2K_train_LR_bicubic' / 'X4')
    paths = prepare_div2k(tmp_path, tmp_path / 'out', workers=1)
    names = ['HR', *(f'LR_bicubic_X{scale}' for scale in (2, 3, 4))]
    assert paths == [tmp_path / 'out' / 'DIV2K' / f'DIV2K_train_{name}_sub.lmdb' for name in names]
    image = read_image(tmp_path / 'DIV2K_train_HR' / '0001.png')
    found = [read_lmdb(path)['0001_s001'] for path in paths]
    assert np.array_equal(found[0], image)
    assert np.array_equal(found[1], shrink(image, 2) ^ 1)
    assert np.array_equal(found[2], shrink(image, 3))
    assert np.array_equal(found[3], shrink(image, 4) ^ 1)


def test_official_lr_of_an_hr_image_that_the_scales_do_not_divide_ends_where_the_cropped_hr_ends(tmp_path):
    fill(tmp_path / 'DIV2K_train_HR', (202, 214))  # cropped to 192 x 204
    official(tmp_path, 2, tmp_path / 'DIV2K_train_LR_bicubic' / 'X2')
    paths = prepare_div2k(tmp_path, tmp_path / 'out', workers=1)
    high, low = (read_lmdb(path)['0001_s001'] for path in paths[:2])
    assert high.shape == (192, 204, 3)
    assert low.shape == (96, 102, 3)


def test_div2k_refuses_lr_that_does_not_fit(tmp_path):
    fill(tmp_path / 'DIV2K_train_HR', (204, 216), (216, 204))
    folder = tmp_path / 'DIV2K_train_LR_bicubic' / 'X2'
    official(tmp_path, 2, folder)
    (folder / '0002x2.png').write_bytes(encode(PHOTO[:50, :50]))
    with pytest.raises(UserError, match=r'0002x2\.png is 50 x 50, which is not 1/2 of 204 x 216'):
        prepare_div2k(tmp_path, tmp_path / 'out', workers=1)
    (folder / '0002x2.png').unlink()
    with pytest.raises(UserError, match=r'1 images for 2 .* 0002x2\.png'):
        prepare_div2k(tmp_path, tmp_path / 'out', workers=1)


def test_div2k_says_what_to_download(tmp_path):
    with pytest.raises(UserError, match=r'DIV2K_train_HR\.zip.*DIV2K_train_HR/0001\.png'):
        prepare_div2k(tmp_path, tmp_path / 'out')


@pytest.mark.parametrize('layout', ['', 'HR', 'original', 'GTmod12'])
def test_benchmark_sets_are_pairs_of_folders_that_basicsr_reads(tmp_path, layout):
    source = fill(tmp_path / 'Set' / layout, (50, 61))
    (source / 'grey.bmp').write_bytes(cv2.imencode('.bmp', PHOTO[:33, :47, 0])[1].tobytes())
    paths = prepare_benchmark(tmp_path / 'Set', tmp_path / 'out', 'Set', (2, 3))
    assert paths == [tmp_path / 'out' / 'Set' / name for name in ('GTmod2', 'LRbicx2', 'GTmod3', 'LRbicx3')]
    dataset = pairs_by_basicsr(paths[2:], 3, None, 'val', 'disk')
    assert [pair['gt'].shape for pair in dataset] == [(3, 48, 60), (3, 33, 45)]
    image = mod_crop(read_image(source / '0001.png'), 3)
    assert np.array_equal(read_image(paths[2] / '0001.png'), image)
    assert np.array_equal(read_image(paths[3] / '0001.png'), shrink(image, 3))
    assert cv2.imread(str(paths[3] / 'grey.png'), cv2.IMREAD_UNCHANGED).shape == (11, 15, 3)
