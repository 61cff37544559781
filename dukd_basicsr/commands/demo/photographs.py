"""The demo's images: photographs that lie in scikit-image's wheel, a part of each to train on, a part to measure on."""

from __future__ import annotations

from pathlib import Path

from dukd_basicsr.errors import UserError

SHARED = (
    'astronaut.png', 'brick.png', 'camera.png', 'chelsea.png', 'coffee.png', 'coins.png', 'grass.png', 'gravel.png',
    'moon.png', 'page.png', 'text.png',
)  # fmt: skip
"""The left half is trained on, the right half is held out; all have detail that an enlargement can get wrong."""
TRAIN_ONLY = ('motorcycle_left.png', 'rocket.jpg')


def prepare(root: Path) -> None:
    """The halves as LMDBs to train from and as folders to measure on, where the options files name them.

    LR images are made of each half by itself, so that nothing of a held-out one is in what is trained on.

    Args:
        root (Path): Where `datasets/` goes.

    Raises:
        UserError: Other data is at that place, the disk is full, or scikit-image is not complete.
    """
    from datasets_prep.prepare import prepare_benchmark, prepare_training

    source = root / 'datasets' / 'demo_photographs'
    for folder in ('train', 'test'):
        (source / folder).mkdir(parents=True, exist_ok=True)
    for name in SHARED:
        _write_part(name, source / 'train', 0, 0.5)
        _write_part(name, source / 'test', 0.5, 1)
    for name in TRAIN_ONLY:
        _write_part(name, source / 'train', 0, 1)
    prepare_training(source / 'train', root / 'datasets', 'demo', scales=(4,), min_size=128, codec='bmp')
    prepare_benchmark(source / 'test', root / 'datasets', 'demo_held_out', scales=(4,))


def _write_part(name: str, folder: Path, left: float, right: float) -> None:
    """The columns of a photograph between two fractions of its width, as PNG; grey ones in three equal channels."""
    import cv2
    import skimage.data

    file = Path(skimage.data.__file__).parent / name
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise UserError(f'{file} cannot be read: install scikit-image again.')
    width = picture.shape[1]
    part = picture[:, round(left * width) : round(right * width)]
    (folder / name).with_suffix('.png').write_bytes(cv2.imencode('.png', part)[1].tobytes())
