"""How far a mean difference of two methods would move with other images and with other seeds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

RESAMPLES = 10_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean difference and its percentile interval."""

    mean: float
    low: float
    high: float


def over_images_and_seeds(differences: npt.ArrayLike, resamples: int = RESAMPLES, seed: int = 0) -> Interval:
    """The two-way bootstrap: images and seeds are drawn with replacement, independently of each other.

    Every seed is measured on the same images, so that the two are crossed and not nested: a resample is a draw of
    seeds and a draw of images, and its mean is over their product (Owen, The pigeonhole bootstrap, 2007). Of n seeds
    the plain bootstrap sees only (n - 1) / n of their variance, which for three is a third too little; the seeds' mean
    deviations are widened by sqrt(n / (n - 1)) for that. Of one seed only the images are drawn.

    Args:
        differences (ArrayLike): (seeds, images), one method's score minus the other's; at least one of each.
        resamples (int): How many are drawn.
        seed (int): Of the draws.

    Raises:
        ValueError: Not a matrix, or an empty one.
    """
    matrix = np.asarray(differences, float)
    if matrix.ndim != 2 or not matrix.size:
        raise ValueError(f'differences by seed and image are needed, got {matrix.shape}.')
    seeds, images = matrix.shape
    generator, mean = np.random.default_rng(seed), matrix.mean()
    of_seed = matrix.mean(axis=1, keepdims=True) - mean
    widened = matrix + of_seed * ((seeds / (seeds - 1)) ** 0.5 - 1 if seeds > 1 else 0.0)
    seed_share = generator.multinomial(seeds, [1 / seeds] * seeds, resamples) / seeds
    image_share = generator.multinomial(images, [1 / images] * images, resamples) / images
    means = (seed_share @ widened * image_share).sum(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Interval(float(mean), float(low), float(high))
