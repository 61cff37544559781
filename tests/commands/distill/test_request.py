"""What is typed, and what is typed again."""

import shlex
from pathlib import Path

import pytest

from dukd_basicsr.cli import build_parser
from dukd_basicsr.commands.distill.request import DEFAULT_GOAL, DEFAULT_HOURS, Goal, read_count, read_request
from dukd_basicsr.errors import UserError


def request(folder, *words):
    (folder / 'teacher.pth').write_bytes(b'1')
    (folder / 'photos').mkdir(exist_ok=True)
    return read_request(build_parser().parse_args(['distill', 'teacher.pth', 'photos', *words]))


@pytest.mark.parametrize(
    ('text', 'value'),
    [('10', 10), ('100K', 1e5), ('100k', 1e5), ('1.5 M', 1.5e6), ('5G', 5e9), ('2T', 2e12), ('0', None), ('-1K', None),
     ('K', None), ('', None), ('nan', None), ('inf', None), ('1e400', None), ('ten', None)],
)  # fmt: skip
def test_sizes_with_units(text, value):
    assert read_count(text) == value


def test_what_is_left_out_has_its_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = request(tmp_path)
    assert (found.goal, found.hours, found.iterations) == (DEFAULT_GOAL, DEFAULT_HOURS, None)
    assert found.out == tmp_path / 'distilled' / 'teacher_to_edsr'


@pytest.mark.parametrize(
    'words',
    [
        (),
        ('--student', 'edsr', '--params', '120K', '--iterations', '7', '-o', 'some where'),
        ('--macs', '1.5G', '--hours', '0.3', '--real', '--val', 'photos'),
        ('--times', '3', '-opt', 'teacher.pth', '--import', 'a b.py', '--import', 'c.py'),
    ],
)
def test_the_command_that_goes_on_asks_for_the_same_from_any_folder(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = request(tmp_path, *words)
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path / 'elsewhere')
    again = read_request(build_parser().parse_args(shlex.split(first.to_command())[1:]))
    assert again == first
    assert again.to_json() == first.to_json()


def test_a_request_changes_with_what_is_in_its_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = request(tmp_path)
    before = found.to_json()
    (tmp_path / 'teacher.pth').write_bytes(b'2')
    (tmp_path / 'photos' / 'new.png').write_bytes(b'x')
    after = found.to_json()
    assert {name for name in before if before[name] != after[name]} == {'teacher_sha256', 'photos_listing'}


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (('--times', 'ten'), '--times ten is no size'),
        (('--params', '-5'), '--params -5 is no size'),
        (('--iterations', '0'), '--iterations 0 trains nothing'),
        (('--hours', '-1'), '--hours -1.0 is no time'),
        (('--hours', 'nan'), '--hours nan is no time'),
        (('--val', 'nowhere'), 'nowhere: there is no such folder'),
        (('-opt', 'no.yml'), 'no.yml: there is no such options file'),
    ],
)
def test_mistakes(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said.replace('.', r'\.')):
        request(tmp_path, *words)


def test_what_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r'teacher\.pth: there is no such file'):
        read_request(build_parser().parse_args(['distill', 'teacher.pth', 'photos']))
    Path('teacher.pth').write_bytes(b'')
    with pytest.raises(UserError, match='photos: there is no such folder'):
        read_request(build_parser().parse_args(['distill', 'teacher.pth', 'photos']))
    assert Goal('times', 10.0) == DEFAULT_GOAL
