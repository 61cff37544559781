"""LooseVersion against the one of setuptools, which keeps what Python had."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys

from dukd_basicsr.compat.loose_version import LooseVersion

VERSIONS = [
    '0',
    '0.8.2',
    '0.9',
    '0.9.0',
    '0.9.0+cu111',
    '0.10.1',
    '0.10.1a0',
    '0.10.1rc1',
    '0.21.0',
    '0.28.0+cpu',
    '0.28.0+cu126',
    '0.28.0.post1',
    '1',
    '1.0',
    '1.0-dev',
    '1.0.dev3',
    '1..0',
    '1.0.a',
    '10',
    'a',
    'B.2',
    '2_1',
]
ORACLE = """
import json, sys
from setuptools._distutils.version import LooseVersion
def ask(one, other):
    try:
        return [one < other, one <= other, one == other, one != other, one >= other, one > other]
    except TypeError:
        return 'TypeError'
versions = [LooseVersion(text) for text in json.loads(sys.argv[1])]
print(json.dumps([[version.version for version in versions], [[ask(a, b) for b in versions] for a in versions]]))
"""


def ask(one, other):
    try:
        return [one < other, one <= other, one == other, one != other, one >= other, one > other]
    except TypeError:  # a number beside a word, as 1.0 and 1.a
        return 'TypeError'


def test_it_compares_as_distutils_did():
    """In a process of its own: importing setuptools puts its distutils in the place of Python's."""

    command = [sys.executable, '-W', 'ignore', '-c', ORACLE, json.dumps(VERSIONS)]
    parts, answers = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    versions = [LooseVersion(text) for text in VERSIONS]
    assert [version.version for version in versions] == parts
    assert [[ask(one, other) for other in versions] for one in versions] == answers
    assert 'TypeError' in itertools.chain(*answers)


def test_torchvisions_are_in_their_order():
    texts = ['0.8.2', '0.9.0', '0.9.0+cu111', '0.10.1', '0.21.0', '0.28.0+cpu', '1.0']
    for early, late in itertools.pairwise(texts):
        assert LooseVersion(early) < LooseVersion(late)
        assert LooseVersion(early) != early
        assert hash(LooseVersion(early)) == hash(LooseVersion(early))
