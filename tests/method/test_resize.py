import pytest
import torch
from basicsr.utils.matlab_functions import imresize as matlab_imresize
from hypothesis import given
from hypothesis import strategies as st

from dukd_basicsr.resize import imresize

SCALES = [2, 3, 4, 1 / 2, 1 / 3, 1 / 4]


@given(scale=st.sampled_from(SCALES), height=st.integers(9, 64), width=st.integers(9, 64), seed=st.integers(0, 99))
def test_equals_basicsr_for_all_sizes(scale, height, width, seed):
    image = torch.rand(3, height, width, generator=torch.Generator().manual_seed(seed))
    torch.testing.assert_close(imresize(image, scale), matlab_imresize(image, scale), rtol=0, atol=1e-5)


def cubic(x):
    """MATLAB's kernel, a = -0.5."""
    x = abs(x)
    if x <= 1:
        return 1.5 * x**3 - 2.5 * x**2 + 1
    return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0


def resize_row_by_the_book(row, scale, size):
    """imresize of one row in plain loops: kernel widened when shrinking, weights normalised, borders mirrored."""
    widen = min(scale, 1.0)
    out = []
    for i in range(size):
        centre = (i + 0.5) / scale - 0.5
        reach = range(int(centre - 2 / widen) - 2, int(centre + 2 / widen) + 3)
        weights = [cubic((j - centre) * widen) for j in reach]
        mirrored = [j % (2 * len(row)) for j in reach]
        mirrored = [min(j, 2 * len(row) - 1 - j) for j in mirrored]
        out.append(sum(w * row[j] for w, j in zip(weights, mirrored, strict=True)) / sum(weights))
    return out


@pytest.mark.parametrize('scale', SCALES)
@pytest.mark.parametrize('length', [3, 12, 13, 14])
def test_float64_equals_the_formula_also_on_images_smaller_than_the_kernel(scale, length):
    row = torch.rand(length, dtype=torch.float64)
    constant = row.expand(length, length).contiguous()  # constant columns: the vertical pass keeps them
    size = -(-length // round(1 / scale)) if scale < 1 else length * scale
    expected = torch.tensor(resize_row_by_the_book(row.tolist(), scale, size), dtype=torch.float64)
    torch.testing.assert_close(imresize(constant, scale)[0], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize('scale', SCALES)
def test_float32_keeps_to_float64_on_long_rows(scale):
    image = torch.rand(1, 1, 12, 1200)
    exact = imresize(image.double(), scale)
    torch.testing.assert_close(imresize(image, scale).double(), exact, rtol=0, atol=1e-6)


@pytest.mark.parametrize('scale', SCALES)
def test_constant_images_stay_constant_and_batches_equal_singles(scale):
    assert torch.allclose(imresize(torch.full((1, 3, 17, 19), 0.3), scale), torch.tensor(0.3), atol=1e-6)
    batch = torch.rand(4, 3, 17, 19)
    torch.testing.assert_close(imresize(batch, scale), torch.stack([imresize(image, scale) for image in batch]))


def test_is_differentiable():
    x = torch.rand(1, 1, 8, 9, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: imresize(x, 1 / 2), x)
    assert torch.autograd.gradcheck(lambda x: imresize(x, 3), x)


@pytest.mark.parametrize('scale', [0, -1, 0.4, 1.5, 2.5])
def test_other_scales_are_refused(scale):
    with pytest.raises(ValueError, match='whole number'):
        imresize(torch.rand(1, 3, 8, 8), scale)


def test_integer_and_empty_images_are_refused():
    with pytest.raises(TypeError, match='float32 or float64'):
        imresize(torch.zeros(1, 3, 8, 8, dtype=torch.uint8), 2)
    with pytest.raises(ValueError, match='with pixels'):
        imresize(torch.zeros(1, 3, 0, 8), 2)
