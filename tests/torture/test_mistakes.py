"""Nothing wrong gets as far as iteration 1: each mistake ends in its sentence, and nothing is created.

    PYTHONPATH=.:tests python tests/torture/test_mistakes.py

writes docs/mistakes.md anew.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from pathlib import Path

import pytest
import torch

from dukd_basicsr import options
from dukd_basicsr.cli import main
from dukd_basicsr.data.checks.files import check_files
from dukd_basicsr.training.checks import disk
from tests.torture.mistakes.cases import CASES
from tests.torture.mistakes.workplace import FILE, listing, make, write_options
from tests.toys import REPOSITORY

TABLE = REPOSITORY / 'docs' / 'mistakes.md'
ALL = [case for cases in CASES.values() for case in cases]
HEAD = """# Mistakes and what is said

A run starts only when nothing is wrong with what it is asked to do. Each mistake below ends `basicsr train` with its
sentence, exit code 2, and no file or folder created; tests/torture/test_mistakes.py makes each of them on a small run
and compares what is said word by word. All mistakes of an options file are said at once. `basicsr train --check` says
the same and trains one iteration on random images; sentences about files are warnings there.
"""


@pytest.fixture(scope='module')
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp('original')
    make(folder)
    return folder


@pytest.fixture
def folder(original, tmp_path, monkeypatch):
    """A copy of the folder of a run, and the current one."""
    root = tmp_path / 'run'
    shutil.copytree(original, root)
    monkeypatch.chdir(root)
    for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT'):
        monkeypatch.delenv(name, raising=False)
    return root


def sentences(case):
    return [case.messages] if isinstance(case.messages, str) else case.messages


def pattern(case, folder):
    """All of stderr; only what torch or Python says of a file is left open."""
    prefix = f'basicsr {case.command}: ' + 'warning: ' * case.warning
    text = ''.join(f'{prefix}{sentence}\n' for sentence in sentences(case))
    known = {'root': folder, 'torch': torch.__version__, 'gpus': torch.cuda.device_count()}
    for name, value in known.items():
        text = text.replace(f'<{name}>', str(value))
    return re.escape(text).replace('<reason>', '.+')


@pytest.mark.parametrize('case', ALL, ids=lambda case: case.mistake)
@pytest.mark.filterwarnings('ignore:Initializing zero-element')
def test_each_mistake_ends_before_anything_is_created(case, folder, capsys):
    write_options(folder, case.changes)
    case.disk(folder)
    before = listing(folder)
    check = ['--check'] if case.warning else []
    code = main([case.command, '-opt', FILE, *check, *case.argv])
    out, err = capsys.readouterr()
    assert re.fullmatch(pattern(case, folder), err), err
    assert code == (0 if case.warning else 2)
    assert 'Traceback' not in out
    assert listing(folder) == before


def attempt(folder, capsys, changes, *argv):
    """What `basicsr train` says of changed options; it must create nothing."""
    write_options(folder, changes)
    before = listing(folder)
    assert main(['train', '-opt', FILE, *argv]) == 2
    assert listing(folder) == before
    return capsys.readouterr().err.removeprefix('basicsr train: ')


@pytest.mark.parametrize(
    ('package', 'changes', 'message'),
    [
        ('tensorboard', {'logger.use_tb_logger': True},
         'logger.use_tb_logger needs the package tensorboard; install it, or write use_tb_logger: false.\n'),
        ('wandb', {'logger.use_tb_logger': True, 'logger.wandb': {'project': 'p'}},
         'logger.wandb.project needs the package wandb; install it, or write project: ~.\n'),
    ],
)  # fmt: skip
def test_a_logger_without_its_package(package, changes, message, folder, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name, *rest: None if name == package else find(name, *rest))
    assert attempt(folder, capsys, changes) == message


def test_a_place_that_cannot_be_written_to(folder, capsys, monkeypatch):
    monkeypatch.setattr(os, 'access', lambda *_: False)
    said = f'{folder}/experiments cannot be written to; start from a folder that can.\n'
    assert attempt(folder, capsys, {}) == said


def test_two_datasets_may_name_one_lmdb(folder):
    pair = {f'datasets.val.{name}': value for name, value in (
        ('dataroot_gt', 'HR.lmdb'), ('dataroot_lq', 'LR.lmdb'), ('io_backend', {'type': 'lmdb'}))}  # fmt: skip
    write_options(folder, pair)
    opt = options.load(Path(FILE))
    assert options.check(opt, Path(FILE), is_train=True) == []
    check_files(opt, folder, is_train=True)


@pytest.mark.parametrize(
    ('train', 'done', 'number'),
    [({}, 0, 4), ({}, 300, 2), ({'keep_checkpoints': 1}, 0, 3), ({'keep_checkpoints': 9}, 0, 4), ({}, 500, 0)],
)
def test_generations_to_come(train, done, number):
    opt = {'train': {'total_iter': 450.0, **train}, 'logger': {'save_checkpoint_freq': 130.0},
           'val': {'metrics': {'psnr': {}}}, 'datasets': {'train': {}, 'val': {}}}  # fmt: skip
    assert disk.generations_to_come(opt, done) == number


def test_checkpoint_bytes_are_those_of_a_run(folder):
    net = torch.load(folder / 'student.pth', weights_only=True)['params']
    parameters = [torch.nn.Parameter(value) for value in net.values()]
    optimizer = torch.optim.Adam(parameters)
    sum(parameter.sum() for parameter in parameters).backward()
    optimizer.step()
    torch.save({'params': net, 'params_ema': net}, 'net.pth')
    torch.save(optimizer.state_dict(), 'x.state')
    saved = sum(
        value.nbytes for name in ('net.pth', 'x.state') for value in tensors(torch.load(name, weights_only=True))
    )
    steps = 4 * len(parameters)
    count = sum(parameter.numel() for parameter in parameters)
    assert disk.checkpoint_bytes(count, ema=True) == saved - steps
    assert disk.checkpoint_bytes(count, ema=False) == disk.checkpoint_bytes(count, ema=True) - 4 * count


def tensors(content):
    """All tensors in nested dictionaries and lists."""
    if isinstance(content, torch.Tensor):
        yield content
    elif isinstance(content, (dict, list)):
        for value in content.values() if isinstance(content, dict) else content:
            yield from tensors(value)


@pytest.mark.parametrize(
    ('free', 'remedy'),
    [(0, 'make room, and write train.keep_checkpoints: 1'), (6 * 2**20, 'write train.keep_checkpoints: 4')],
)
def test_a_disk_that_is_too_small_is_said_in_one_line(free, remedy, folder, capsys, monkeypatch):
    from dukd_basicsr.training.checks import machine

    monkeypatch.setattr(disk.shutil, 'disk_usage', lambda _: shutil._ntuple_diskusage(free, 0, free))
    opt = {'train': {'total_iter': 400, 'ema_decay': 0}, 'logger': {'save_checkpoint_freq': 50},
           'datasets': {'train': {}}}  # fmt: skip
    student = torch.nn.Linear(256, 341)  # 87637 parameters: 1 MiB with Adam's averages
    machine.warn_of_full_disk(opt, student, 0, Path())
    free_text = f'{free / 2**20:.1f} MiB'
    assert capsys.readouterr().err == (
        f'basicsr train: warning: 8 checkpoints of 1.0 MiB need 8.0 MiB, but {folder} has {free_text} free; {remedy}.\n'
    )
    done = {**opt, 'logger': {'save_checkpoint_freq': 400}}
    machine.warn_of_full_disk(done, student, 400, Path())
    assert capsys.readouterr().err == ''


def table():
    """docs/mistakes.md."""
    lines = [HEAD]
    for section, cases in CASES.items():
        lines += [f'## {section}', '', '| mistake | what `basicsr train` says |', '|---|---|']
        for case in cases:
            said = '<br>'.join(f'`{stable(sentence)}`' for sentence in sentences(case))
            kind = '*warning:* ' * case.warning
            lines.append(f'| {case.mistake} | {kind}{said} |')
        lines.append('')
    return '\n'.join(lines)


def stable(sentence):
    """A sentence as it would be said in the folder of a run, whatever this machine."""
    for name, value in (
        ('<root>/', ''),
        ('<root>', '/home/me/sr'),
        ('<torch>', '2.x'),
        ('<gpus>', '0'),
        ('<reason>', '...'),
        ('|', '\\|'),
    ):
        sentence = sentence.replace(name, value)
    return sentence


def test_the_table_is_current():
    assert len(ALL) >= 45
    assert TABLE.read_text(encoding='utf-8') == table()


if __name__ == '__main__':
    TABLE.write_text(table(), encoding='utf-8')
