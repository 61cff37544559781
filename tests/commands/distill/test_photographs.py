"""Which photographs are trained on, and which are kept back."""

import hashlib
import shutil

import cv2
import pytest

from dukd_basicsr.commands.distill.photographs import HELD_OUT, LARGEST_HELD_OUT, TRAIN, collect, survey
from dukd_basicsr.errors import UserError
from tests.images import PHOTO, fill


def names(photographs):
    return [each.path.name for each in photographs]


def test_what_is_held_out_follows_from_the_content(tmp_path):
    fill(tmp_path / 'a', *[(40 + n, 50) for n in range(12)])
    first = survey(tmp_path / 'a', None, 32)
    assert (len(first.train), len(first.held_out)) == (10, 2)
    by_hash = sorted((tmp_path / 'a').iterdir(), key=lambda path: hashlib.sha256(path.read_bytes()).hexdigest())
    assert set(names(first.held_out)) == {path.name for path in by_hash[:2]}
    (tmp_path / 'b').mkdir()
    for number, path in enumerate(sorted((tmp_path / 'a').iterdir(), reverse=True)):
        shutil.copy(path, tmp_path / 'b' / f'z{number}.png')
    second = survey(tmp_path / 'b', None, 32)
    assert {each.sha256 for each in second.held_out} == {each.sha256 for each in first.held_out}


def test_a_photograph_that_is_there_twice_is_on_one_side(tmp_path):
    fill(tmp_path / 'a', *[(40 + n, 50) for n in range(8)])
    for path in sorted((tmp_path / 'a').iterdir()):
        shutil.copy(path, path.with_name(f'copy_{path.name}'))
    found = survey(tmp_path / 'a', None, 32)
    assert found.doubles == 8
    assert not {each.sha256 for each in found.train} & {each.sha256 for each in found.held_out}
    assert len(found.train) + len(found.held_out) == 8


def test_those_of_ones_own_validation_are_not_trained_on(tmp_path):
    fill(tmp_path / 'a', *[(40 + n, 50) for n in range(8)])
    (tmp_path / 'val').mkdir()
    shutil.copy(tmp_path / 'a' / '0003.png', tmp_path / 'val' / 'other.png')
    found = survey(tmp_path / 'a', tmp_path / 'val', 32)
    assert found.of_own
    assert names(found.held_out) == ['other.png']
    assert len(found.train) == 7
    assert '0003.png' not in names(found.train)


@pytest.mark.parametrize(
    ('shapes', 'side', 'said'),
    [
        ([], 32, 'there are no photographs'),
        ([(40, 40)] * 1, 32, '1 of its 1 photographs can be used, with a side of at least 32 pixels'),
        ([(40 + n, 40) for n in range(12)], 64, '0 of its 12 photographs can be used'),
        (
            [(40 + n, 40) for n in range(5)],
            32,
            '5 of its 5 .* 6 are needed, 2 of them to validate with: add photographs',
        ),
    ],
)
def test_too_few_or_too_small(shapes, side, said, tmp_path):
    fill(tmp_path / 'a', *shapes)
    with pytest.raises(UserError, match=said):
        survey(tmp_path / 'a', None, side)


def test_photographs_in_a_folder_below_are_pointed_to(tmp_path):
    fill(tmp_path / 'a' / 'inner', (40, 40))
    with pytest.raises(UserError, match='its folder inner has some'):
        survey(tmp_path / 'a', None, 32)


def test_what_is_no_photograph_is_named(tmp_path):
    fill(tmp_path / 'a', *[(40 + n, 40) for n in range(8)])
    (tmp_path / 'a' / '0005.png').write_bytes(b'nothing')
    with pytest.raises(UserError, match=r'0005\.png cannot be read as a photograph'):
        survey(tmp_path / 'a', None, 32)


def test_they_are_collected_whole_and_large_ones_to_validate_with_are_cut_in_their_middle(tmp_path, monkeypatch):
    fill(tmp_path / 'a', *[(200 + n, 300) for n in range(8)])
    monkeypatch.setattr('dukd_basicsr.commands.distill.photographs.LARGEST_HELD_OUT', 100)
    found = survey(tmp_path / 'a', None, 32)
    collect(found, tmp_path / 'run')
    collect(found, tmp_path / 'run')  # goes on where it was interrupted
    assert sorted(path.name for path in (tmp_path / 'run' / TRAIN).iterdir()) == names(found.train)
    for each in found.train:
        assert (tmp_path / 'run' / TRAIN / each.path.name).read_bytes() == each.path.read_bytes()
    for each in found.held_out:
        whole = cv2.imread(str(each.path))
        top, left = (whole.shape[0] - 100) // 2, (whole.shape[1] - 100) // 2
        cut = cv2.imread(str(tmp_path / 'run' / HELD_OUT / f'{each.path.name}.png'))
        assert (cut == whole[top : top + 100, left : left + 100]).all()
    assert max(PHOTO.shape) <= LARGEST_HELD_OUT
