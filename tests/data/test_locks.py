"""One process at a time writes to a place."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys

import pytest

from dukd_basicsr.data.locks import hold
from dukd_basicsr.errors import UserError
from tests.toys import REPOSITORY

HOLDER = """
import sys, time
from pathlib import Path
from dukd_basicsr.data.locks import hold
with hold(Path(sys.argv[1])):
    print('held', flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds a folder."""
    command = [sys.executable, '-c', HOLDER, str(tmp_path / 'experiments' / 'run')]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        assert process.stdout.readline() == 'held\n'
        yield process
        process.kill()


def test_another_process_is_named_and_a_dead_one_is_taken_over(holder, tmp_path):
    target = tmp_path / 'experiments' / 'run'
    with pytest.raises(UserError) as caught, hold(target):
        pytest.fail('held by two')
    assert caught.value.exit_code == 2
    assert str(caught.value) == (
        f'{target} is being written to by process {holder.pid} on {socket.gethostname()}; wait until that has ended, '
        f'or choose another name. If it is gone, remove {target.parent / ".run.lock"}.'
    )
    with hold(target.with_name('other')):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with hold(target):
        assert os.listdir(target.parent) == ['.run.lock']
    assert os.listdir(target.parent) == []


def test_a_lock_of_another_machine_is_never_taken_over(tmp_path):
    (tmp_path / '.run.lock').write_text('1\nanother-machine\n', encoding='utf-8')
    with pytest.raises(UserError, match='written to by process 1 on another-machine; wait'), hold(tmp_path / 'run'):
        pytest.fail('held by two')
    (tmp_path / '.run.lock').unlink()
    with hold(tmp_path / 'run'):
        pass


def test_folders_that_stay_empty_are_removed_again(tmp_path):
    with hold(tmp_path / 'a' / 'b' / 'c'):
        assert (tmp_path / 'a' / 'b').is_dir()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match='nothing'), hold(tmp_path / 'a' / 'b'):
        raise UserError('nothing was made')
    assert list(tmp_path.iterdir()) == []
    with hold(tmp_path / 'a' / 'b'):
        (tmp_path / 'a' / 'b').write_text('made', encoding='utf-8')
    assert (tmp_path / 'a' / 'b').read_text(encoding='utf-8') == 'made'


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / 'file').write_text('', encoding='utf-8')
    with (
        pytest.raises(UserError, match=r'cannot be written \(.+\); choose another place'),
        hold(tmp_path / 'file' / 'x'),
    ):
        pass
    with pytest.raises(UserError, match=r'cannot be written \(File name too long\)'), hold(tmp_path / ('x' * 300)):
        pass
