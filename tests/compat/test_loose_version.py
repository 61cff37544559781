"""LooseVersion against the one of setuptools, which keeps what Python had."""

from __future__ import annotations

import itertools
import operator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from setuptools._distutils.version import LooseVersion as Stock

from dukd_basicsr.compat.loose_version import LooseVersion

VERSIONS = st.from_regex(r'[0-9]{1,2}(\.[0-9]{1,2}){0,3}(a[0-9]|rc1|\.post1|\+cpu|\+cu126|-dev)?', fullmatch=True)


@given(VERSIONS, VERSIONS)
@pytest.mark.filterwarnings('ignore:distutils Version classes are deprecated')
def test_it_compares_as_distutils_did(one, other):
    assert LooseVersion(one).version == Stock(one).version
    for compare in (operator.lt, operator.le, operator.eq, operator.ne, operator.ge, operator.gt):
        try:
            expected = compare(Stock(one), Stock(other))
        except TypeError:  # a number beside a word, as 1.0 and 1.a
            with pytest.raises(TypeError):
                compare(LooseVersion(one), LooseVersion(other))
        else:
            assert compare(LooseVersion(one), LooseVersion(other)) == expected


def test_torchvisions_are_in_their_order():
    texts = ['0.8.2', '0.9.0', '0.9.0+cu111', '0.10.1', '0.21.0', '0.28.0+cpu', '1.0']
    for early, late in itertools.pairwise(texts):
        assert LooseVersion(early) < LooseVersion(late)
        assert hash(LooseVersion(early)) == hash(LooseVersion(early))
