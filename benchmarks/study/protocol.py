"""A study's protocol: data, networks, schedule, seeds, methods and comparisons."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

VALIDATIONS = 6
"""Of a run, evenly spaced, the last at its end."""
REPOSITORY = Path(__file__).resolve().parents[2]
HELD_OUT = 'HeldOut'
"""Name of the set that learning rates are chosen on."""
KINDS = ('iterations', 'seconds', 'student', 'parts', 'precision')
"""What a comparison is about: equal iterations, equal seconds, another student, other parts of the method, a check of
what another precision does."""
GIVEN = {'vgg': "VGG's weights were not given (--vgg FILE)", 'peer': "the authors' code was not given (--peer DIR)"}
"""What a method may need of the command line, and why it did not run without."""


@dataclass(frozen=True)
class Method:
    """One row of the tables."""

    name: str
    title: str
    overrides: dict[str, Any] = field(default_factory=dict)
    """Merged into base and common; ~ switches off."""
    main: bool = False
    """Whether it is in every comparison that names no methods."""
    cached: bool = True
    """Whether its labels come from the cache; else it reads the pairs, and asks a live teacher if it has one."""
    needs: str | None = None
    """'vgg' or 'peer'."""
    rate_of: str | None = None
    """The method whose learning rate it takes; None: its own is searched for."""
    rates: tuple[float, ...] = ()
    """Learning rates that are tried beside those that all methods try."""


@dataclass(frozen=True)
class Search:
    """How a method's learning rate is chosen: by its PSNR on the held-out photographs."""

    rates: list[float]
    iterations: int
    seed: int
    precision: str | None = None
    """A name of `Protocol.precisions`; None: float32."""


@dataclass(frozen=True)
class Comparison:
    """Cells that are compared: some methods, each with its own number of iterations and its whole schedule in them."""

    name: str
    title: str
    kind: str
    iterations: dict[str, int]
    """By method."""
    seeds: list[int]
    student: str | None = None
    """A name of `Protocol.students`; None: that of base."""
    precision: str | None = None
    """A name of `Protocol.precisions`; None: float32."""


@dataclass(frozen=True)
class Protocol:
    """All that a study is made from."""

    title: str
    base: dict[str, Any]
    common: dict[str, Any]
    train: dict[str, Any]
    """folder, images and held_out (patterns), name, and options of `basicsr prepare`."""
    tests: list[str]
    curves: list[str]
    """Those that are measured while training too."""
    teacher: str
    """Its file, under --data or --work."""
    seeds: list[int]
    methods: dict[str, Method]
    students: dict[str, dict[str, Any]]
    """Overrides of network_g."""
    precisions: dict[str, dict[str, Any]]
    """Overrides of train."""
    search: Search
    comparisons: dict[str, Comparison]
    per_image: int
    threads: int
    cost: dict[str, int]
    """iterations and rounds of a measurement."""

    @property
    def scale(self) -> int:
        return int(self.base['scale'])

    @property
    def cache(self) -> str:
        return f'{self._root}_LR_bicubic_X{self.scale}_sub_upcycled.lmdb'

    @property
    def pairs(self) -> dict[str, str]:
        return {
            'dataroot_gt': f'{self._root}_HR_sub.lmdb',
            'dataroot_lq': f'{self._root}_LR_bicubic_X{self.scale}_sub.lmdb',
        }

    @property
    def _root(self) -> str:
        return f'datasets/{self.train["name"]}/{self.train["name"]}'

    def images(self, name: str) -> dict[str, Any]:
        """A test set as BasicSR's options have it."""
        roots = {
            'dataroot_gt': f'datasets/{name}/GTmod{self.scale}',
            'dataroot_lq': f'datasets/{name}/LRbicx{self.scale}',
        }
        return {'name': name, 'type': 'PairedImageDataset', **roots, 'io_backend': {'type': 'disk'}}

    def merged(self) -> dict[str, Any]:
        """Base and common, with the data of this study: training pairs, and the sets of the curves."""
        opt = merged(self.base, self.common)
        tests = {f'val_{number}' if number else 'val': self.images(name) for number, name in enumerate(self.curves)}
        opt['datasets'] = {'train': opt['datasets']['train'] | {'name': self.train['name'], **self.pairs}, **tests}
        return opt


def merged(base: Mapping[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with nested overrides: a mapping goes into a mapping, anything else (~ too) replaces what is there."""
    result = copy.deepcopy(dict(base))
    for key, value in overrides.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = merged(result[key], value) if both else copy.deepcopy(value)
    return result
