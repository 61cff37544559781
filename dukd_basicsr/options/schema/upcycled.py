"""The keys of `datasets.train` of type UpcycledImageDataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dukd_basicsr.options.schema.fields import key
from dukd_basicsr.options.schema.file import IoBackend, TrainDataset


@dataclass(frozen=True, kw_only=True)
class LmdbBackend(IoBackend):
    """Where sub-images are read from: records are found by the key of an LMDB."""

    type: Literal['lmdb'] = key('lmdb for folders *.lmdb')


@dataclass(frozen=True, kw_only=True)
class UpcycledDataset(TrainDataset):
    """A training set whose labels were made by `basicsr upcycle`."""

    type: Literal['UpcycledImageDataset'] = key('the class of the dataset')  # type: ignore[assignment]
    dataroot_upcycled: str = key('the cache that basicsr upcycle has written')
    io_backend: LmdbBackend = key('where sub-images are read from, {type: lmdb}')
    color: None = key('not here', default=None, instead='the labels are in RGB; leave it out')
    mean: None = key('not here', default=None, instead='the labels are not normalised; leave it out')
    std: None = key('not here', default=None, instead='the labels are not normalised; leave it out')
