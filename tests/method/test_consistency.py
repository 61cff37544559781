import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from dukd_basicsr.consistency import INVOLUTIONS, OPERATIONS, InvertibleTransform
from dukd_basicsr.upcycling import zoom_in

COMPOSITIONS = [
    (order, drawn)
    for order in itertools.permutations(INVOLUTIONS)
    for drawn in itertools.product([False, True], repeat=len(INVOLUTIONS))
]


@pytest.mark.parametrize('shape', [(5, 5), (4, 7)])
def test_inverse_undoes_every_composition_in_every_order_exactly(shape):
    x = torch.rand(1, 3, *shape)
    for order, drawn in COMPOSITIONS:
        transform = InvertibleTransform(tuple((op, torch.tensor([on])) for op, on in zip(order, drawn, strict=True)))
        assert torch.equal(transform.inverse(transform(x)), x), (order, drawn)
        assert torch.equal(transform(transform.inverse(x)), x), (order, drawn)


@given(st.integers(0, 999), st.sampled_from([(4, 4), (3, 5)]), st.permutations(OPERATIONS), st.sampled_from([0.5, 1]))
def test_inverse_undoes_all_six_operations_in_any_order_exactly(seed, shape, order, prob):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(256, (6, 4, *shape), generator=generator) / 256  # values that 1 - x keeps
    transform = InvertibleTransform.sample(6, order, prob, generator, channels=4, size=shape)
    assert torch.equal(transform.inverse(transform(x)), x)
    assert torch.equal(transform(transform.inverse(x)), x)


def by_hand(image, op, draw):
    """One operation on one image of shape (C, H, W), pixel by pixel."""
    channels, height, width = image.shape
    if op == 'transpose' and height != width:
        return image
    out = torch.empty_like(image)
    for c, i, j in itertools.product(range(channels), range(height), range(width)):
        if op == 'permute':
            out[c, i, j] = image[draw[c], i, j]
            continue
        if op == 'translate':
            out[c, (i + draw[0]) % height, (j + draw[1]) % width] = image[c, i, j]
            continue
        source = {'hflip': (i, width - 1 - j), 'vflip': (height - 1 - i, j), 'transpose': (j, i)}.get(op, (i, j))
        out[c, i, j] = 1 - image[c, i, j] if op == 'invert' else image[(c, *source)]
    return out


@given(st.integers(0, 999), st.sampled_from([(4, 4), (3, 5)]), st.permutations(list(OPERATIONS)))
def test_each_sample_gets_its_own_operations_in_the_given_order(seed, shape, order):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(6, 2, *shape, generator=generator)
    transform = InvertibleTransform.sample(6, order, 0.5, generator, channels=2, size=shape)
    y = transform(x)
    for sample in range(6):
        expected = x[sample]
        for op, draw in transform.draws:
            on = op not in INVOLUTIONS or draw[sample]
            expected = by_hand(expected, op, draw[sample].tolist()) if on else expected
        assert torch.equal(y[sample], expected)


@pytest.mark.parametrize('scale', [1, 2, 3, 4])
def test_inverse_of_an_enlarged_answer_fits_the_clean_input(scale):
    """An equivariant student (nearest neighbour) is not changed by F: F^-1(S(F(u))) = S(u)."""

    def enlarge(x):
        return x.repeat_interleave(scale, -1).repeat_interleave(scale, -2)

    x = torch.randint(256, (32, 3, 6, 6)) / 256
    transform = InvertibleTransform.sample(32, OPERATIONS, 0.5, size=(6, 6))
    assert torch.equal(transform.inverse(enlarge(transform(x))), enlarge(x))


def test_probabilities_end_points_and_independence():
    never = InvertibleTransform.sample(8, prob=0.0)
    always = InvertibleTransform.sample(8, prob=1.0)
    assert not any(mask.any() for _, mask in never.draws)
    assert all(mask.all() for _, mask in always.draws)
    draws = torch.stack([mask for _, mask in InvertibleTransform.sample(20000, prob=0.3).draws]).double()
    assert draws.mean(1).sub(0.3).abs().max() < 0.02
    assert torch.corrcoef(draws).fill_diagonal_(0).abs().max() < 0.03


def test_permutations_and_shifts_are_uniform_and_drawn_with_their_probability():
    generator = torch.Generator().manual_seed(0)
    transform = InvertibleTransform.sample(24000, ('permute', 'translate'), 0.5, generator, size=(2, 3))
    (_, order), (_, shift) = transform.draws
    for found, kinds in ((order @ torch.tensor([9, 3, 1]), 6), (shift @ torch.tensor([3, 1]), 6)):
        counts = torch.unique(found, return_counts=True)[1].double() / 24000
        assert counts.numel() == kinds
        identity = counts.argmax()  # not drawn, or drawn as one of all
        assert abs(counts[identity] - (0.5 + 0.5 / kinds)) < 0.015
        others = torch.cat([counts[:identity], counts[identity + 1 :]])
        assert others.sub(0.5 / kinds).abs().max() < 0.01


def test_draws_of_the_papers_operations_do_not_depend_on_the_others():
    two = [InvertibleTransform.sample(9, ops, 0.5, torch.Generator().manual_seed(1), size=(4, 4))
           for ops in (tuple(INVOLUTIONS), OPERATIONS)]  # fmt: skip
    masks = torch.rand(6, 9, generator=torch.Generator().manual_seed(1)) < 0.5
    assert torch.equal(torch.stack([draw for _, draw in two[0].draws]), masks[:4])
    assert torch.equal(torch.stack([draw for _, draw in two[1].draws[:4]]), masks[:4])


def test_upcycling_commutes_with_flips_of_the_whole_patch():
    gt = torch.rand(2, 3, 8, 8)
    mirrored = zoom_in(gt.flip(-1), 8)
    assert torch.equal(mirrored, zoom_in(gt, 8).flip(-1))


def test_same_generator_same_draws_and_gradient_flows():
    first, second = (
        InvertibleTransform.sample(5, OPERATIONS, generator=torch.Generator().manual_seed(3), size=(4, 4))
        for _ in range(2)
    )
    assert all(torch.equal(a[1], b[1]) for a, b in zip(first.draws, second.draws, strict=True))
    x = torch.rand(5, 3, 4, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: first.inverse(first(x) * 2), x)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'ops': ['rotate']}, 'unknown'),
        ({'prob': 1.2}, 'within'),
        ({'ops': ['translate']}, 'needs the size'),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        InvertibleTransform.sample(4, **arguments)
