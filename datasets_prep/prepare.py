"""Folders of images -> the LMDBs and folders that the options files name (`basicsr prepare`)."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from pathlib import Path

from datasets_prep.codecs import Codec
from datasets_prep.images import make_names
from datasets_prep.run import Target, print_fragment, produce
from datasets_prep.subimages import Job, cut, make_pairs
from dukd_basicsr.data.images import SUFFIXES, find_images
from dukd_basicsr.errors import UserError, say_where

_GROWTH = {'png': 1.0, 'webp': 0.7, 'bmp': 1.6}  # bytes for a PNG's


def prepare_training(
    source: Path,
    out: Path,
    name: str,
    scales: Sequence[int] = (2, 3, 4),
    size: int = 480,
    step: int = 240,
    min_size: int = 192,
    workers: int | None = None,
    codec: Codec = 'png',
) -> list[Path]:
    """Cut a folder of HR images into sub-images, with their MATLAB-bicubic LR at each scale, as LMDBs for BasicSR.

    Every image is cropped to a multiple of the scales' least common multiple, so that all scales share one HR LMDB.
    The keys are `<name>_s001`, ... as those of BasicSR's extract_subimages.py. Either all LMDBs are made or none.

    Args:
        source (Path): The images lie directly in it (8-bit PNG, JPEG, BMP, WebP, TIFF).
        out (Path): Parent of the folder `name`.
        name (str): Name of the data set.
        scales (Sequence[int]): Whole numbers from 2 on.
        size (int): Side of an HR sub-image; a shorter side of an image is kept whole.
        step (int): Distance of HR sub-images.
        min_size (int): Images with a shorter side are left out.
        workers (int | None): Threads; None: one a CPU.
        codec (Codec): See `codecs.encode`.

    Returns:
        list[Path]: `{name}_HR_sub.lmdb`, then `{name}_LR_bicubic_X{s}_sub.lmdb` for each scale, in `out/name`.

    Raises:
        UserError: See the sentences below and in `run.produce`.
    """
    check_name(name)
    scales, multiple = _check_grid(scales, size, step)
    files = list_images(source)
    jobs = [
        Job(path, key, scales, multiple, size, step, min_size, codec=codec)
        for path, key in zip(files, make_names(files), strict=True)
    ]
    return _prepare_sub_images(jobs, out / name, f'{name}_', workers)


def prepare_div2k(
    source: Path,
    out: Path,
    scales: Sequence[int] = (2, 3, 4),
    size: int = 480,
    step: int = 240,
    workers: int | None = None,
    codec: Codec = 'png',
) -> list[Path]:
    """As `prepare_training`, for the folders that DIV2K's zips unpack to; official LR is cut where it is there.

    Args:
        source (Path): Parent of `DIV2K_train_HR` and, if wanted, of `DIV2K_train_LR_bicubic/X2` and so on.
        out (Path): Parent of the folder `DIV2K`.
        scales (Sequence[int]): See `prepare_training`, as for the rest.
        size (int): Side of an HR sub-image.
        step (int): Distance of HR sub-images.
        workers (int | None): Threads; None: one a CPU.
        codec (Codec): See `codecs.encode`.

    Returns:
        list[Path]: `DIV2K_train_HR_sub.lmdb`, then `DIV2K_train_LR_bicubic_X{s}_sub.lmdb` for each scale.

    Raises:
        UserError: No DIV2K here; official LR that does not fit its HR; see `prepare_training`.
    """
    scales, multiple = _check_grid(scales, size, step)
    files = find_images(source / 'DIV2K_train_HR')
    if not files:
        raise UserError(
            f"There are no images in {source / 'DIV2K_train_HR'}: download DIV2K_train_HR.zip from DIV2K's page "
            f'(data.vision.ee.ethz.ch/cvl/DIV2K), unpack it in {source}, so that {source}/DIV2K_train_HR/0001.png is '
            'there, and repeat the command. DIV2K_train_LR_bicubic_X2.zip (X3, X4) may be unpacked beside it; '
            'without them LR is computed.'
        )
    official = [_find_official_lr(source, files, scale) for scale in scales]
    jobs = [
        Job(path, key, scales, multiple, size, step, lr_sources=low, codec=codec)
        for path, key, low in zip(files, make_names(files), zip(*official, strict=True), strict=True)
    ]
    return _prepare_sub_images(jobs, out / 'DIV2K', 'DIV2K_train_', workers)


def prepare_benchmark(
    source: Path, out: Path, name: str, scales: Sequence[int] = (2, 3, 4), workers: int | None = None
) -> list[Path]:
    """Make a test set of HR images: at each scale s the image cropped to a multiple of s, and its LR.

    Args:
        source (Path): The images lie in it, or in its HR, original or GTmod12.
        out (Path): Parent of the folder `name`.
        name (str): Name of the data set.
        scales (Sequence[int]): Whole numbers from 2 on.
        workers (int | None): Threads; None: one a CPU.

    Returns:
        list[Path]: `GTmod{s}` and `LRbicx{s}` for each scale, in `out/name`; a pair is `<stem>.png` in both, the stem
        with odd characters replaced.

    Raises:
        UserError: See `prepare_training`.
    """
    check_name(name)
    scales = check_scales(scales)
    homes = (source, source / 'HR', source / 'original', source / 'GTmod12')
    files = list_images(next((home for home in homes if find_images(home)), source))
    jobs = [Job(path, key, scales) for path, key in zip(files, make_names(files), strict=True)]
    targets = [
        Target(out / name / folder, {'command': 'prepare benchmark', 'scale': scale})
        for scale in scales
        for folder in (f'GTmod{scale}', f'LRbicx{scale}')
    ]
    produce(make_pairs, jobs, targets, workers, growth=sum(1 + 1 / scale**2 for scale in scales))
    paths = [target.path for target in targets]
    print_fragment(describe_dataset(name, paths[-2], paths[-1], 'disk'), scales[-1], 'val')
    return paths


def _prepare_sub_images(jobs: Sequence[Job], home: Path, prefix: str, workers: int | None) -> list[Path]:
    """Make the LMDBs of sub-images for jobs that differ in their image only."""
    job = jobs[0]
    parameters = {
        'command': 'prepare',
        'scales': list(job.scales),
        'size': job.size,
        'step': job.step,
        'min_size': job.min_size,
        'codec': job.codec,
    }
    names = ['HR', *(f'LR_bicubic_X{scale}' for scale in job.scales)]
    targets = [Target(home / f'{prefix}{name}_sub.lmdb', parameters) for name in names]
    # Windows overlap (size / step) ** 2 times, but less in small images: half of that is a safe guess.
    overlap = max(1.0, (job.size / job.step) ** 2 / 2)
    growth = overlap * _GROWTH[job.codec] * sum(1 / scale**2 for scale in (1, *job.scales))
    produce(cut, jobs, targets, workers, growth)
    paths = [target.path for target in targets]
    print_fragment(describe_dataset(home.name, paths[0], paths[-1], 'lmdb'), job.scales[-1], 'train')
    return paths


def describe_dataset(name: str, high: Path, low: Path, backend: str) -> dict[str, object]:
    """What an options file says of a prepared data set, but its type."""
    roots = {'dataroot_gt': high.as_posix(), 'dataroot_lq': low.as_posix()}
    return {'name': name, **roots, 'io_backend': {'type': backend}}


def _find_official_lr(source: Path, files: Sequence[Path], scale: int) -> list[Path | None]:
    """The official LR image of each HR image at one scale; None for all where that scale was not downloaded."""
    inner = Path('DIV2K_train_LR_bicubic') / f'X{scale}'
    for home in (source / inner, source / f'DIV2K_train_LR_bicubic_X{scale}' / inner):
        found = find_images(home)
        if found:
            break
    else:
        return [None] * len(files)
    wanted = [home / f'{path.stem}x{scale}.png' for path in files]
    wrong = sorted(set(found) ^ set(wanted))
    if wrong:
        raise UserError(
            f'{home} has {len(found)} images for {len(files)} in DIV2K_train_HR; the first without its pair is '
            f'{wrong[0].name}: unpack the zip again, or remove {home} to have LR computed.'
        )
    return list(wanted)


def list_images(source: Path) -> list[Path]:
    """The images directly in a folder, at least one.

    Raises:
        UserError: No such folder, or none in it.
    """
    if not source.is_dir():
        raise UserError(f'There is no folder {source}{say_where(source)}: give the folder in which the HR images lie.')
    files = find_images(source)
    if not files:
        inner = [path.name for path in sorted(source.iterdir()) if find_images(path)]
        hint = f'; its folder {inner[0]} has some: give {source / inner[0]}' if inner else ''
        raise UserError(f'There are no images ({" ".join(SUFFIXES)}) in {source}{hint}.')
    return files


def check_name(name: str) -> None:
    """Refuse what cannot be a folder's name on every system.

    Raises:
        UserError: The name cannot be used.
    """
    if not re.fullmatch(r'[A-Za-z0-9_][A-Za-z0-9_.-]*', name):
        raise UserError(f'"{name}" cannot name a data set: give --name with letters, digits, "_", "-" and "." only.')


def check_scales(scales: Sequence[int]) -> tuple[int, ...]:
    """The scales in order, each once.

    Raises:
        UserError: There is none, or one below 2.
    """
    chosen = tuple(sorted(set(scales)))
    if not chosen or chosen[0] < 2:
        raise UserError(f'Scales must be whole numbers from 2 on, not {list(scales)}: give for instance --scale 2 3 4.')
    return chosen


def _check_grid(scales: Sequence[int], size: int, step: int) -> tuple[tuple[int, ...], int]:
    """The scales in order and their least common multiple, which `size` and `step` must share."""
    chosen = check_scales(scales)
    multiple = math.lcm(*chosen)
    wrong = []
    for key, value in (('size', size), ('step', step)):
        if value < 1 or value % multiple:
            below = value // multiple * multiple
            near = ' or '.join(str(n) for n in (below, below + multiple) if n > 0) if value > 0 else str(multiple)
            wrong.append(f'--{key} {value} is not a multiple of {multiple}, as the scales {chosen} need: give {near}.')
    if wrong:
        raise UserError(*wrong)
    return chosen, multiple
