"""Samples of PairedImageDataset: stock's as the oracle of ours."""

from __future__ import annotations

import io
import pickle
import random
import subprocess
import sys
from itertools import product

import cv2
import numpy as np
import pytest
import torch
from basicsr.data.paired_image_dataset import PairedImageDataset
from PIL import Image
from skimage import data
from torch.utils.data import DataLoader

from datasets_prep.codecs import CODECS, encode
from datasets_prep.images import shrink
from dukd_basicsr import compat
from dukd_basicsr.data.decoding import decode
from dukd_basicsr.errors import UnreadableImageError
from tests.images import write_lmdb
from tests.toys import REPOSITORY

PHOTO = np.ascontiguousarray(data.astronaut()[..., ::-1])
STOCK = compat.stock(compat.read_pair)
SHAPES = {'0001_s001': (66, 62), '0001_s002': (48, 90), '0002_s001': (48, 48)}  # widths: BMP rows with and without fill
TRAIN = {'phase': 'train', 'scale': 2, 'gt_size': 48, 'use_hflip': True, 'use_rot': True}


def pairs():
    for index, (name, (height, width)) in enumerate(SHAPES.items()):
        high = np.ascontiguousarray(PHOTO[40 * index : 40 * index + height, 99 : 99 + width])
        yield name, high, shrink(high, 2)


@pytest.fixture(scope='module')
def lmdbs(tmp_path_factory):
    """The same pairs in every codec: codec -> dataroots."""
    home = tmp_path_factory.mktemp('codecs')
    roots = {}
    for codec in CODECS:
        gt, lq = home / f'{codec}_gt.lmdb', home / f'{codec}_lq.lmdb'
        write_lmdb(gt, {name: encode(high, codec) for name, high, _ in pairs()})
        write_lmdb(lq, {name: encode(low, codec) for name, _, low in pairs()})
        roots[codec] = {'dataroot_gt': str(gt), 'dataroot_lq': str(lq)}
    return roots


def lmdb_dataset(roots, options):
    return PairedImageDataset({**TRAIN, **roots, 'io_backend': {'type': 'lmdb'}, **options})


def assert_stock_samples(make, seeds=range(3)):
    """Every sample of `make()` is stock's, and Python's generator is left where stock leaves it."""
    theirs, ours = make(), make()
    for index, seed in product(range(len(ours)), seeds):
        samples = []
        for dataset, read in ((theirs, STOCK), (ours, PairedImageDataset.__getitem__)):
            random.seed(seed)
            samples.append({**read(dataset, index), 'next': random.random()})
        left, right = samples
        assert list(left) == list(right)
        for key in ('lq', 'gt'):
            assert left[key].dtype == right[key].dtype == torch.float32
            assert torch.equal(left[key], right[key])
        assert [left[key] for key in ('lq_path', 'gt_path', 'next')] == [
            right[key] for key in ('lq_path', 'gt_path', 'next')
        ]


@pytest.mark.parametrize('codec', CODECS)
def test_training_samples_are_stocks_with_every_flip(lmdbs, codec):
    assert_stock_samples(lambda: lmdb_dataset(lmdbs[codec], {}), seeds=range(24))


@pytest.mark.parametrize('codec', CODECS)
@pytest.mark.parametrize(
    'options',
    [
        {'use_hflip': False, 'use_rot': False},
        {'use_hflip': False},
        {'use_rot': False},
        {'color': 'y'},
        {'color': 'rgb', 'mean': [0.4, 0.5, 0.6], 'std': [1, 0.5, 0.25]},
        {'color': 'y', 'mean': [0.5], 'std': [0.5]},
        {'phase': 'val'},
        {'phase': 'val', 'color': 'y'},
        {'phase': 'test', 'mean': [0.5, 0.5, 0.5], 'std': [1, 1, 1]},
    ],
)
def test_every_option_gives_stocks_samples(lmdbs, codec, options):
    assert_stock_samples(lambda: lmdb_dataset(lmdbs[codec], options), seeds=range(8))


def test_the_seeds_above_draw_every_flip_and_rotation():
    """So that the comparisons compare all eight augmentations."""
    drawn = set()
    for seed in range(24):
        random.seed(seed)
        random.randint(0, 9), random.randint(0, 7)
        drawn.add(tuple(random.random() < 0.5 for _ in range(3)))
    assert len(drawn) == 8


@pytest.mark.parametrize('codec', CODECS)
def test_folders_are_read_as_stock_reads_them(tmp_path, codec):
    for side in ('gt', 'lq'):
        (tmp_path / side).mkdir()
    for name, high, low in pairs():
        (tmp_path / 'gt' / f'{name}.{codec}').write_bytes(encode(high, codec))
        (tmp_path / 'lq' / f'{name}.{codec}').write_bytes(encode(low, codec))
    roots = {'dataroot_gt': str(tmp_path / 'gt'), 'dataroot_lq': str(tmp_path / 'lq')}
    for phase in ('train', 'val'):
        opt = {**TRAIN, **roots, 'phase': phase}
        assert_stock_samples(lambda: PairedImageDataset({**opt, 'io_backend': {'type': 'disk'}}))  # noqa: B023  at once


def test_a_validation_gt_that_is_larger_than_its_lq_is_cropped_as_stock_crops_it(tmp_path):
    write_lmdb(tmp_path / 'gt.lmdb', {'a': encode(PHOTO[:51, :65], 'bmp')})
    write_lmdb(tmp_path / 'lq.lmdb', {'a': encode(PHOTO[:25, :32], 'bmp')})
    roots = {f'dataroot_{side}': str(tmp_path / f'{side}.lmdb') for side in ('gt', 'lq')}
    assert_stock_samples(lambda: lmdb_dataset(roots, {'phase': 'val'}))
    assert lmdb_dataset(roots, {'phase': 'val'})[0]['gt'].shape == (3, 50, 64)


@pytest.mark.parametrize(
    ('gt', 'lq', 'says'), [((60, 60), (32, 30), 'Scale mismatches'), ((40, 60), (20, 30), 'smaller than patch size')]
)
def test_pairs_that_do_not_fit_are_refused_in_stocks_words(tmp_path, gt, lq, says):
    write_lmdb(tmp_path / 'gt.lmdb', {'a': encode(PHOTO[: gt[0], : gt[1]], 'bmp')})
    write_lmdb(tmp_path / 'lq.lmdb', {'a': encode(PHOTO[: lq[0], : lq[1]], 'bmp')})
    roots = {f'dataroot_{side}': str(tmp_path / f'{side}.lmdb') for side in ('gt', 'lq')}
    for read in (STOCK, PairedImageDataset.__getitem__):
        with pytest.raises(ValueError, match=says):
            read(lmdb_dataset(roots, {}), 0)


@pytest.mark.parametrize('workers', [0, 1])
def test_an_undecodable_image_is_named_in_the_parent(tmp_path, workers):
    values = {name: encode(high) for name, high, _ in pairs()}
    values['0002_s001'] = b'\x89PNG and no more'
    gt = write_lmdb(tmp_path / 'gt.lmdb', values)
    lq = write_lmdb(tmp_path / 'lq.lmdb', {name: encode(low) for name, _, low in pairs()})
    dataset = lmdb_dataset({'dataroot_gt': str(gt), 'dataroot_lq': str(lq)}, {})
    with pytest.raises(AttributeError, match='astype'):
        STOCK(lmdb_dataset({'dataroot_gt': str(gt), 'dataroot_lq': str(lq)}, {}), 2)
    with pytest.raises(UnreadableImageError) as caught:
        list(DataLoader(dataset, num_workers=workers, batch_size=2))
    assert str(caught.value) == (
        f'the value of 0002_s001 in {gt} is not an image that OpenCV can read (16 bytes): mend or remove it, or make '
        'the data again with basicsr prepare.'
    )


def test_two_datasets_may_share_their_io_backend(lmdbs):
    def shared():
        backend = {'type': 'lmdb'}
        return [PairedImageDataset({**TRAIN, **lmdbs[codec], 'io_backend': backend}) for codec in ('png', 'bmp')]

    stock_first, stock_second = shared()
    STOCK(stock_first, 0)
    with pytest.raises(KeyError, match='type'):
        STOCK(stock_second, 0)
    first, second = shared()
    assert first[0]['gt'].shape == second[0]['gt'].shape
    readers = [dataset.file_client.client._client['gt'].path for dataset in (first, second)]
    assert readers == [lmdbs['png']['dataroot_gt'], lmdbs['bmp']['dataroot_gt']]


SPAWNED = """
import pickle, sys
sys.modules['torchvision.transforms.functional_tensor'] = None  # as where torchvision has none and no plugin was there
dataset = pickle.loads(bytes.fromhex(sys.argv[1]))
from basicsr.data.paired_image_dataset import PairedImageDataset
assert type(dataset) is PairedImageDataset
print(PairedImageDataset.__getitem__.__module__, tuple(dataset[0]['gt'].shape))
"""


def test_a_spawned_worker_gets_the_plugin_with_its_dataset(lmdbs):
    dataset = lmdb_dataset(lmdbs['bmp'], {})
    assert dataset[0]['lq'].shape == (3, 24, 24)
    found = {}
    plain = pickle.dumps((type(dataset), vars(dataset)))  # what stock's pickle says: the name of its class, the state
    for name, pickled in (('stock', plain), ('ours', pickle.dumps(dataset))):
        found[name] = subprocess.run(
            [sys.executable, '-c', SPAWNED, pickled.hex()],
            capture_output=True, text=True, cwd=REPOSITORY,
        )  # fmt: skip
    assert 'functional_tensor' in found['stock'].stderr or 'torchvision::nms' in found['stock'].stderr
    assert found['ours'].stdout.strip() == 'dukd_basicsr.compat.paired_dataset (3, 48, 48)', found['ours'].stderr


@pytest.mark.parametrize('width', [5, 6, 7, 8])
def test_a_bmp_is_a_view_and_everything_else_decodes_as_opencv_does(width):
    image = np.ascontiguousarray(PHOTO[:9, :width])
    written = encode(image, 'bmp')
    view = decode(written, 'x')
    assert np.array_equal(view, image)
    assert np.shares_memory(view, np.frombuffer(written, np.uint8))
    assert not view.flags.writeable
    top_down = bytearray(written)
    top_down[22:26] = (-9).to_bytes(4, 'little', signed=True)
    assert np.array_equal(decode(bytes(top_down), 'x'), image[::-1])
    grey, alpha = image[..., 0], np.dstack([image, image[..., 0]])
    deep = image.astype(np.uint16) * 257
    for other, suffix in ((grey, '.bmp'), (alpha, '.bmp'), (grey, '.png'), (alpha, '.png'), (deep, '.png')):
        file = cv2.imencode(suffix, other)[1]
        assert np.array_equal(decode(file.tobytes(), 'x'), cv2.imdecode(file, cv2.IMREAD_COLOR))


def test_bmps_that_are_cut_off_or_not_plain_are_left_to_opencv():
    whole = encode(PHOTO[:9, :6], 'bmp')
    for length in (0, 1, 2, 20, 53):
        with pytest.raises(UnreadableImageError, match=rf'^a\.bmp is not an image .* \({length} bytes\)'):
            decode(whole[:length], 'a.bmp')
    palette = io.BytesIO()
    Image.fromarray(PHOTO[:9, :6]).quantize(8).save(palette, 'BMP')
    wanted = cv2.imdecode(np.frombuffer(palette.getvalue(), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(decode(palette.getvalue(), 'x'), wanted)
    no_width = whole[:18] + bytes(4) + whole[22:]
    with pytest.raises(UnreadableImageError):
        decode(no_width, 'x')
