"""A few kills of the torture run, and a disk that fills; `python -m tests.torture.kill_resume` does fifty kills."""

import errno
import importlib.util
import json
import os

import pytest
import torch
import yaml

from dukd_basicsr import cli
from dukd_basicsr.training import checkpoints as generations
from tests import warm
from tests.toys import REPOSITORY, forget_logger

SCRIPT = REPOSITORY / 'tests' / 'torture' / 'kill_resume.py'


@pytest.mark.slow
def test_killed_and_resumed_equals_left_alone(tmp_path):
    words = ['--kills', '8', '--iterations', '24', '--seed', '5', '--keep', '3']
    done = warm.run_module(SCRIPT, *words, '--json', tmp_path / 'result.json', cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / 'result.json').read_text(encoding='utf-8'))['result']
    assert result['kills'] == 8
    assert result['generations checked'] >= 8
    assert (result['differences'], result['corrupted generations']) == (0, 0)
    assert sum(result.get(f'kills in {phase}', 0) for phase in ('step', 'save', 'validation')) >= 5


@pytest.fixture
def train(tmp_path, monkeypatch):
    """A function that runs the command in a folder of this name; returns exit code and run folder."""
    spec = importlib.util.spec_from_file_location('kill_resume', SCRIPT)
    torture = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(torture)
    torture.make_data(tmp_path / 'data')
    opt = torture.options(tmp_path / 'data', 8, 'DUKDModel')
    opt['datasets']['train']['num_worker_per_gpu'] = 0
    (tmp_path / 'run.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    monkeypatch.setattr(generations.time, 'sleep', lambda _: None)

    def run(name):
        forget_logger()
        (tmp_path / name).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / name)
        code = cli.main(['train', '-opt', str(tmp_path / 'run.yml'), '--auto_resume'])
        return code, tmp_path / name / 'experiments' / 'run'

    yield run, torture.differences
    forget_logger()


@pytest.mark.parametrize(('calls', 'kept'), [(4, 2), (6, 2), (8, 4)])
@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EROFS])
def test_a_disk_that_fills_ends_the_run_and_nothing_is_lost(train, monkeypatch, capsys, calls, kept, number):
    """A save flushes four times: the network, its folder, the state and its folder."""
    run, differences = train
    left = [calls]

    def fsync(descriptor, real=os.fsync):
        left[0] -= 1
        if left[0] < 0:
            raise OSError(number, os.strerror(number))
        real(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(os, 'fsync', fsync)
        code, folder = run('run')
    assert code == 1
    said = capsys.readouterr().err
    assert 'Traceback' not in said
    assert f'cannot be written ({os.strerror(number)}); what was saved before is intact: make room, then go on' in said
    states, models = folder / 'training_states', folder / 'models'
    found, passed = generations.find_newest(states, models)
    assert (found.state['iter'], passed) == (kept, [])
    assert not list(folder.rglob('*.tmp'))

    assert run('run')[0] == run('whole')[0] == 0
    for name in ('models/net_g_8.pth', 'training_states/8.state', 'models/net_g_latest.pth'):
        ours, theirs = (torch.load(each / name, weights_only=True)
                        for each in (folder, folder.parents[2] / 'whole' / 'experiments' / 'run'))  # fmt: skip
        for each in (ours, theirs):
            each.pop('files', None)  # equal texts, pickled in two ways
        assert differences(ours, theirs) == []
