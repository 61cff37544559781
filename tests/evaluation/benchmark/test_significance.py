import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap

from dukd_basicsr.evaluation.benchmark.significance import Comparison, compare_rows, format_comparison, paired_bootstrap

SCORES = st.lists(st.floats(10, 50), min_size=1, max_size=20)


@given(SCORES)
def test_a_network_does_not_differ_from_itself(scores):
    assert paired_bootstrap(scores, scores, resamples=100) == Comparison(0, 0, 0, 0)


def test_two_perfect_images_do_not_differ():
    assert paired_bootstrap([np.inf, 30], [np.inf, 30], resamples=100) == Comparison(0, 0, 0, 0)


@given(st.lists(st.integers(640, 3200), min_size=1, max_size=20), st.integers(-64, 64).filter(bool))
def test_a_constant_difference_has_no_width(scores, shift):
    a, b = [(score + shift) / 64 for score in scores], [score / 64 for score in scores]
    assert paired_bootstrap(a, b, resamples=100) == Comparison(*[shift / 64] * 3, float(shift < 0))


def test_agrees_with_scipy():
    rng = np.random.default_rng(3)
    b = rng.normal(30, 4, 60)
    a = b + rng.normal(0.05, 0.2, 60)
    ours = paired_bootstrap(a, b)
    theirs = bootstrap((a, b), lambda x, y, axis: (x - y).mean(axis), paired=True, method='percentile',
                       n_resamples=10_000, rng=np.random.default_rng(7))  # fmt: skip
    assert ours.mean == pytest.approx((a - b).mean(), abs=1e-12)
    interval = theirs.confidence_interval
    assert (ours.low, ours.high) == pytest.approx((interval.low, interval.high), abs=0.003)  # 1/17 of the width
    assert ours.below_zero == pytest.approx((theirs.bootstrap_distribution < 0).mean(), abs=0.01)
    assert 0 < ours.below_zero < 0.1


@given(SCORES, st.integers(0, 5))
def test_swapped_networks_have_the_mirrored_interval(a, seed):
    b = a[::-1]
    one, other = (paired_bootstrap(*pair, resamples=200, seed=seed) for pair in ((a, b), (b, a)))
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low), abs=1e-9)
    assert one == paired_bootstrap(a, b, resamples=200, seed=seed)


def test_many_images_are_drawn_in_chunks(monkeypatch):
    a, b = np.random.default_rng(0).normal(30, 1, (2, 50))
    whole = paired_bootstrap(a, b, resamples=105)
    monkeypatch.setattr('dukd_basicsr.evaluation.benchmark.significance.CHUNK', 500)
    assert paired_bootstrap(a, b, resamples=105) == whole


@pytest.mark.parametrize(('a', 'b'), [([1.0], [1.0, 2.0]), ([], [])])
def test_scores_that_are_no_pairs_are_refused(a, b):
    with pytest.raises(ValueError, match='paired scores are needed'):
        paired_bootstrap(a, b)


def test_rows_are_paired_image_by_image():
    scores = {'ours': {'Set5': [30, 31], 'Set14': [28]}, 'other': {'Set5': [29.5, 30.5], 'Set14': [28.25]}}
    records = [
        {'set': name, 'network': row, 'psnr': value}
        for name in ('Set5', 'Set14') for row in ('other', 'ours') for value in scores[row][name]
    ]  # fmt: skip
    results = compare_rows(records, ('ours', 'other'), ['Set5', 'Set14'], ['psnr'])
    expected = {'metric': 'psnr', 'mean': 0.5, 'low': 0.5, 'high': 0.5, 'below_zero': 0.0}
    assert results[0] == {**expected, 'set': 'Set5', 'images': 2}
    assert results[1]['mean'] == -0.25
    text = format_comparison(results, ('ours', 'other'))
    assert '| ours - other | images | difference |      95 % interval | below zero |\n' in text
    assert '| Set14 PSNR   |      1 |    -0.2500 | -0.2500 to -0.2500 |    100.0 % |\n' in text
