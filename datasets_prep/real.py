"""Real-ESRGAN's training sets and degraded test sets (`basicsr prepare --preset real`, `real-test`)."""

from __future__ import annotations

from pathlib import Path

from datasets_prep.degraded import make_degrader, name_folders
from datasets_prep.images import make_names
from datasets_prep.multiscale import cut_multiscale
from datasets_prep.prepare import check_name, check_scales, describe_dataset, list_images
from datasets_prep.run import Target, print_fragment, produce
from datasets_prep.subimages import Job
from dukd_basicsr.data.images import find_images
from dukd_basicsr.errors import UserError


def prepare_real(
    source: Path,
    out: Path,
    name: str,
    size: int = 400,
    step: int = 200,
    min_size: int = 192,
    workers: int | None = None,
) -> Path:
    """Make a training set for RealESRGANDataset: sub-images of HR images at several sizes, and the list of them.

    Args:
        source (Path): The images lie directly in it, or in its DIV2K_train_HR.
        out (Path): Parent of the folder `name`.
        name (str): Name of the data set.
        size (int): Side of a sub-image, and the least shorter side of a smaller version; the data set crops 400.
        step (int): Distance of sub-images.
        min_size (int): Images with a shorter side are left out; others below `size` are mirrored by the data set.
        workers (int | None): Threads; None: one a CPU.

    Returns:
        Path: `out/name/{name}_multiscale_sub`, a folder of PNGs with their list meta_info.txt.

    Raises:
        UserError: See `prepare_training`.
    """
    check_name(name)
    for key, value in (('size', size), ('step', step)):
        if value < 1:
            raise UserError(f'--{key} {value} is too small: give for instance --size 400 --step 200.')
    files = list_images(next((home for home in (source, source / 'DIV2K_train_HR') if find_images(home)), source))
    jobs = [
        Job(path, key, (), size=size, step=step, min_size=min_size)
        for path, key in zip(files, make_names(files), strict=True)
    ]
    parameters = {'command': 'prepare real', 'size': size, 'step': step, 'min_size': min_size, 'meta_info': True}
    target = Target(out / name / f'{name}_multiscale_sub', parameters)
    overlap = max(1.0, (size / step) ** 2 / 2)
    produce(cut_multiscale, jobs, [target], workers, growth=overlap)
    section = {
        'name': name,
        'type': 'RealESRGANDataset',
        'dataroot_gt': target.path.as_posix(),
        'meta_info': (target.path / 'meta_info.txt').as_posix(),
        'io_backend': {'type': 'disk'},
    }
    print_fragment(section, 4, 'train')
    return target.path


def prepare_real_test(
    source: Path, out: Path, name: str, scale: int = 4, seed: int = 0, workers: int | None = None
) -> list[Path]:
    """Make a test set of degraded images, the same from the same seed (see `degraded.make_degrader`).

    Args:
        source (Path): The HR images lie in it.
        out (Path): Parent of the folder `name`.
        name (str): Name of the data set.
        scale (int): From 2 on.
        seed (int): From 0 on.
        workers (int | None): Threads; images are degraded one after the other.

    Returns:
        list[Path]: `GT` and `LR` in `out/name/real_x{scale}_seed{seed}`; a pair is `<stem>.png` in both.

    Raises:
        UserError: See `prepare_training`.
    """
    check_name(name)
    check_scales([scale])
    if seed < 0:
        raise UserError(f'--seed {seed} is too small: give 0 or more.')
    files = list_images(source)
    jobs = [Job(path, key, (scale,)) for path, key in zip(files, make_names(files), strict=True)]
    parameters = {'command': 'prepare real-test', 'scale': scale, 'seed': seed}
    targets = [Target(folder, parameters) for folder in name_folders(out / name, scale, seed)]
    produce(make_degrader(seed), jobs, targets, workers, growth=1 + 1 / scale**2)
    paths = [target.path for target in targets]
    print_fragment(describe_dataset(f'{name}_real', paths[0], paths[1], 'disk'), scale, 'val')
    return paths
