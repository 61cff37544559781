"""A pair of LMDBs, before BasicSR opens them: complete, of the same keys, and of sizes that suit the training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lmdb

from dukd_basicsr.data.checks.images import HEAD, TAIL, DamagedImageError, Size, inspect
from dukd_basicsr.data.lmdb import find_missing_end, read_meta_line
from dukd_basicsr.options.report import Report

Shapes = dict[str, Size]
_MEND = 'remove this LMDB and run basicsr prepare'


def check_lmdb_pair(key: str, lq: Path, gt: Path, needs: Mapping[str, float], scale: int, report: Report) -> Shapes:
    """Check that two LMDBs are complete, pair, and suit the training.

    Args:
        key (str): Dotted key of the dataset.
        lq (Path): LMDB of LR images.
        gt (Path): LMDB of HR images.
        needs (Mapping[str, float]): gt_size, batch and ratio of a training, or nothing.
        scale (int): HR size over LR size.
        report (Report): Collects the errors.

    Returns:
        Shapes: Of the HR images; none where something is wrong.
    """
    low = read_shapes(f'{key}.dataroot_lq', lq, report)
    high = read_shapes(f'{key}.dataroot_gt', gt, report)
    if not (low and high):
        return {}
    for name, here, there, other in (('dataroot_lq', low, high, gt), ('dataroot_gt', high, low, lq)):
        lonely = sorted(there.keys() - here.keys())
        if lonely:
            report.error(
                f'{key}.{name}',
                f'the key {lonely[0]} of {other} is not in it ({len(lonely)} are missing); '
                'make both with one basicsr prepare.',
            )
            return {}
    wrong = [name for name in sorted(high) if high[name] != tuple(side * scale for side in low[name])]
    if wrong:
        (h, w), (lh, lw) = high[wrong[0]], low[wrong[0]]
        report.error(
            f'{key}.dataroot_lq',
            f'{wrong[0]} is {lh}x{lw} in it and {h}x{w} in {gt}, which is not scale: '
            f'{scale}; name the LMDB of that scale.',
        )
        return {}
    if needs:
        check_needs(key, high, len(high), needs, report)
    return high


def read_shapes(key: str, folder: Path, report: Report) -> Shapes:
    """Keys and (height, width) of an LMDB's meta_info.txt."""
    for name in ('data.mdb', 'meta_info.txt'):
        if not (folder / name).is_file():
            report.error(key, f'{folder} has no {name}; remove this incomplete LMDB and run basicsr prepare.')
            return {}
    shapes: Shapes = {}
    text = (folder / 'meta_info.txt').read_text(encoding='utf-8', errors='replace')
    for number, line in enumerate(text.splitlines(), 1):
        found = read_meta_line(line)
        if found is None:
            report.error(
                key,
                f'line {number} of {folder / "meta_info.txt"} is not "name.png (height,width,3) 1"; '
                'remove the LMDB and run basicsr prepare.',
            )
            return {}
        shapes[found[0]] = found[1]
    problem = (
        find_lmdb_problem(folder, shapes) if shapes else f'{folder} has no images; remove it and run basicsr prepare.'
    )
    if problem:
        report.error(key, problem)
        return {}
    return shapes


def check_needs(key: str, high: Shapes, number: int, needs: Mapping[str, float], report: Report) -> None:
    """Report a patch larger than the smallest HR image, and too few images for a batch.

    Args:
        key (str): Dotted key of the dataset.
        high (Shapes): HR images of known size, by name.
        number (int): All HR images.
        needs (Mapping[str, float]): gt_size, batch and ratio.
        report (Report): Collects the errors.
    """
    smallest = min(high, key=lambda name: min(high[name]), default='')
    if smallest and needs['gt_size'] > min(high[smallest]):
        height, width = high[smallest]
        report.error(
            f'{key}.gt_size',
            f'{needs["gt_size"]} is larger than the smallest HR image, {smallest} with '
            f'{height}x{width}; write a smaller one.',
        )
    _check_batch(key, number, needs, report)


def _check_batch(key: str, number: int, needs: Mapping[str, float], report: Report) -> None:
    """Report fewer images than a batch, with which BasicSR trains no iteration and says nothing."""
    if number * needs['ratio'] < needs['batch']:
        ratio = -(-needs['batch'] // number)
        report.error(
            f'{key}.batch_size_per_gpu',
            f'{number} images times dataset_enlarge_ratio: {needs["ratio"]} '
            f'do not fill a batch of {needs["batch"]}; write dataset_enlarge_ratio: {ratio:.0f}.',
        )


def find_lmdb_problem(folder: Path, sizes: Mapping[str, Size]) -> str | None:
    """What is wrong with the values of an LMDB. It is closed again; one that this process reads already is believed.

    Args:
        folder (Path): Folder of data.mdb.
        sizes (Mapping[str, Size]): Height and width of every image by its key.

    Returns:
        str | None: A sentence; None where nothing is wrong.
    """
    if not (folder / 'data.mdb').stat().st_size:
        return f'{folder}/data.mdb is empty; {_MEND}.'
    try:
        with lmdb.open(str(folder), readonly=True, lock=False, readahead=False) as environment:
            missing = find_missing_end(folder, environment)
            if missing:
                return f'{missing}; {_MEND}.'
            damaged = _find_damaged(environment, sizes)
    except lmdb.Error as error:
        if 'already open' in str(error):
            return None
        return f'{folder}/data.mdb is damaged ({str(error).rpartition(": ")[2]}); {_MEND}.'
    if not damaged:
        return None
    key, what = next(iter(damaged.items()))
    return f'the image {key} of {folder} {what} ({len(damaged)} of {len(sizes)} are damaged); {_MEND}.'


def _find_damaged(environment: Any, sizes: Mapping[str, Size]) -> dict[str, str]:
    """What is wrong with each damaged image, by its key."""
    found = {}
    with environment.begin(buffers=True) as transaction:
        for key in sorted(sizes):  # as they lie in the file
            value = transaction.get(key.encode('ascii', 'replace'))
            what = 'is not there' if value is None else _find_damage(value, sizes[key])
            if what is not None:
                found[key] = what
    return found


def _find_damage(value: memoryview, expected: Size) -> str | None:
    try:
        size = inspect(bytes(value[:HEAD]), bytes(value[-TAIL:]), len(value))
    except DamagedImageError as error:
        return str(error)
    if size is None or size == expected:
        return None
    return f'is {size[0]}x{size[1]}, but its meta_info.txt says {expected[0]}x{expected[1]}'
