"""Resuming: first the stock failure, then ours."""

from __future__ import annotations

import basicsr.train
import pytest
import torch

from dukd_basicsr import compat
from dukd_basicsr.errors import UserError


@pytest.fixture
def no_cuda(monkeypatch):
    """A machine without CUDA, also where there is one."""
    if torch.cuda.is_available():

        def current_device():
            raise RuntimeError('Found no NVIDIA driver on your system.')

        monkeypatch.setattr(torch.cuda, 'current_device', current_device)


def _state(iteration):
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([parameter])
    parameter.sum().backward()
    optimizer.step()
    return {'epoch': 1, 'iter': iteration, 'optimizers': [optimizer.state_dict()], 'schedulers': []}


@pytest.fixture
def opt(tmp_path):
    """A run with states of iterations 9 and 10, beside files that are not states of an iteration."""
    states, models = tmp_path / 'experiments' / 'run' / 'training_states', tmp_path / 'experiments' / 'run' / 'models'
    states.mkdir(parents=True)
    models.mkdir()
    for iteration in (9, 10):
        torch.save(_state(iteration), states / f'{iteration}.state')
        torch.save({}, models / f'net_g_{iteration}.pth')
    for other in ('best.state', '11.state.tmp', '-1.state', '12 copy.state'):
        (states / other).write_bytes(b'')
    return {
        'name': 'run', 'auto_resume': False, 'rank': 0, 'root_path': str(tmp_path), 'network_g': {}, 'network_t': {},
        'path': {'training_states': str(states), 'models': str(models), 'resume_state': None,
                 'param_key_g': 'params_ema', 'pretrain_network_t': 'teacher.pth', 'param_key_t': 'params_ema'},
    }  # fmt: skip


def test_resume_on_cpu(opt, no_cuda):
    opt['path']['resume_state'] = opt['path']['training_states'] + '/9.state'
    with pytest.raises((RuntimeError, AssertionError), match=r'NVIDIA|CUDA'):
        compat.stock(compat.load_resume_state)(opt)
    state = basicsr.train.load_resume_state(opt)
    assert state['iter'] == 9
    assert state['optimizers'][0]['state'][0]['exp_avg'].device.type == 'cpu'
    assert opt['path']['pretrain_network_g'] == opt['path']['models'] + '/net_g_9.pth'


def test_auto_resume_from_another_folder_takes_the_newest(opt, no_cuda, monkeypatch, tmp_path):
    opt['auto_resume'] = True
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path / 'elsewhere')
    assert compat.stock(compat.load_resume_state)(opt) is None  # and train_pipeline archives the run
    assert basicsr.train.load_resume_state(opt)['iter'] == 10
    assert opt['path']['resume_state'].endswith('10.state')

    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match='could not convert string to float'):
        compat.stock(compat.load_resume_state)(opt)


def test_auto_resume_with_nothing_to_resume_says_so_once(opt, capsys, tmp_path):
    opt['auto_resume'] = True
    opt['path']['training_states'] = str(tmp_path / 'none')
    assert basicsr.train.load_resume_state(opt) is None
    assert capsys.readouterr().out.count('no training state in') == 1
    opt['rank'] = 1
    assert basicsr.train.load_resume_state(opt) is None
    assert capsys.readouterr().out == ''


def test_without_resuming_nothing_is_loaded_or_said(opt, capsys):
    before = dict(opt['path'])
    assert basicsr.train.load_resume_state(opt) is None
    assert opt['path'] == before
    assert capsys.readouterr().out == ''


def test_a_truncated_state_is_passed_over_named_and_kept(opt, tmp_path, capsys):
    opt['auto_resume'] = True
    states = tmp_path / 'experiments' / 'run' / 'training_states'
    newest = states / '10.state'
    newest.write_bytes(newest.read_bytes()[:-100])
    assert basicsr.train.load_resume_state(opt)['iter'] == 9
    assert '--auto_resume: passed over 10.state (truncated or damaged: File is not a zip file).\n' in (
        capsys.readouterr().out
    )
    assert newest.exists()

    (states / '9.state').write_bytes(b'')
    with pytest.raises(UserError, match=r'is complete: 10\.state .*, 9\.state \(empty\); move that run away'):
        basicsr.train.load_resume_state(opt)


def test_a_state_that_would_run_code_is_refused(opt, tmp_path):
    marker = tmp_path / 'marker'

    class Evil:
        def __reduce__(self):
            return marker.mkdir, ()

    file = tmp_path / '1.state'
    torch.save({**_state(1), 'evil': Evil()}, file)
    opt['path']['resume_state'] = str(file)
    with pytest.raises(UserError, match='cannot be resumed from: refused: loading it would run'):
        basicsr.train.load_resume_state(opt)
    assert not marker.exists()


def test_files_that_are_not_what_resuming_needs_are_sentences(opt, tmp_path):
    opt['path']['resume_state'] = str(tmp_path / '3.state')
    with pytest.raises(UserError, match=r'there is no file .*3\.state'):
        basicsr.train.load_resume_state(opt)
    torch.save({'params': {}}, tmp_path / '3.state')
    with pytest.raises(UserError, match='no training state of BasicSR'):
        basicsr.train.load_resume_state(opt)
    torch.save(_state(3), tmp_path / '3.state')
    with pytest.raises(UserError, match=r'net_g_3\.pth is not there'):
        basicsr.train.load_resume_state(opt)


def test_check_resume_leaves_the_teacher_alone(opt):
    opt['path']['resume_state'] = 'x'
    opt['network_d'] = {}
    theirs = {**opt, 'path': dict(opt['path'])}
    compat.stock(compat.check_resume)(theirs, 10)
    assert theirs['path']['pretrain_network_t'].endswith('net_t_10.pth')
    assert theirs['path']['param_key_t'] == 'params'

    # basicsr.train and basicsr.utils hold it by name.
    assert basicsr.train.check_resume is basicsr.utils.check_resume is basicsr.utils.misc.check_resume
    basicsr.train.check_resume(opt, 10)
    assert opt['path']['pretrain_network_t'] == 'teacher.pth'
    assert opt['path']['param_key_t'] == 'params_ema'
    student = ('pretrain_network_g', 'pretrain_network_d', 'param_key_g')
    assert [opt['path'][key] for key in student] == [theirs['path'][key] for key in student]


def test_check_resume_invents_no_teacher_keys(opt):
    for key in ('pretrain_network_t', 'param_key_t'):
        del opt['path'][key]
    opt['path']['resume_state'] = 'x'
    basicsr.train.check_resume(opt, 10)
    assert 'pretrain_network_t' not in opt['path']
    assert 'param_key_t' not in opt['path']
