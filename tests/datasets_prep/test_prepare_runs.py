"""Runs of `basicsr prepare` that are repeated, parallel, interrupted, or meet what is already there."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time

import pytest
import torch

from datasets_prep import run
from datasets_prep.prepare import prepare_benchmark, prepare_training
from datasets_prep.subimages import cut
from dukd_basicsr.data.prefetch import map_in_order
from dukd_basicsr.errors import UserError
from tests.images import SMALL, fill
from tests.toys import REPOSITORY

SHAPES = [(60, 75), (50, 60), (97, 120)]


def contents(home):
    return {path.relative_to(home).as_posix(): path.read_bytes() for path in home.rglob('*') if path.is_file()}


def without_locks(home):
    return {name: data for name, data in contents(home).items() if not name.endswith('lock.mdb')}


def test_any_number_of_workers_writes_the_same_bytes(tmp_path):
    source = fill(tmp_path / 'hr', *SHAPES)
    for workers in (1, 2):
        prepare_training(source, tmp_path / str(workers), 'P', **SMALL | {'workers': workers})
    one, two = (without_locks(tmp_path / n) for n in '12')
    assert len(one) == 4 * 3
    assert one == two


def test_the_map_keeps_the_order_few_results_and_torchs_threads():
    started, taken = [], []

    def work(job):
        started.append(job)
        return job, torch.get_num_threads()

    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for result in map_in_order(work, range(30), 3, torch_threads=1):
            taken.append(result)
            assert len(started) <= len(taken) + 3 + 1
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert taken == [(job, 1) for job in range(30)]


def test_the_same_command_again_does_nothing(tmp_path, capsys):
    source = fill(tmp_path / 'hr', *SHAPES)
    paths = prepare_training(source, tmp_path, 'P', **SMALL)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / 'P').rglob('*')}
    capsys.readouterr()
    os.utime(source / '0001.png', (1, 1))  # a copy of the data with other times is the same data
    assert prepare_training(source, tmp_path, 'P', **SMALL) == paths
    assert 'all is there already' in capsys.readouterr().out
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / 'P').rglob('*')} == before


def test_targets_made_otherwise_are_never_overwritten(tmp_path):
    source = fill(tmp_path / 'hr', *SHAPES)
    prepare_training(source, tmp_path, 'P', **SMALL)
    before = contents(tmp_path / 'P')
    with pytest.raises(
        UserError, match=r'P_HR_sub\.lmdb exists and was made with step 24 instead of 12: delete it, or'
    ):
        prepare_training(source, tmp_path, 'P', **SMALL | {'step': 12})
    fill(source, (70, 70))
    with pytest.raises(UserError, match='made with other images'):
        prepare_training(source, tmp_path, 'P', **SMALL)
    (tmp_path / 'Q' / 'Q_LR_bicubic_X3_sub.lmdb').mkdir(parents=True)
    with pytest.raises(UserError, match='was not made by this command'):
        prepare_training(source, tmp_path, 'Q', **SMALL)
    assert contents(tmp_path / 'P') == before
    assert list((tmp_path / 'Q').rglob('*')) == [tmp_path / 'Q' / 'Q_LR_bicubic_X3_sub.lmdb']


def test_a_benchmark_set_takes_further_scales(tmp_path):
    source = fill(tmp_path / 'hr', *SHAPES)
    prepare_benchmark(source, tmp_path, 'S', (2,))
    before = contents(tmp_path / 'S')
    prepare_benchmark(source, tmp_path, 'S', (2, 3))
    assert before.items() < contents(tmp_path / 'S').items()
    assert len(list((tmp_path / 'S').glob('*/*.png'))) == 4 * 3


def failing(error):
    def work(job):
        if job.name == '0003':
            raise error
        return cut(job)

    return work


@pytest.mark.parametrize('error', [RuntimeError('stop'), KeyboardInterrupt()])
def test_an_interruption_leaves_nothing_and_a_repetition_completes(tmp_path, monkeypatch, error):
    source = fill(tmp_path / 'hr', *SHAPES)
    monkeypatch.setattr('datasets_prep.prepare.cut', failing(error))
    with pytest.raises(type(error)):
        prepare_training(source, tmp_path / 'a', 'P', **SMALL)
    assert not (tmp_path / 'a').exists()
    monkeypatch.undo()
    prepare_training(source, tmp_path / 'a', 'P', **SMALL)
    prepare_training(source, tmp_path / 'b', 'P', **SMALL)
    assert without_locks(tmp_path / 'a') == without_locks(tmp_path / 'b')


def test_a_full_disk_is_one_sentence(tmp_path, monkeypatch):
    source = fill(tmp_path / 'hr', *SHAPES)
    monkeypatch.setattr('datasets_prep.prepare.cut', failing(OSError(errno.ENOSPC, 'No space left on device')))
    with pytest.raises(UserError, match=r'cannot be written.*No space left'):
        prepare_training(source, tmp_path, 'P', **SMALL)
    assert not (tmp_path / 'P').exists()


def test_a_place_that_cannot_be_written_is_one_sentence(tmp_path):
    source = fill(tmp_path / 'hr', (60, 75))
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=r'cannot be written.*--out'):
        prepare_training(source, tmp_path / 'file', 'P', **SMALL)


def test_too_little_space_is_said_before_the_start(tmp_path, monkeypatch):
    source = fill(tmp_path / 'hr', *SHAPES)
    monkeypatch.setattr(run.shutil, 'disk_usage', lambda path: type('Usage', (), {'free': 1000}))
    with pytest.raises(UserError, match=r'P has 1000 B of free space and needs at least \d+\.\d KiB: free some'):
        prepare_training(source, tmp_path, 'P', **SMALL)


SCRIPT = """
from pathlib import Path
from datasets_prep.prepare import prepare_training
if __name__ == '__main__':
    prepare_training(Path('hr'), Path('out'), 'P', (2,), 480, 240, 192, workers=2)
"""


@pytest.mark.parametrize('number', [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_run_leaves_no_process_no_half_target_and_is_restarted_by_the_same_command(tmp_path, number):
    source = fill(tmp_path / 'hr', *[(300, 300)] * 200)
    (tmp_path / 'script.py').write_text(SCRIPT)
    process = subprocess.Popen(
        [sys.executable, 'script.py'],
        cwd=tmp_path,
        env=os.environ | {'PYTHONPATH': str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    home = tmp_path / 'out' / 'P'
    deadline = time.monotonic() + 300
    while not any(path.stat().st_size > 10**6 for path in home.glob('.*/data.mdb')):  # a few images are written
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    process.communicate(timeout=60)  # ends only when the worker processes, which hold the pipe too, have ended
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGTERM: 143}[number]
    left = [path.name for path in home.iterdir()] if home.exists() else []
    assert all(name.startswith('.') and '.tmp-' in name for name in left)
    assert len(left) == {signal.SIGKILL: 2, signal.SIGTERM: 0}[number]
    for path in sorted(source.iterdir())[2:]:
        path.unlink()
    prepare_training(source, tmp_path / 'out', 'P', (2,), 480, 240, 192, workers=1)
    assert sorted(path.name for path in home.iterdir()) == ['P_HR_sub.lmdb', 'P_LR_bicubic_X2_sub.lmdb']
    assert len((home / 'P_HR_sub.lmdb' / 'meta_info.txt').read_text().splitlines()) == 2


def test_a_folder_that_a_live_process_writes_is_left_alone(tmp_path):
    source = fill(tmp_path / 'hr', (60, 75))
    folder = tmp_path / 'P' / f'.P_HR_sub.lmdb.tmp-{os.getppid()}'
    folder.mkdir(parents=True)
    with pytest.raises(UserError, match=f'Process {os.getppid()} is writing'):
        prepare_training(source, tmp_path, 'P', **SMALL)
    assert folder.exists()


def test_a_run_that_fails_leaves_no_empty_folder(tmp_path):
    source = fill(tmp_path / 'hr', *SHAPES)
    (source / '0001.png').write_bytes((source / '0001.png').read_bytes()[:100])
    with pytest.raises(UserError, match='nothing was written'):
        prepare_training(source, tmp_path / 'datasets', 'P', **SMALL)
    assert not (tmp_path / 'datasets').exists()
