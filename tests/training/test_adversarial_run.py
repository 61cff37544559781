"""Whole runs with a discriminator: resumed to the bit, its checkpoints kept and pruned with the student's."""

from __future__ import annotations

import itertools
import shutil
import sys

import basicsr.train
import pytest
import torch
import yaml

from dukd_basicsr.errors import UserError
from tests.toys import forget_logger, save_weights
from tests.workplace import workplace  # noqa: F401  the fixture

UNET = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
FILES = ('models/net_g_6.pth', 'models/net_d_6.pth', 'training_states/6.state')


@pytest.fixture
def run(workplace, tmp_path, monkeypatch):  # noqa: F811
    """A function that trains a run of this name, in this process, and returns its folder."""
    save_weights(workplace / 'critic.pth', UNET)
    monkeypatch.chdir(workplace)
    clock = itertools.count()
    monkeypatch.setattr(basicsr.train, 'get_time_str', lambda: f'{next(clock):03}')  # seconds: two runs share one

    def train(name, *argv, **changes):
        forget_logger()
        opt = yaml.safe_load((workplace / 'toy.yml').read_text())
        opt |= {'name': name, 'network_d': UNET}
        opt['path']['pretrain_network_d'] = 'critic.pth'
        opt['train'] |= {
            'optim_d': {'type': 'Adam', 'lr': 1e-3}, 'net_d_iters': 2, 'total_iter': 6,
            'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1}, **changes,
        }  # fmt: skip
        (tmp_path / f'{name}.yml').write_text(yaml.safe_dump(opt, sort_keys=False))
        monkeypatch.setattr(sys, 'argv', ['basicsr', '-opt', str(tmp_path / f'{name}.yml'), *argv])
        basicsr.train.train_pipeline(str(workplace))
        return workplace / 'experiments' / name

    yield train
    forget_logger()


def text(folder):
    return ''.join(path.read_text(encoding='utf-8') for path in sorted(folder.glob('*.log')))


def names(folder):
    return sorted(path.name for path in (folder / 'models').iterdir())


def test_a_resumed_run_ends_with_the_same_bits(run, workplace):  # noqa: F811
    whole = run('whole')
    assert 'l_d_real: ' in text(whole)
    assert names(whole) == [*(f'net_{each}_{n}.pth' for each in 'dg' for n in (2, 4, 6, 'latest'))]
    run('parts', '--force_yml', 'train:total_iter=4')
    parts = run('parts', '--auto_resume')
    assert 'Resuming training from epoch: 0, iter: 4.' in text(parts)
    for file in FILES:
        found, expected = (torch.load(folder / file, weights_only=True) for folder in (parts, whole))
        for state in (found, expected):
            state.pop('files', None)  # pickle writes equal texts in more than one way
            state.pop('best_metric_results', None)  # the first part has measured once more
        torch.testing.assert_close(found, expected, rtol=0, atol=0)
    start = torch.load(workplace / 'critic.pth', weights_only=True)['params']['conv0.weight']
    end = torch.load(whole / 'models' / 'net_d_6.pth', weights_only=True)['params']['conv0.weight']
    assert 1e-4 < (end - start).abs().max() < 0.05  # it went on from the file, and learnt


def test_checkpoints_of_both_are_kept_and_pruned_together(run, workplace, capsys):  # noqa: F811
    folder = run('kept', keep_checkpoints=1)
    best = torch.load(folder / 'training_states' / '6.state', weights_only=True)['best_metric_results']
    kept = {6, *(record['iter'] for records in best.values() for record in records.values())}
    assert names(folder) == sorted(f'net_{each}_{n}.pth' for each in 'dg' for n in (*kept, 'latest'))
    # A generation without its discriminator is none; one of another discriminator is said before anything is changed.
    shutil.copytree(folder, workplace / 'experiments' / 'torn')
    (workplace / 'experiments' / 'torn' / 'models' / 'net_d_6.pth').unlink()
    run('torn', '--auto_resume')
    assert 'passed over 6.state (net_d_6.pth is not there)' in capsys.readouterr().out
    listing = names(folder)
    with pytest.raises(UserError, match=r'net_d_6\.pth does not fit UNetDiscriminatorSN as configured'):
        run('kept', '--auto_resume', '--force_yml', 'network_d:num_feat=8', 'path:pretrain_network_d=~')
    assert names(folder) == listing


def test_without_one_a_run_is_resumed_as_before(run):
    off = ['--force_yml', 'network_d=~', 'train:gan_opt=~', 'train:optim_d=~', 'path:pretrain_network_d=~']
    run('off', *off, 'train:total_iter=4')
    folder = run('off', '--auto_resume', *off)
    assert 'iter: 4.' in text(folder)
    assert names(folder) == [f'net_g_{n}.pth' for n in (2, 4, 6, 'latest')]
