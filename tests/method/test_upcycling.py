import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dukd_basicsr.resize import imresize
from dukd_basicsr.upcycling import zoom_in, zoom_out


def positions(batch, num, height, width, size, seed):
    """The crops' corners by the documented draws: all rows first, then all columns."""
    generator = torch.Generator().manual_seed(seed)
    top = torch.randint(height - size + 1, (batch * num,), generator=generator)
    left = torch.randint(width - size + 1, (batch * num,), generator=generator)
    return list(zip(top.tolist(), left.tolist(), strict=True))


@given(
    batch=st.integers(1, 4), num=st.integers(1, 3), height=st.integers(5, 20), width=st.integers(5, 20),
    size=st.integers(1, 5), seed=st.integers(0, 99),
)  # fmt: skip
def test_zoom_in_equals_plain_loops(batch, num, height, width, size, seed):
    gt = torch.rand(batch, 3, height, width)
    crops = zoom_in(gt, size, num, torch.Generator().manual_seed(seed))
    assert crops.shape == (batch * num, 3, size, size)
    for place, (top, left) in enumerate(positions(batch, num, height, width, size, seed)):
        assert torch.equal(crops[place], gt[place // num, :, top : top + size, left : left + size])


def test_zoom_in_positions_are_uniform_and_independent_between_samples():
    height = width = 9
    grid = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width).expand(3000, 1, -1, -1)
    corner = zoom_in(grid, 6, generator=torch.Generator().manual_seed(0))[:, 0, 0, 0].long()
    counts = torch.bincount(corner // width * 4 + corner % width, minlength=16)  # 4 x 4 possible corners
    expected = 3000 / 16
    assert ((counts - expected) ** 2 / expected).sum() < 37.7  # chi-squared, 15 degrees of freedom, p = 0.001


def test_zoom_in_end_points():
    gt = torch.rand(2, 3, 7, 7)
    assert torch.equal(zoom_in(gt, 7, num=2), gt.repeat_interleave(2, 0))  # a crop as large as the patch is the patch
    same = [zoom_in(gt, 3, generator=torch.Generator().manual_seed(5)) for _ in range(2)]
    assert torch.equal(*same)


@given(height=st.integers(6, 13), width=st.integers(6, 13), num=st.integers(1, 4), seed=st.integers(0, 99))
def test_grid_crops_are_different_cells_of_each_sample(height, width, num, seed):
    gt = torch.rand(3, 2, height, width)
    crops = zoom_in(gt, 3, num, torch.Generator().manual_seed(seed), grid=True).view(3, num, 2, 3, 3)
    for sample in range(3):
        cells = [gt[sample, :, i : i + 3, j : j + 3] for i in range(0, height - 2, 3) for j in range(0, width - 2, 3)]
        found = [next(k for k, cell in enumerate(cells) if torch.equal(cell, crop)) for crop in crops[sample]]
        assert len(set(found)) == num


def test_all_grid_cells_come_equally_often_and_no_more_than_there_are():
    grid = torch.arange(36, dtype=torch.float64).view(1, 1, 6, 6).expand(4000, 1, -1, -1)
    corner = zoom_in(grid, 3, 1, torch.Generator().manual_seed(0), grid=True)[:, 0, 0, 0]
    values, counts = corner.unique(return_counts=True)
    assert values.tolist() == [0, 3, 18, 21]
    assert (counts / 4000 - 0.25).abs().max() < 0.03
    with pytest.raises(ValueError, match='num <= 4'):
        zoom_in(grid, 3, 5, grid=True)


@pytest.mark.parametrize(('size', 'num', 'message'), [(8, 1, 'size <= 7'), (0, 1, 'size <= 7'), (3, 0, 'num >= 1')])
def test_zoom_in_refuses(size, num, message):
    with pytest.raises(ValueError, match=message):
        zoom_in(torch.rand(1, 3, 7, 9), size, num)


@pytest.mark.parametrize('scale', [2, 3, 4])
def test_zoom_out_is_imresize_and_commutes_with_cropping(scale):
    lq = torch.rand(2, 3, 48, 48, dtype=torch.float64)
    small = zoom_out(lq, scale)
    assert torch.equal(small, imresize(lq, 1 / scale))
    # Away from the crop's border, whose mirrored pixels differ: the kernel reaches two output pixels.
    cropped = zoom_out(lq[..., scale:-scale, 2 * scale :], scale)
    torch.testing.assert_close(cropped[..., 2:-2, 2:-2], small[..., 1:-1, 2:][..., 2:-2, 2:-2], rtol=0, atol=1e-12)


def test_zoom_out_refuses_sides_that_do_not_come_back():
    with pytest.raises(ValueError, match='multiples of 4, got 50x48'):
        zoom_out(torch.rand(1, 3, 50, 48), 4)
