"""LMDBs under one roof: first the stock failure, then ours."""

from __future__ import annotations

import gc
import os
import pickle
import shutil

import cv2
import lmdb
import numpy as np
import pytest
import torch
from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.utils.file_client import LmdbBackend
from torch.utils.data import DataLoader

from dukd_basicsr import compat
from dukd_basicsr.data import lmdb as lmdb_reader
from dukd_basicsr.data.lmdb import LmdbReader
from dukd_basicsr.errors import RunError, UnreadableImageError, UserError
from tests.images import write_lmdb


class StockBackend(LmdbBackend):
    """As pip installs it."""

    __init__ = compat.stock(compat.init_lmdb_backend)
    get = compat.stock(compat.get_from_lmdb)


def images(side, keys='abcd', seed=0):
    random = np.random.default_rng(seed)
    pixels = {key: random.integers(0, 256, (side, side, 3), np.uint8) for key in keys}
    return {key: cv2.imencode('.png', image)[1].tobytes() for key, image in pixels.items()}


@pytest.fixture
def pair(tmp_path):
    return write_lmdb(tmp_path / 'gt.lmdb', images(32)), write_lmdb(tmp_path / 'lq.lmdb', images(16))


def dataset(pair, phase='val'):
    roots = {'dataroot_gt': str(pair[0]), 'dataroot_lq': str(pair[1]), 'io_backend': {'type': 'lmdb'}}
    return PairedImageDataset(roots | {'scale': 2, 'phase': phase, 'gt_size': 16, 'use_hflip': True, 'use_rot': True})


def in_fork(work):
    """The exit code of a forked child that has done `work`, so 0 if that raised nothing."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_two_datasets_read_one_lmdb(pair):
    first = StockBackend([str(pair[0])], ['gt'])
    with pytest.raises(lmdb.Error, match='already open in this process'):
        StockBackend([str(pair[0])], ['gt'])
    del first
    (pair[0].parent / 'x').mkdir()
    train, val = dataset(pair), dataset((pair[0].parent / 'x' / '..' / 'gt.lmdb', pair[1]))
    assert torch.equal(train[1]['gt'], val[1]['gt'])
    assert LmdbBackend(pair[0]).get('a', 'default') == images(32)['a']


def test_what_has_read_can_be_pickled(pair):
    with pytest.raises(TypeError, match='cannot pickle'):
        pickle.dumps(StockBackend(str(pair[0])))
    opened = dataset(pair)
    before = opened[2]
    copy = pickle.loads(pickle.dumps(opened))
    assert torch.equal(copy[2]['lq'], before['lq'])


@pytest.mark.parametrize(('context', 'workers'), [('fork', 2), ('spawn', 1)])
def test_workers_read_what_the_parent_has_read(pair, context, workers):
    data = dataset(pair)
    expected = [data[index]['gt'] for index in range(4)]
    loader = DataLoader(data, num_workers=workers, multiprocessing_context=context)
    for batch, gt in zip(loader, expected, strict=True):
        assert torch.equal(batch['gt'][0], gt)
    assert torch.equal(data[3]['gt'], expected[3])


def test_a_forked_child_of_stock_goes_on_with_the_parents_environment(pair):
    backend = StockBackend(str(pair[0]))
    parents = id(backend._client['default'])

    def child():
        assert backend.get('a', 'default') == images(32)['a']
        assert id(backend._client['default']) != parents

    assert in_fork(child) == 1


def test_a_forked_child_opens_its_own_environment(pair):
    reader, other = LmdbReader(pair[0]), LmdbReader(pair[0])
    value = reader.get('a')
    environment = reader._environment

    def child():
        assert other.get('a') == value  # which the parent had not opened
        assert reader.get('a') == value
        assert reader._environment is other._environment is not environment

    assert in_fork(child) == 0
    assert in_fork(lambda: in_fork(child) and os._exit(3)) == 0
    assert reader.get('b') == images(32)['b']
    assert reader._environment is environment


def test_the_last_reader_closes_and_a_new_lmdb_at_the_old_place_is_read(pair):
    reader = LmdbReader(pair[0])
    old = reader.get('a')
    shutil.rmtree(pair[0])
    write_lmdb(pair[0], images(32, seed=1))
    assert LmdbReader(pair[0]).get('a') != old == reader.get('a')
    del reader
    gc.collect()
    assert not list(lmdb_reader._processes[os.getpid()].environments)


@pytest.mark.parametrize('workers', [0, 1])
def test_a_missing_key_is_named_in_the_parent(tmp_path, workers):
    pair = [write_lmdb(tmp_path / f'{n}.lmdb', images(s, 'ab'), extra='c') for n, s in (('gt', 32), ('lq', 16))]
    assert StockBackend(str(pair[0])).get('c', 'default') is None
    gc.collect()
    with pytest.raises(RuntimeError) as caught:
        list(DataLoader(dataset(pair), num_workers=workers))
    error = caught.value
    assert isinstance(error, UserError)
    assert error.exit_code == 1
    sentence = f'{pair[0]} has no key c, which its meta_info.txt names: remove this LMDB and run basicsr prepare again.'
    assert error.messages == (sentence,)
    assert str(error) == sentence


def test_the_sentence_survives_pickling_and_repeated_wrapping():
    error = UnreadableImageError('x.lmdb has no key c: mend it.')
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
    wrapped = UnreadableImageError(f'Caught UnreadableImageError in worker.\nmodule.UnreadableImageError: {error}\n')
    assert wrapped.messages == ('x.lmdb has no key c: mend it.',)


def test_lmdbs_that_cannot_be_opened_are_sentences(pair, tmp_path):
    with pytest.raises(RunError, match=r'none\.lmdb cannot be opened as an LMDB \(No such file or directory\)'):
        LmdbReader(tmp_path / 'none.lmdb').get('a')
    data = pair[0] / 'data.mdb'
    data.write_bytes(data.read_bytes()[:-4096])
    with pytest.raises(RunError, match=r'gt\.lmdb/data\.mdb is cut off: it has \d+ bytes of \d+; remove'):
        LmdbReader(pair[0]).get('a')
    data.write_bytes(b'no LMDB' * 1000)
    with pytest.raises(RunError, match=r'gt\.lmdb cannot be opened as an LMDB \(.*MDB_INVALID'):
        LmdbReader(pair[0]).get('a')
    data.write_bytes(b'')
    with pytest.raises(RunError, match='cannot be opened'):
        LmdbReader(pair[0]).get('a')


def test_as_many_keys_as_lmdbs(pair):
    with pytest.raises(ValueError, match=r'zip\(\) argument'):
        LmdbBackend([str(pair[0])], ['lq', 'gt'])
