"""The HR images that a RealESRGANDataset names: are they there, whole, and enough for a batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dukd_basicsr.data.checks.images import DamagedImageError, inspect_file
from dukd_basicsr.data.checks.lmdbs import check_needs, read_shapes
from dukd_basicsr.data.paths import locate
from dukd_basicsr.errors import say_where
from dukd_basicsr.options.report import Report


def check_real_files(
    key: str, dataset: Mapping[str, Any], root: Path, needs: Mapping[str, float], report: Report
) -> None:
    """Check that the HR images of a RealESRGANDataset are there and whole, and fill a batch.

    Args:
        key (str): Dotted key of the dataset.
        dataset (Mapping): Its options: `dataroot_gt`, and `meta_info` for `io_backend: {type: disk}`.
        root (Path): What relative paths start from.
        needs (Mapping[str, float]): gt_size, batch and ratio.
        report (Report): Collects the errors.
    """
    folder, meta_info = (locate(root, dataset.get(name) or '') for name in ('dataroot_gt', 'meta_info'))
    how = 'make it with: basicsr prepare FOLDER --preset real'
    if not folder.is_dir():
        report.error(
            f'{key}.dataroot_gt',
            f'there is no {dataset["dataroot_gt"]}{say_where(dataset["dataroot_gt"], root)}; {how}.',
        )
    elif dataset['io_backend']['type'] == 'lmdb':
        shapes = read_shapes(f'{key}.dataroot_gt', folder, report)
        if shapes:
            check_needs(key, {}, len(shapes), needs, report)  # smaller ones than a patch are mirrored
    elif not meta_info.is_file():
        report.error(
            f'{key}.meta_info',
            f'there is no file {dataset["meta_info"]}{say_where(dataset["meta_info"], root)}; {how}.',
        )
    else:
        _check_listed(key, folder, meta_info, needs, report)


def _check_listed(key: str, folder: Path, file: Path, needs: Mapping[str, float], report: Report) -> None:
    lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
    names = [line.strip().split(' ')[0] for line in lines]
    if not names:
        report.error(f'{key}.meta_info', f'{file} names no images.')
        return
    for number, name in enumerate(names, 1):
        try:
            inspect_file(folder / name)
        except DamagedImageError as error:
            report.error(
                f'{key}.meta_info',
                f'line {number} of {file}: {folder / name} {error}; put the image there again, or remove the line.',
            )
            return
    check_needs(key, {}, len(names), needs, report)
