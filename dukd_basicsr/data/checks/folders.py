"""A pair of folders of images, before BasicSR reads them: names that pair, whole images, sizes that suit the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dukd_basicsr.data.checks.images import DamagedImageError, Size, inspect_file
from dukd_basicsr.data.checks.lmdbs import check_needs
from dukd_basicsr.options.report import Report

Found = Size | DamagedImageError | None
"""What is known of an image."""
Pairs = Sequence[tuple[Path, Path]]
"""LR and HR image."""


def check_folder_pair(
    key: str, lq: Path, gt: Path, template: str, needs: Mapping[str, float], scale: int, report: Report
) -> Mapping[Path, Found]:
    """Check that the images of two folders pair, are whole, and suit the run.

    Args:
        key (str): Dotted key of the dataset.
        lq (Path): Folder of LR images.
        gt (Path): Folder of HR images.
        template (str): `filename_tmpl`.
        needs (Mapping[str, float]): gt_size, batch and ratio of a training, or nothing.
        scale (int): HR size over LR size.
        report (Report): Collects the errors.

    Returns:
        Mapping: The HR images and their sizes; none where something is wrong.
    """
    # As BasicSR lists them: it takes every file for an image.
    found = {folder: {file.name for file in folder.iterdir() if _is_listed(file)} for folder in (lq, gt)}
    for name, folder in (('dataroot_gt', gt), ('dataroot_lq', lq)):
        if not found[folder]:
            report.error(f'{key}.{name}', f'there are no images in {folder}.')
            return {}
    names = {name: _lq_name(name, template) for name in sorted(found[gt])}
    wrong = [pair for pair in names.values() if pair not in found[lq]]
    if wrong:
        report.error(
            f'{key}.dataroot_lq',
            f'{lq} has no {wrong[0]}, the LR image that filename_tmpl: '
            f"'{template}' gives for one of {gt} ({len(wrong)} are missing).",
        )
    elif len(found[lq]) != len(found[gt]):
        report.error(
            f'{key}.dataroot_lq',
            f'{lq} has {len(found[lq])} images, but {gt} has {len(found[gt])}; remove those without pair.',
        )
    else:
        return check_images(key, [(lq / low, gt / high) for high, low in names.items()], needs, scale, report)
    return {}


def read_listing(key: str, lq: Path, gt: Path, template: str, file: Path, report: Report) -> Pairs:
    """The pairs that a `meta_info_file` names, one a line; none where a line is wrong.

    Args:
        key (str): Dotted key of the dataset.
        lq (Path): Folder of LR images.
        gt (Path): Folder of HR images.
        template (str): `filename_tmpl`.
        file (Path): Starts every line with the name of an HR image, and a space.
        report (Report): Collects the errors.
    """
    pairs = []
    lines = file.read_text(encoding='utf-8', errors='replace').splitlines()
    for number, name in enumerate((line.strip().split(' ')[0] for line in lines), 1):
        pair = lq / _lq_name(Path(name).name, template), gt / name
        absent = [path for path in pair if not path.is_file()]
        if absent:
            report.error(
                f'{key}.meta_info_file',
                f'line {number} of {file} names {name or "nothing"}, but there is no '
                f'image {absent[-1]}; correct the line, or write ~ to use all images of the '
                'folders.',
            )
            return []
        pairs.append(pair)
    if not pairs:
        report.error(f'{key}.meta_info_file', f'{file} names no images; write ~ to use all images of the folders.')
    return pairs


def check_images(
    key: str, pairs: Pairs, needs: Mapping[str, float], scale: int, report: Report
) -> Mapping[Path, Found]:
    """Check that images are whole and of fitting sizes. Args and Returns as for `check_folder_pair`."""
    low, high = ({pair[side]: _try_inspect(pair[side]) for pair in pairs} for side in (0, 1))
    for name, sizes in (('dataroot_lq', low), ('dataroot_gt', high)):
        damaged = {path: what for path, what in sizes.items() if isinstance(what, DamagedImageError)}
        if damaged:
            path, what = next(iter(damaged.items()))
            report.error(
                f'{key}.{name}',
                f'{path} {what} ({len(damaged)} of {len(sizes)} are damaged); put the image '
                'there again, or remove it and its pair.',
            )
            return {}
    for lq, gt in pairs:
        if not _fit(low[lq], high[gt], scale, exact=bool(needs)):
            report.error(
                f'{key}.dataroot_lq',
                f'{lq} is {_show(low[lq])} and {gt} {_show(high[gt])}, which is not '
                f'scale: {scale}; name the folder of that scale.',
            )
            return {}
    if needs:
        known = {path.name: size for path, size in high.items() if isinstance(size, tuple)}
        check_needs(key, known, len(pairs), needs, report)
    return high


def _is_listed(file: Path) -> bool:
    return file.is_file() and not file.name.startswith('.')


def _lq_name(name: str, template: str) -> str:
    return f'{template.replace("{}", Path(name).stem)}{Path(name).suffix}'


def _try_inspect(path: Path) -> Found:
    try:
        return inspect_file(path)
    except DamagedImageError as error:
        return error


def _fit(low: Found, high: Found, scale: int, exact: bool) -> bool:
    """Whether the sizes are of one pair, where they are known; in validation HR may have up to scale - 1 more."""
    if not (isinstance(low, tuple) and isinstance(high, tuple)):
        return True
    more = 0 if exact else scale - 1
    return all(here * scale <= there <= here * scale + more for here, there in zip(low, high, strict=True))


def _show(size: Found) -> str:
    return f'{size[0]}x{size[1]}' if isinstance(size, tuple) else 'of unknown size'
