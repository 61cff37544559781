"""Images by their first and last bytes: whole ones pass with their size, cut ones never do."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dukd_basicsr.data.checks.images import HEAD, TAIL, DamagedImageError, inspect, inspect_file

IMAGE = np.random.default_rng(0).integers(0, 256, (31, 22, 3), np.uint8)
SUFFIXES = {'.png': (31, 22), '.bmp': (31, 22), '.jpg': None, '.webp': None, '.tif': None}


@pytest.mark.parametrize(('suffix', 'size'), SUFFIXES.items())
def test_whole_images_pass_and_cut_ones_do_not(suffix, size, tmp_path):
    content = cv2.imencode(suffix, IMAGE)[1].tobytes()
    file = tmp_path / f'x{suffix}'
    file.write_bytes(content)
    assert inspect_file(file) == size
    for length in (1, 5, HEAD // 2, len(content) // 2, len(content) - 2):
        if suffix == '.tif' and length > len(content) // 2:
            continue  # a TIFF's directory may be anywhere; its end does not tell
        file.write_bytes(content[:length])
        with pytest.raises(DamagedImageError, match=rf'is cut off after {length} bytes|is no PNG'):
            inspect_file(file)


def test_what_stands_behind_an_image_is_let_be():
    content = cv2.imencode('.png', IMAGE)[1].tobytes() + b'\0' * 100
    assert inspect(content[:HEAD], content[-TAIL:], len(content)) == (31, 22)


@pytest.mark.parametrize(('content', 'message'), [(b'', 'is empty'), (b'<html></html>', 'is no PNG, JPEG, WebP')])
def test_what_is_no_image(content, message, tmp_path):
    (tmp_path / 'x.png').write_bytes(content)
    with pytest.raises(DamagedImageError, match=message):
        inspect_file(tmp_path / 'x.png')


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DamagedImageError, match='cannot be read'):
        inspect_file(tmp_path / 'x.png')
