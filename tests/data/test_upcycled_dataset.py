"""UpcycledImageDataset: pairs as BasicSR draws them, and labels that lie on the pixels that they are of."""

import pickle
import random

import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from torch.utils.data import DataLoader

from dukd_basicsr.data.cache import manifest as stamps
from dukd_basicsr.data.cache.record import HIGH, LOW
from dukd_basicsr.data.sampling import Draw, SeededDataset
from dukd_basicsr.errors import UserError
from dukd_basicsr.resize import imresize
from tests.toys import IdentityUp
from tests.upcycled import SCALE, cached, dataset_options, images, make_pairs

HALF_LEVEL = (HIGH - LOW) / 1023 / 2 + 1e-6
PATCH = 6


@pytest.fixture(scope='module')
def toy(tmp_path_factory):
    """Pairs of two sizes and the cache of a local teacher: (folder of the pairs, cache with crops of the patch)."""
    folder = tmp_path_factory.mktemp('toy')
    make_pairs(folder)
    with pytest.MonkeyPatch.context() as patches:
        return folder, cached(folder, patches, teacher=IdentityUp(SCALE), per_image=4, size=PATCH)


def build(toy, **options):
    folder, cache = toy
    return build_dataset(dataset_options(folder, cache, gt_size=SCALE * PATCH) | options)


def turned(image, hflip, vflip, transpose):
    """One turn of an image (C, H, W) by loops."""
    channels, height, width = image.shape
    out = torch.empty(channels, *((width, height) if transpose else (height, width)))
    for i in range(height):
        for j in range(width):
            to = (height - 1 - i if vflip else i, width - 1 - j if hflip else j)
            to = to[::-1] if transpose else to
            out[:, to[0], to[1]] = image[:, i, j]
    return out


def crop(image, top, left, size):
    return image[:, top : top + size, left : left + size]


@pytest.mark.parametrize('seed', range(24))
def test_every_field_is_the_same_crop_turned_alike(toy, seed):
    dataset = build(toy, zoom_in_num=2)
    index = seed % len(dataset)
    random.seed(seed)
    sample = dataset[index]

    random.seed(seed)  # the draws again, in the order that the class promises
    key = dataset.paths[index]['gt_path']
    lq, gt = images(toy[0], key)
    top, left = (SCALE * random.randint(0, (side - PATCH) // SCALE) for side in lq.shape[-2:])
    turn = [random.random() < 0.5 for _ in range(3)]
    chosen = random.sample(range(4), 2)
    with dataset._cache.value(key) as record:
        places = dataset.layout.read(record, *lq.shape[-2:])['zoom_in_at'].copy()
    small = imresize(lq[:, : lq.shape[-2] // SCALE * SCALE, : lq.shape[-1] // SCALE * SCALE], 1 / SCALE)
    expected = {
        'lq': crop(lq, top, left, PATCH),
        'gt': crop(gt, SCALE * top, SCALE * left, SCALE * PATCH),
        'zoom_out': crop(small, top // SCALE, left // SCALE, PATCH // SCALE),
    }
    for name, image in expected.items():
        torch.testing.assert_close(sample[name], turned(image, *turn), rtol=0, atol=2e-5 if name == 'zoom_out' else 0)
    for n, number in enumerate(chosen):
        torch.testing.assert_close(
            sample['zoom_in'][n], turned(crop(gt, *places[number], PATCH), *turn), rtol=0, atol=0
        )
    for name in ('lq', 'zoom_in', 'zoom_out'):
        label = IdentityUp(SCALE)(sample[name])
        torch.testing.assert_close(sample.get(f'{name}_label'), label, rtol=0, atol=HALF_LEVEL)


def test_all_turns_were_met():
    """Of the test above: every combination of flips and transposition."""
    met = set()
    for seed in range(24):
        random.seed(seed)
        for _ in range(2):
            random.randint(0, (15 - PATCH) // SCALE)
        met.add(tuple(random.random() < 0.5 for _ in range(3)))
    assert len(met) == 8


def test_pairs_are_those_of_the_stock_dataset(toy):
    ours = build(toy, parts=['lq', 'zoom_in'])
    stock = build_dataset(dataset_options(*toy, gt_size=SCALE * PATCH) | {'type': 'PairedImageDataset'})
    for seed in range(20):
        pairs = []
        for dataset in (stock, ours):
            random.seed(seed)
            pairs.append(dataset[seed % len(stock)])
        assert pairs[0].keys() == {'lq', 'gt', 'lq_path', 'gt_path'}
        assert pairs[0].keys() < pairs[1].keys()
        for name, value in pairs[0].items():
            assert pairs[1][name] == value if isinstance(value, str) else torch.equal(pairs[1][name], value)


def test_only_the_parts_that_are_asked_for_are_there(toy):
    random.seed(0)
    assert build(toy, parts=['zoom_out'])[0].keys() == {
        'lq', 'gt', 'lq_path', 'gt_path', 'zoom_out', 'zoom_out_label'
    }  # fmt: skip


def test_only_pythons_generator_is_drawn_from(toy):
    dataset = build(toy)
    state, torch_state = np.random.mtrand._rand.get_state()[1].copy(), torch.get_rng_state()
    random.seed(0)
    dataset[0]
    assert (np.random.mtrand._rand.get_state()[1] == state).all()
    assert torch.equal(torch.get_rng_state(), torch_state)


def test_of_larger_stored_crops_a_part_of_the_patchs_size_is_used(toy, tmp_path, monkeypatch):
    cache = cached(
        toy[0], monkeypatch, teacher=IdentityUp(SCALE), per_image=2, size=PATCH + 4, target=tmp_path / 'c.lmdb'
    )
    dataset = build((toy[0], cache), parts=['zoom_in'], zoom_in_num=2)
    seen = set()
    for seed in range(8):
        random.seed(seed)
        sample = dataset[0]
        assert sample['zoom_in'].shape == (2, 3, PATCH, PATCH)
        torch.testing.assert_close(
            sample['zoom_in_label'], IdentityUp(SCALE)(sample['zoom_in']), rtol=0, atol=HALF_LEVEL
        )
        seen.add(sample['zoom_in'].numpy().tobytes())
    assert len(seen) == 8


def test_samples_do_not_depend_on_workers(toy):
    dataset = build(toy, zoom_in_num=2)
    draws = [Draw(n % len(dataset), 100 + n) for n in range(8)]
    here = [SeededDataset(dataset)[draw] for draw in draws]
    again = pickle.loads(pickle.dumps(dataset))
    assert len(again) == len(dataset)
    loader = DataLoader(SeededDataset(dataset), batch_size=None, sampler=draws, num_workers=2)
    for found, expected in zip(loader, here, strict=True):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert found[name] == value if isinstance(value, str) else torch.equal(found[name], value)


@pytest.mark.parametrize(
    ('options', 'sentence'),
    [
        (
            {'gt_size': SCALE * (PATCH + 2)},
            'is of scale 2 with crops of 6 pixels, which does not fit scale: 2 and gt_size: 16',
        ),
        ({'scale': 4}, 'is of scale 2 with crops of 6 pixels, which does not fit scale: 4 and gt_size: 12'),
        ({'dataroot_upcycled': 'nowhere.lmdb'}, 'nowhere.lmdb is not a complete upcycled cache: run basicsr upcycle'),
    ],
)
def test_a_cache_that_does_not_fit_is_refused(toy, options, sentence):
    with pytest.raises(UserError, match=sentence):
        build(toy, **options)


def test_an_incomplete_cache_is_refused(toy, tmp_path, monkeypatch):
    cache = cached(toy[0], monkeypatch, teacher=IdentityUp(SCALE), target=tmp_path / 'c.lmdb', size=PATCH)
    stamps.write(cache, stamps.read(cache) | {'complete': False})
    with pytest.raises(UserError, match='is not a complete upcycled cache'):
        build((toy[0], cache))
