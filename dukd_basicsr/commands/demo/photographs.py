"""The demo's images: photographs that lie in scikit-image's wheel, some to train on, others to measure on."""

from __future__ import annotations

import shutil
from pathlib import Path

from dukd_basicsr.errors import UserError

TRAIN = ('brick.png', 'grass.png', 'gravel.png', 'ihc.png', 'motorcycle_left.png', 'rocket.jpg')
HELD_OUT = (
    'astronaut.png', 'camera.png', 'chelsea.png', 'coffee.png', 'coins.png', 'hubble_deep_field.jpg', 'moon.png',
    'page.png', 'retina.jpg', 'text.png',
)  # fmt: skip
"""Nothing is trained on these, nor on their like. Halves would be no test of each other: who learns the left half of a
brick wall, or a page of text, has learnt the other, and little that the student is for."""


def prepare(root: Path) -> None:
    """LMDBs to train from and folders to measure on, where the options files name them.

    Args:
        root (Path): Where `datasets/` goes.

    Raises:
        UserError: Other data is at that place, the disk is full, or scikit-image is not complete.
    """
    from datasets_prep.prepare import prepare_benchmark, prepare_training

    source = root / 'datasets' / 'demo_photographs'
    shutil.rmtree(source, ignore_errors=True)  # another version's may have among the train images what is held out here
    for folder, names in (('train', TRAIN), ('test', HELD_OUT)):
        (source / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            _write(name, source / folder)
    prepare_training(source / 'train', root / 'datasets', 'demo', scales=(4,), min_size=128, codec='bmp')
    prepare_benchmark(source / 'test', root / 'datasets', 'demo_held_out', scales=(4,))


def _write(name: str, folder: Path) -> None:
    """A photograph as PNG; grey ones in three equal channels."""
    import cv2
    import skimage.data

    file = Path(skimage.data.__file__).parent / name
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    if picture is None:
        raise UserError(f'{file} cannot be read: install scikit-image again.')
    (folder / name).with_suffix('.png').write_bytes(cv2.imencode('.png', picture)[1].tobytes())
