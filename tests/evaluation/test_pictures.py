import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dukd_basicsr.evaluation.pictures import (
    LABEL_HEIGHT,
    MAGNIFICATION,
    MARGIN,
    Panel,
    draw_side_by_side,
    find_most_different_crop,
)


@given(
    height=st.integers(3, 9),
    width=st.integers(3, 9),
    size=st.integers(1, 3),
    count=st.integers(2, 4),
    seed=st.integers(0, 99),
)
def test_most_different_crop_equals_plain_loops(height, width, size, count, seed):
    images = list(np.random.default_rng(seed).integers(0, 4, (count, height, width, 3), np.uint8))
    best, where = -1, None
    for top in range(height - size + 1):
        for left in range(width - size + 1):
            boxes = [image[top : top + size, left : left + size].astype(int) for image in images]
            total = sum(abs(a - b).sum() for i, a in enumerate(boxes) for b in boxes[i + 1 :])
            if total > best:
                best, where = total, (top, left)
    assert find_most_different_crop(images, size) == where


@pytest.mark.parametrize(('count', 'size'), [(1, 2), (2, 0), (2, 9)])
def test_most_different_crop_refuses(count, size):
    with pytest.raises(ValueError, match='no most different crop'):
        find_most_different_crop([np.zeros((8, 8, 3), np.uint8)] * count, size)


def test_comparison_has_a_column_a_panel_with_the_crop_magnified_pixel_by_pixel():
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40, 30, 3), np.uint8) for _ in range(3)]
    panels = [Panel('a', images[0], 30.12), Panel('b' * 90, images[1], 31.0), Panel('GT', images[2])]
    size = 8
    picture = draw_side_by_side(panels, (5, 7), size)
    column = size * MAGNIFICATION
    assert picture.shape[1] == 3 * (column + MARGIN) + MARGIN
    assert (picture[:MARGIN] == 255).all()
    for place, image in enumerate(images):
        left = MARGIN + place * (column + MARGIN)
        magnified = picture[-MARGIN - column : -MARGIN, left : left + column]
        expected = image[5:13, 7:15].repeat(MAGNIFICATION, 0).repeat(MAGNIFICATION, 1)
        assert np.array_equal(magnified[2:-2, 2:-2], expected[2:-2, 2:-2])  # the rest is the frame
        label = picture[MARGIN : MARGIN + LABEL_HEIGHT, left : left + column]
        assert label.min() < 100  # something is written, and inside its own column
        gutter = picture[MARGIN : MARGIN + LABEL_HEIGHT, left + column : left + column + MARGIN]
        assert (gutter == 255).all()
