"""`--launcher pytorch`: first the stock failure, then ours."""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys

import pytest
import torch
import torch.multiprocessing as mp
from basicsr.models.base_model import BaseModel
from basicsr.utils import dist_util
from torch import distributed, nn

from dukd_basicsr.errors import UserError

TORCHRUN = {'RANK': '3', 'WORLD_SIZE': '4', 'LOCAL_RANK': '0', 'MASTER_ADDR': 'localhost', 'MASTER_PORT': '1'}


@pytest.fixture
def machine(monkeypatch):
    """A machine of so many GPUs; records what is asked of torch instead of doing it."""
    asked = {}

    def of(gpus, env):
        for name in TORCHRUN:
            monkeypatch.delenv(name, raising=False)
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: gpus > 0)
        monkeypatch.setattr(torch.cuda, 'device_count', lambda: gpus)
        monkeypatch.setattr(torch.cuda, 'set_device', lambda device: asked.update(device=device))
        monkeypatch.setattr(distributed, 'is_nccl_available', lambda: True)
        monkeypatch.setattr(distributed, 'init_process_group', lambda **kwargs: asked.update(kwargs))
        monkeypatch.setattr(mp, 'get_start_method', lambda **_: None)
        monkeypatch.setattr(mp, 'set_start_method', lambda method: asked.update(start=method))
        monkeypatch.setattr(atexit, 'register', lambda _: None)
        return asked

    return of


def test_cpu_gets_gloo(machine):
    asked = machine(0, TORCHRUN)
    with pytest.raises(ZeroDivisionError):
        dist_util._init_dist_pytorch('nccl')
    dist_util.init_dist('pytorch')
    assert asked == {'backend': 'gloo'}


def test_cuda_gets_nccl_and_its_local_device(machine):
    asked = machine(2, TORCHRUN)
    dist_util._init_dist_pytorch('nccl')
    assert asked['device'] == 1  # rank 3 of 4, but the first process of this machine
    dist_util.init_dist('pytorch')
    assert asked == {'device': 0, 'backend': 'nccl', 'start': 'spawn'}
    dist_util.init_dist('pytorch', backend='gloo')
    assert asked['backend'] == 'gloo'
    machine(2, {key: value for key, value in TORCHRUN.items() if key != 'LOCAL_RANK'})
    dist_util.init_dist('pytorch')
    assert asked['device'] == 1


def test_without_torchrun_the_command_is_told(machine):
    machine(0, {})
    with pytest.raises(KeyError, match='RANK'):
        dist_util._init_dist_pytorch('nccl')
    command = 'torchrun --nproc_per_node=N -m dukd_basicsr train -opt FILE --launcher pytorch'
    with pytest.raises(UserError, match=f'RANK is not set.*{command}'):
        dist_util.init_dist('pytorch')


def test_other_launchers(machine, monkeypatch):
    asked = machine(2, {})
    monkeypatch.setattr(dist_util, '_init_dist_slurm', lambda backend, port=None: asked.update(slurm=(backend, port)))
    dist_util.init_dist('slurm', backend='nccl', port=5)
    assert asked['slurm'] == ('nccl', 5)
    with pytest.raises(ValueError, match='Invalid launcher type: mpi'):
        dist_util.init_dist('mpi')
    machine(0, {})
    with pytest.raises(UserError, match='slurm needs CUDA'):
        dist_util.init_dist('slurm')


def test_the_group_is_left_at_exit_but_not_after_a_crash(machine, monkeypatch):
    machine(0, TORCHRUN)
    at_exit, left = [], []
    monkeypatch.setattr(atexit, 'register', at_exit.append)
    dist_util.init_dist('pytorch')
    monkeypatch.setattr(distributed, 'is_initialized', lambda: True)
    monkeypatch.setattr(distributed, 'destroy_process_group', lambda: left.append(1))
    monkeypatch.setattr(sys, 'last_value', ValueError(), raising=False)
    at_exit[0]()
    assert not left
    monkeypatch.delattr(sys, 'last_value')
    at_exit[0]()
    assert left


def test_one_process_is_wrapped_as_stock_does():
    model = BaseModel({'num_gpu': 0, 'is_train': True, 'dist': False})
    net = nn.Linear(2, 2)
    assert model.model_to_device(net) is net
    model.opt['num_gpu'] = 2
    assert isinstance(model.model_to_device(net), nn.DataParallel)


TWO_PROCESSES = """
import atexit, json, sys
import torch
import torch.multiprocessing as mp
import dukd_basicsr.plugin
from basicsr.models.base_model import BaseModel
from basicsr.utils.options import parse_options
from dukd_basicsr import compat

torch.set_num_threads(1)
folder = sys.argv.pop()
# Runs after what init_dist registers.
atexit.register(lambda: sys.stderr.write(f'left the group: {not torch.distributed.is_initialized()}\\n'))
opt, _ = parse_options(folder)
model = BaseModel(opt)
net = torch.nn.Linear(1, 1, bias=False)
try:
    compat.stock(compat.model_to_device)(model, net)
    failed = torch.cuda.is_available()
except (RuntimeError, AssertionError):
    failed = True
wrapped = model.model_to_device(net)
wrapped(torch.full((1, 1), 1.0 + opt['rank'])).sum().backward()
with open(f"{folder}/{opt['rank']}.json", 'w') as f:
    json.dump({'stock_failed': failed, 'backend': torch.distributed.get_backend(), 'size': opt['world_size'],
               'seed': torch.initial_seed(), 'type': type(wrapped).__name__, 'grad': net.weight.grad.item(),
               'start': mp.get_start_method(allow_none=True) == 'spawn', 'cuda': torch.cuda.is_available()}, f)
# As when train_pipeline has returned: a DDP module that outlives its group can abort the interpreter's end.
del model, net, wrapped
"""


def test_two_processes_under_torchrun(tmp_path):
    """On a machine with CUDA too: `num_gpu: 0` keeps the network, and so the group, on the CPU."""
    (tmp_path / 'run.py').write_text(TWO_PROCESSES)
    (tmp_path / 'options.yml').write_text(
        'name: run\nnum_gpu: 0\nmanual_seed: 5\ndatasets: {}\npath: {}\ndist_params: {backend: nccl, port: 29500}\n'
    )
    done = subprocess.run(
        [sys.executable, '-m', 'torch.distributed.run', '--standalone', '--nproc_per_node=2', str(tmp_path / 'run.py'),
         '-opt', str(tmp_path / 'options.yml'), '--launcher', 'pytorch', '--local-rank=0', str(tmp_path)],
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': os.pathsep.join(sys.path)},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.count('left the group: True') == 2
    for rank in (0, 1):
        seen = json.loads((tmp_path / f'{rank}.json').read_text())
        assert seen == {
            'stock_failed': True, 'backend': 'gloo', 'size': 2, 'seed': 5 + rank, 'type': 'DistributedDataParallel',
            'grad': 1.5, 'start': seen['cuda'], 'cuda': seen['cuda'],
        }  # fmt: skip
