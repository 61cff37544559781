"""Training data: LMDBs that every process can read, and samples that cost no more than their crop."""

from __future__ import annotations

# First: makes basicsr importable, in a spawned worker too, which imports no more than the module of its dataset.
import dukd_basicsr.plugin  # noqa: F401

# isort: split
from dukd_basicsr.data.upcycled_image_dataset import UpcycledImageDataset

__all__ = ['UpcycledImageDataset']
