"""A FIFO where a file is due: opening it would wait for a writer for ever."""

from __future__ import annotations

import os

import pytest

from dukd_basicsr import options
from dukd_basicsr.data.checks.images import DamagedImageError, inspect_file


@pytest.fixture
def fifo(tmp_path):
    os.mkfifo(tmp_path / 'x')
    return tmp_path / 'x'


def test_options_are_read_from_regular_files_only(fifo):
    with pytest.raises(options.OptionsError, match='x: no regular file; write the options into one'):
        options.load(fifo)


def test_images_are_regular_files_only(fifo):
    with pytest.raises(DamagedImageError, match='is no regular file'):
        inspect_file(fifo)
