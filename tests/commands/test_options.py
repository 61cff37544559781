"""`basicsr options`: the shipped files listed and copied, from a checkout and from an installed package."""

from pathlib import Path

import pytest

from dukd_basicsr.cli import main
from dukd_basicsr.errors import UserError
from dukd_basicsr.options import shipped
from tests.toys import REPOSITORY

FOLDER = REPOSITORY / 'options'
FILES = sorted(FOLDER.glob('*.yml'))


def test_every_file_is_listed_with_its_first_line_of_words(capsys):
    assert main(['options', 'list']) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(FILES)
    for line, file in zip(lines, FILES, strict=True):
        assert line.split(maxsplit=1) == [file.stem, file.read_text('utf-8').splitlines()[1].removeprefix('# ')]


@pytest.mark.parametrize('name', ['train_dukd_edsr_x4', 'train_dukd_edsr_x4.yml', 'options/train_dukd_edsr_x4.yml'])
@pytest.mark.parametrize('target', [None, '.', 'folder', 'folder/mine.yml'])
def test_a_copy_is_the_file(name, target, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('folder').mkdir()
    assert main(['options', 'copy', name, *([target] if target else [])]) == 0
    written = Path(capsys.readouterr().out.strip())
    folder, file = Path(target or '.'), 'train_dukd_edsr_x4.yml'
    assert written == (folder if folder.suffix else folder / file)
    (first, *copied), (named, *original) = (place.read_bytes().splitlines() for place in (written, FOLDER / file))
    assert copied == original
    assert named.decode() == f'{shipped.MODELINE}{shipped.SCHEMA}'
    assert first.decode() == f'{shipped.MODELINE}{FOLDER / shipped.SCHEMA}'  # the copy lies elsewhere


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['train_dukd_edsrx4'], 'Did you mean "train_dukd_edsr_x4"?'),
        (['../../etc/passwd'], 'no options file "../../etc/passwd" is shipped. All: basicsr options list'),
        (['train_edsr_x4', 'there.yml'], 'there.yml exists already and is left as it is; name another file'),
        (['train_edsr_x4', 'none'], 'none is not a folder; make it first: mkdir -p none'),
        (['train_edsr_x4', 'none/a.yml'], 'none is not a folder; make it first: mkdir -p none'),
        (['train_edsr_x4', 'there.yml/a.yml'], 'there.yml is not a folder'),
        (['train_edsr_x4', '/proc/a.yml'], '/proc/a.yml cannot be written'),
    ],
)
def test_mistakes_leave_everything_as_it_is(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('there.yml').write_text('mine')
    assert main(['options', 'copy', *arguments]) == 2
    assert message in capsys.readouterr().err
    assert [path.read_text() for path in tmp_path.iterdir()] == ['mine']


def test_an_installed_package_has_them_inside(tmp_path, monkeypatch):
    """What the wheel holds is for `make package` to prove."""
    package = tmp_path / 'site-packages' / 'dukd_basicsr'
    inside = package / 'shipped_options'
    inside.mkdir(parents=True)
    monkeypatch.setattr(shipped, '__file__', str(package / 'options' / 'shipped.py'))
    (tmp_path / 'site-packages' / 'options').mkdir()  # of somebody else
    with pytest.raises(UserError, match='has no option files'):
        shipped.list_files()
    (inside / 'a.yml').write_text('# for a test\n')
    assert shipped.list_files() == {'a': 'for a test'}
