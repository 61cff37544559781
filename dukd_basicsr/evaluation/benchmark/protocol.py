"""What a table's numbers are measured on. One table, one protocol: files that differ are refused, never mixed."""

from __future__ import annotations

import os.path
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dukd_basicsr.errors import UserError

SECTIONS = ('val', 'test')
"""How the names of BasicSR's test sets start: val, val_1, test_2."""


@dataclass(frozen=True)
class Protocol:
    """Test sets and metrics that every row of a table shares."""

    scale: int
    sets: dict[str, dict[str, Any]]
    """Name of a test set to its section as BasicSR's data sets want it ('phase' and 'scale' included)."""
    metrics: dict[str, dict[str, Any]]
    """Column name, e.g. 'psnr', to the options of BasicSR's `calculate_metric`."""

    def with_metrics(self, metrics: Mapping[str, dict[str, Any]]) -> Protocol:
        """Further metrics behind those of the options files.

        Raises:
            UserError: A name that is taken.
        """
        taken = [name for name in metrics if name in self.metrics]
        if taken:
            raise UserError(
                f'val.metrics has its own {taken[0]} already, so there is no column for that of pyiqa; leave one out.'
            )
        return replace(self, metrics={**self.metrics, **metrics})

    def describe_metrics(self) -> str:
        """E.g. 'PSNR, SSIM on Y with crop_border 4'; metrics measured differently are listed apart."""
        groups: dict[str, list[str]] = {}
        for name, opt in self.metrics.items():
            # NIQE is defined on luma, and BasicSR's converts to it.
            channel = 'Y' if opt.get('test_y_channel') or opt['type'] == 'calculate_niqe' else 'RGB'
            by = 'by pyiqa ' if opt['type'] == 'calculate_pyiqa' else ''
            groups.setdefault(f'{by}on {channel} with crop_border {opt.get("crop_border", 0)}', []).append(name.upper())
        return '; '.join(f'{", ".join(names)} {how}' for how, names in groups.items())


def find_common_protocol(files: Mapping[Path, Mapping[str, Any]]) -> Protocol:
    """The protocol that all options files agree on.

    Args:
        files (Mapping[Path, Mapping]): File name to its options; at least one.

    Raises:
        UserError: A file without test sets or metrics; files that differ, with each difference from the first file.
    """
    protocols = {file: _read(opt, file) for file, opt in files.items()}
    (first, expected), *others = protocols.items()
    differences = [
        f'{file}: {difference} (the second value is that of {first}); one table has one protocol: make them equal, '
        'or run basicsr benchmark once for each.'
        for file, protocol in others
        for difference in _find_differences(protocol, expected)
    ]
    if differences:
        raise UserError(*differences)
    return expected


def _read(opt: Mapping[str, Any], file: Path) -> Protocol:
    sections = {key: section for key, section in opt.get('datasets', {}).items() if key.startswith(SECTIONS)}
    if not sections:
        raise UserError(f'{file}: datasets names no val or test set to measure on; add a section val or test_1.')
    metrics = (opt.get('val') or {}).get('metrics')
    if not metrics:
        raise UserError(
            f'{file}: val has no metrics, so there is nothing to measure; add psnr and ssim to val.metrics.'
        )
    sets: dict[str, dict[str, Any]] = {}
    for key, section in sections.items():
        name = section.get('name', key)
        if name in sets:
            raise UserError(f'{file}: two test sets are named {name}; give each its own name.')
        if section.get('dataroot_gt') is None:
            raise UserError(f'{file}: datasets.{key} has no dataroot_gt, so there is nothing to compare with.')
        sets[name] = _complete_section(section, opt['scale'])
    better = {'better'}  # says which checkpoint is best, not how a number is measured
    return Protocol(
        scale=opt['scale'],
        sets=sets,
        metrics={
            name: {key: value for key, value in metric.items() if key not in better} for name, metric in metrics.items()
        },
    )


def _complete_section(section: Mapping[str, Any], scale: int) -> dict[str, Any]:
    """One section as BasicSR's parse_options leaves it; 'test' and 'val' sets are read alike."""
    dataset = {**section, 'phase': 'test', 'scale': scale}
    for key in ('dataroot_gt', 'dataroot_lq'):
        if dataset.get(key) is not None:
            dataset[key] = os.path.normpath(Path(dataset[key]).expanduser())
    return dataset


def _find_differences(protocol: Protocol, expected: Protocol) -> list[str]:
    """What two files do not agree on, e.g. 'val.metrics.psnr.crop_border is 2, not 4'."""
    here, there = _flatten(protocol), _flatten(expected)
    names = list(dict.fromkeys([*there, *here]))
    return [
        f'{name} is {here.get(name, "not there")}, not {there.get(name, "there")}'
        for name in names
        if here.get(name) != there.get(name)
    ]


def _flatten(protocol: Protocol) -> dict[str, Any]:
    """Everything that decides a number, by the name it has in the options file; absent and ~ are the same."""
    flat = {'scale': protocol.scale}
    for name, dataset in protocol.sets.items():
        flat |= {
            f'test set {name}, {key}': value for key, value in dataset.items() if key not in ('name', 'phase', 'scale')
        }
    for name, metric in protocol.metrics.items():
        flat |= {f'val.metrics.{name}.{key}': value for key, value in metric.items()}
    return {name: value for name, value in flat.items() if value is not None}
