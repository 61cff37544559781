"""Where files are looked for and commands work."""

from pathlib import Path

import pytest

from dukd_basicsr.data.paths import work_in


def test_the_folder_is_the_one_before_whatever_happens(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'inner').mkdir()
    with pytest.raises(ZeroDivisionError), work_in(tmp_path / 'inner'):
        1 / (Path.cwd() != tmp_path / 'inner')
    assert Path.cwd() == tmp_path
