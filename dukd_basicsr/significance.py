"""Is one network better than another on a test set, or were its images lucky? The paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

RESAMPLES = 10_000
LEVEL = 0.95
CHUNK = 2**22
"""Drawn indices that are held at once."""


@dataclass(frozen=True)
class Comparison:
    """The mean difference of two networks over the images of a set, and how far it would move with other images."""

    mean: float
    low: float
    high: float
    """The ends of the 95 % interval."""
    below_zero: float
    """Fraction of the resamples whose mean difference is negative, in [0, 1]."""


def paired_bootstrap(a: Sequence[float], b: Sequence[float], resamples: int = RESAMPLES, seed: int = 0) -> Comparison:
    """The mean of a - b with its percentile interval (Efron, Bootstrap methods, 1979).

    Images are drawn with replacement, both networks' scores of an image together: most of the variance of PSNR lies
    between images, not between networks, and cancels in the pairs.

    Args:
        a (Sequence[float]): Scores of one network, an image each; at least one.
        b (Sequence[float]): Scores of the other on the same images, in the same order.
        resamples (int): How many sets are drawn.
        seed (int): Of the draws; the same seed and number of images draw the same sets.

    Raises:
        ValueError: Not the same number of scores, or none.
    """
    first, second = np.asarray(a, float), np.asarray(b, float)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise ValueError(f'paired scores are needed, got {first.shape} and {second.shape}.')
    with np.errstate(invalid='ignore'):
        differences = np.where(first == second, 0.0, first - second)  # the PSNR of two perfect images is infinite
    generator, count = np.random.default_rng(seed), len(differences)
    at_once = max(1, CHUNK // count)
    means = np.concatenate([
        differences[generator.integers(0, count, (min(at_once, resamples - done), count))].mean(-1)
        for done in range(0, resamples, at_once)
    ])  # fmt: skip
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Comparison(float(differences.mean()), float(low), float(high), float((means < 0).mean()))
