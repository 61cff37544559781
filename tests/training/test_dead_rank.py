"""Two gloo processes under torchrun: what one of them suffers, both end by, and resuming is exact."""

import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml

from dukd_basicsr import cli
from dukd_basicsr.training.signals import StopSignal
from tests import warm
from tests.toys import REPOSITORY

ITERATIONS = 60

RIGGED = """
import os, sys, time
import dukd_basicsr.plugin
import torch
from dukd_basicsr import cli
from dukd_basicsr.training import checkpoints, signals
from dukd_basicsr.models.dukd_model import DUKDModel

def out_of_memory(self, current_iter, stock=DUKDModel.optimize_parameters):
    if current_iter == 3:
        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 9 GiB.')
    stock(self, current_iter)

def slow(path, data, stock=checkpoints.write_file):
    time.sleep(1)
    stock(path, data)

case, *argv = sys.argv[1:]
if case == 'no memory' and os.environ['RANK'] == '1':
    DUKDModel.optimize_parameters = out_of_memory
if case == 'slow disk':
    checkpoints.write_file, signals._ECHO = slow, 0
sys.exit(cli.main(argv))
"""


@pytest.fixture(scope='module')
def torture():
    """The benchmark's data and options."""
    spec = importlib.util.spec_from_file_location('kill_resume', REPOSITORY / 'tests' / 'torture' / 'kill_resume.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder(torture, tmp_path):
    torture.make_data(tmp_path / 'data')
    opt = torture.options(tmp_path / 'data', ITERATIONS, 'DUKDModel')
    opt['datasets']['train'] |= {'num_worker_per_gpu': 0, 'dataset_enlarge_ratio': 4}
    (tmp_path / 'run.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    (tmp_path / 'rigged.py').write_text(RIGGED, encoding='utf-8')
    return tmp_path


def start(folder, rigged=None, into='run', save_every=2):
    """Under torchrun."""
    (folder / into).mkdir(exist_ok=True)
    program = ['-m', 'dukd_basicsr'] if rigged is None else [str(folder / 'rigged.py'), rigged]
    command = [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node', '2', '--master_port', find_port(),
               *program, *words(folder), '--force_yml', f'logger:save_checkpoint_freq={save_every}']  # fmt: skip
    environment = {**os.environ, 'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'}
    with log_of(folder, into).open('w') as log:
        return subprocess.Popen(command, cwd=folder / into, env=environment, stdout=log, stderr=subprocess.STDOUT)


def words(folder):
    return ['train', '-opt', str(folder / 'run.yml'), '--launcher', 'pytorch', '--auto_resume']


def find_port():
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        return str(free.getsockname()[1])


def run_undisturbed(folder, into='run'):
    """To the end of the run, by two processes that no torchrun watches over."""
    (folder / into).mkdir(exist_ok=True)
    log_of(folder, into).write_text('', encoding='utf-8')
    warm.start_ranks(train_one_rank, (folder, into, find_port()), 2)


def train_one_rank(rank, folder, into, port):
    os.environ |= {'RANK': str(rank), 'LOCAL_RANK': str(rank), 'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1',
                   'MASTER_PORT': port}  # fmt: skip
    os.chdir(folder / into)
    for number in (1, 2):
        os.dup2(os.open(log_of(folder, into), os.O_WRONLY | os.O_APPEND), number)
    assert cli.main(words(folder)) == 0


def log_of(folder, into='run'):
    return folder / f'{into}.log'


def wait_for_iteration(folder, iteration):
    deadline = time.time() + 90
    while time.time() < deadline:
        found = re.findall(r'iter: +(\d+), lr', log_of(folder).read_text(encoding='utf-8'))
        if found and int(found[-1]) >= iteration:
            return
        time.sleep(0.02)
    raise AssertionError(log_of(folder).read_text(encoding='utf-8')[-2000:])


def wait_for_end(pids):
    """Of processes that are not this one's children, and hold the run's lock as long as they are there."""
    deadline = time.time() + 90
    while any(Path(f'/proc/{pid}').exists() for pid in pids):
        assert time.time() < deadline
        time.sleep(0.01)


def pids_of_ranks(parent):
    found = {}
    for path in Path('/proc').glob('[0-9]*/environ'):
        try:
            variables = path.read_bytes().split(b'\0')
            status = path.with_name('status').read_text(encoding='utf-8')
        except OSError:
            continue
        if f'PPid:\t{parent}\n' in status:
            found |= {rank: int(path.parent.name) for rank in (0, 1) if f'RANK={rank}'.encode() in variables}
    assert found.keys() == {0, 1}
    return found


def read(folder, into, name):
    content = torch.load(folder / into / 'experiments' / 'run' / name, weights_only=True)
    content.pop('files', None)  # pickle writes equal texts in more than one way
    return content


@pytest.mark.slow
def test_a_dead_process_ends_the_other_with_a_sentence(folder):
    run = start(folder)
    wait_for_iteration(folder, 3)
    os.kill(pids_of_ranks(run.pid)[0], signal.SIGKILL)
    assert run.wait(60) != 0
    said = re.findall(r'^basicsr train: .*', log_of(folder).read_text(encoding='utf-8'), re.MULTILINE)
    assert len(said) == 1
    assert said[0].startswith('basicsr train: another process of this run has died or is out of reach (')
    assert said[0].endswith('and what was saved is intact: go on with --auto_resume.')


@pytest.mark.slow
def test_a_process_without_memory_says_so_before_both_end(folder):
    """The other is told by its own sentence, whichever comes first."""
    run = start(folder, rigged='no memory')
    assert run.wait(90) != 0
    log = log_of(folder).read_text(encoding='utf-8')
    assert 'basicsr train: out of memory: CUDA out of memory. Tried to allocate 9 GiB; write' in log
    assert re.findall(r'iter: +(\d+), lr', log)[-1] == '2'


@pytest.mark.slow
def test_stopped_by_a_signal_to_one_then_killed_the_run_ends_the_same(folder, torture):
    run_undisturbed(folder, into='whole')
    run = start(folder, rigged='slow disk', save_every=1000)
    wait_for_iteration(folder, 5)
    os.kill(pids_of_ranks(run.pid)[0], signal.SIGTERM)
    assert run.wait(60) != 0
    log = log_of(folder).read_text(encoding='utf-8')
    stopped = re.search(r'basicsr train: stopped by SIGTERM after iteration (\d+), which is saved; go on with: ', log)
    (state,) = (folder / 'run' / 'experiments' / 'run' / 'training_states').iterdir()
    assert stopped[1] == state.stem

    run = start(folder)
    wait_for_iteration(folder, int(state.stem) + 7)
    ranks = pids_of_ranks(run.pid).values()
    for pid in (run.pid, *ranks):
        os.kill(pid, signal.SIGKILL)
    run.wait(60)
    wait_for_end(ranks)
    logged = torture.losses(log_of(folder))
    run_undisturbed(folder)
    for name in (f'models/net_g_{ITERATIONS}.pth', f'training_states/{ITERATIONS}.state'):
        assert torture.differences(read(folder, 'run', name), read(folder, 'whole', name)) == []
    logged += torture.losses(log_of(folder))
    assert set(logged) <= set(torture.losses(log_of(folder, 'whole')))
    assert {iteration for iteration, _ in logged} == set(range(int(state.stem) + 1, ITERATIONS + 1))


def test_under_torchrun_a_signal_that_comes_twice_at_once_is_one(monkeypatch):
    """A scheduler signals every process of a job, and torchrun passes its own on."""
    monkeypatch.setenv('TORCHELASTIC_RUN_ID', 'none')
    with StopSignal() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.ask_all()
        monkeypatch.setattr('dukd_basicsr.training.signals._ECHO', 0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
