"""What a report shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

Image = np.ndarray | Path
"""(H, W, 3) RGB, or (H, W) grey, uint8; or the path of an image file of 8 bits."""
Comparison = Mapping[str, Image]
"""What each network made of one picture, by its name ('teacher', 'student', 'bicubic'): two or more of one size."""
Curve = Sequence[tuple[int, float]]
"""Iterations, ascending, and values; what is no number is a gap."""


@dataclass(frozen=True)
class Form:
    """A file that the network was written to, and how it does."""

    name: str
    """E.g. 'ONNX int8'."""
    size: int
    """In bytes."""
    milliseconds: float | None = None
    """Of a forward; None where it was not measured."""
    psnr: float | None = None
    """In dB; None where it was not measured."""


@dataclass(frozen=True)
class Report:
    """The content of the page, in the order of the page. A part that is empty is left out; only a title is needed.

    All text is shown as it is: markup in it has no effect.
    """

    title: str
    facts: Sequence[tuple[str, str]] = ()
    """Name and value, e.g. ('Teacher', 'EDSR x4, 43.1 M')."""
    headers: Sequence[str] = ()
    """Of the table's columns."""
    rows: Sequence[Sequence[str]] = ()
    """As many cells as there are headers; the first names the row."""
    comparisons: Mapping[str, Comparison] = field(default_factory=dict)
    """Name of the picture to what is compared."""
    forms: Sequence[Form] = ()
    curves: Mapping[str, Curve] = field(default_factory=dict)
    """Name to curve. 'PSNR: student' and 'PSNR: teacher' are two lines of the chart 'PSNR'; a name without a colon is
    a chart of its own."""
    commands: Sequence[str] = ()
    """What to type to get all of it again."""

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.headers):
                raise ValueError(f'A row of {len(row)} cells does not fit {len(self.headers)} headers: {row}.')
