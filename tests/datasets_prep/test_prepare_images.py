from __future__ import annotations

import cv2
import numpy as np
import pytest
from basicsr.utils.matlab_functions import imresize as basicsr_imresize
from skimage import data

from datasets_prep.images import make_names, mod_crop, shrink
from datasets_prep.subimages import find_windows
from dukd_basicsr.data.images import UnusableImageError, find_images, read_image

PHOTO = np.ascontiguousarray(data.astronaut()[..., ::-1])


def write(path, image, *flags):
    path.write_bytes(cv2.imencode(path.suffix, image, list(flags))[1].tobytes())
    return path


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_lr_is_basicsrs_matlab_bicubic_rounded(scale):
    image = mod_crop(PHOTO[:241, :300], scale)
    wanted = np.floor(np.clip(basicsr_imresize(image / 255.0, 1 / scale) * 255.0, 0, 255) + 0.5)
    found = shrink(image, scale)
    assert found.dtype == np.uint8
    assert found.shape == (241 // scale, 300 // scale, 3)
    difference = np.abs(found - wanted)
    assert difference.max() <= 1
    assert (difference == 0).mean() > 0.999


def test_lr_saturates_instead_of_wrapping_around():
    image = np.zeros((16, 16, 3), np.uint8)
    image[:, 8:] = 255
    low = shrink(image, 2)
    assert set(np.unique(low)) <= {0, 255} | set(range(1, 40)) | set(range(215, 255))
    assert low[:, 0].max() <= 40
    assert low[:, -1].min() >= 215


@pytest.mark.parametrize('suffix', ['.png', '.bmp', '.tiff', '.TIF'])
def test_lossless_formats_are_read_as_they_are_also_under_a_foreign_name(tmp_path, suffix):
    path = write(tmp_path / f'größe 像{suffix}', PHOTO)
    assert np.array_equal(read_image(path), PHOTO)
    assert find_images(tmp_path) == [path]


def test_grey_and_opaque_alpha_become_three_channels(tmp_path):
    grey, opaque = PHOTO[..., 0], np.dstack([PHOTO, np.full(PHOTO.shape[:2], 255, np.uint8)])
    assert np.array_equal(read_image(write(tmp_path / 'g.png', grey)), np.dstack([grey] * 3))
    assert np.array_equal(read_image(write(tmp_path / 'a.png', opaque)), PHOTO)


def test_what_is_not_8_bit_rgb_is_refused_with_its_reason(tmp_path):
    clear = np.dstack([PHOTO, np.full(PHOTO.shape[:2], 254, np.uint8)])
    with pytest.raises(UnusableImageError, match='transparent'):
        read_image(write(tmp_path / 'a.png', clear))
    with pytest.raises(UnusableImageError, match='uint16'):
        read_image(write(tmp_path / 'b.png', PHOTO.astype(np.uint16) * 257))
    (tmp_path / 'c.png').write_text('a text')
    (tmp_path / 'd.png').touch()
    for name in ('c.png', 'd.png'):
        with pytest.raises(UnusableImageError, match='not an image'):
            read_image(tmp_path / name)


@pytest.mark.parametrize('suffix', ['.png', '.jpg'])
@pytest.mark.parametrize('part', [0.5, 0.999])
def test_files_without_their_end_are_refused(tmp_path, suffix, part):
    path = write(tmp_path / f'a{suffix}', PHOTO)
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    with pytest.raises(UnusableImageError, match='cut off'):
        read_image(path)


def test_only_visible_image_files_of_the_folder_itself_are_found_by_name(tmp_path):
    for name in ('b.PNG', 'a.jpg', '._a.jpg', 'notes.txt', 'in/c.png'):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / 'd.png').mkdir()
    assert [path.name for path in find_images(tmp_path)] == ['a.jpg', 'b.PNG']
    assert find_images(tmp_path / 'absent') == []


def test_names_are_ascii_without_dots_and_unique(tmp_path):
    names = make_names(
        [tmp_path / name for name in ('a.b.png', 'a_b.jpg', 'A_B.png', 'a_b_2.png', 'ü 1.png', 'x' * 300)]
    )
    assert names[:5] == ['a_b', 'a_b_2', 'A_B_3', 'a_b_2_2', '__1']
    assert len(names[5]) <= 200


def basicsr_windows(length, size, step):
    """The arithmetic of BasicSR's extract_subimages.worker (threshold 0), as a plain loop."""
    starts, start = [], 0
    while start < length - size + 1:
        starts.append(start)
        start += step
    if length - (starts[-1] + size) > 0:
        starts.append(length - size)
    return starts


def test_windows_are_those_of_basicsrs_extract_subimages():
    for length in range(48, 260, 4):
        for size, step in ((48, 24), (48, 48), (48, 60), (24, 12)):
            assert find_windows(length, size, step) == basicsr_windows(length, size, step)


def test_a_side_shorter_than_the_window_is_one_window():
    assert find_windows(40, 48, 24) == [0]
    assert find_windows(48, 48, 24) == [0]
