"""The training loop end to end, in this process, on three tiny photographs."""

import itertools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import basicsr.train
import cv2
import pytest
import torch
import yaml
from basicsr.models.sr_model import SRModel
from skimage import data

from datasets_prep import prepare
from dukd_basicsr import compat
from dukd_basicsr.errors import RunStopped, UserError
from dukd_basicsr.models.dukd_model import DUKDModel
from tests.toys import L1, STUDENT, TEACHER, forget_logger, save_weights

FILES = ('models/net_g_6.pth', 'training_states/6.state')


@pytest.fixture(scope='module')
def datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp('data')
    for name in ('train', 'val'):
        (folder / name).mkdir()
    for name in ('astronaut', 'chelsea', 'coffee'):
        cv2.imwrite(str(folder / 'train' / f'{name}.png'), getattr(data, name)()[:64, :64, ::-1])
    cv2.imwrite(str(folder / 'val' / 'rocket.png'), data.rocket()[100:132, 200:240, ::-1])
    prepare.prepare_training(folder / 'train', folder / 'datasets', 'T', [2], 32, 32, 32, 1)
    prepare.prepare_benchmark(folder / 'val', folder / 'datasets', 'V', [2], 1)
    save_weights(folder / 'teacher.pth', TEACHER)
    return folder


@pytest.fixture
def run(datasets, tmp_path, monkeypatch):
    """A function that trains with changed options and returns the folder of the run."""

    clock = itertools.count()
    monkeypatch.setattr(basicsr.train, 'get_time_str', lambda: f'{next(clock):03}')  # seconds: two runs share one

    def train(*argv, **changes):
        forget_logger()
        opt = options(datasets)
        for key, value in changes.items():
            opt[key] = {**opt[key], **value} if isinstance(value, dict) else value
        (tmp_path / 'toy.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
        monkeypatch.setattr(sys, 'argv', ['basicsr', '-opt', str(tmp_path / 'toy.yml'), *argv])
        basicsr.train.train_pipeline(str(tmp_path))
        return tmp_path / 'experiments' / 'toy'

    yield train
    forget_logger()


def options(folder):
    train = folder / 'datasets' / 'T'
    val = folder / 'datasets' / 'V'
    return {
        'name': 'toy', 'model_type': 'DUKDModel', 'scale': 2, 'num_gpu': 0, 'manual_seed': 3,
        'datasets': {
            'train': {'name': 'T', 'type': 'PairedImageDataset', 'dataroot_gt': str(train / 'T_HR_sub.lmdb'),
                      'dataroot_lq': str(train / 'T_LR_bicubic_X2_sub.lmdb'), 'io_backend': {'type': 'lmdb'},
                      'gt_size': 16, 'use_hflip': True, 'use_rot': True, 'num_worker_per_gpu': 0,
                      'batch_size_per_gpu': 5},
            'val': {'name': 'V', 'type': 'PairedImageDataset', 'dataroot_gt': str(val / 'GTmod2'),
                    'dataroot_lq': str(val / 'LRbicx2'), 'io_backend': {'type': 'disk'}},
        },
        'network_g': STUDENT, 'network_t': TEACHER,
        'path': {'pretrain_network_t': str(folder / 'teacher.pth'), 'resume_state': None},
        'train': {'ema_decay': 0.9, 'optim_g': {'type': 'Adam', 'lr': 1e-3},
                  'scheduler': {'type': 'MultiStepLR', 'milestones': [4]}, 'total_iter': 6,
                  'pixel_opt': L1, 'kd_opt': L1, 'dukd_opt': L1},
        'val': {'val_freq': 2, 'save_img': False,
                'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True}}},
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 2, 'use_tb_logger': False},
    }  # fmt: skip


def names(folder):
    return sorted(path.name for path in (folder / 'models').iterdir()), sorted(
        path.name for path in (folder / 'training_states').iterdir()
    )


def text(folder):
    return ''.join(path.read_text(encoding='utf-8') for path in sorted(folder.glob('*.log')))


def test_a_run_ends_at_total_iter_with_a_state_and_one_last_validation(run):
    folder = run(train={**options(Path())['train'], 'total_iter': 5, 'pixel_opt': L1})
    models, states = names(folder)
    assert models == ['net_g_2.pth', 'net_g_4.pth', 'net_g_5.pth', 'net_g_latest.pth']
    assert states == ['2.state', '4.state', '5.state']
    log = text(folder)
    assert [int(each) for each in re.findall(r'iter: +(\d+), lr', log)] == [1, 2, 3, 4, 5]
    assert len(re.findall('Validation V', log)) == 3
    assert '@ 6 iter' not in log  # stock counts one too far


def test_losses_against_ground_truth_are_checked_before_the_log_is_opened_and_are_in_it(run):
    folder = run(train={**options(Path())['train'], 'fft_opt': {'type': 'FFTLoss'}, 'ldl_opt': L1})
    assert re.findall(r'l_fft: (\S+) l_ldl: (\S+)', text(folder))


def test_auto_resume_without_a_state_moves_nothing(run, tmp_path):
    folder = tmp_path / 'experiments' / 'toy'
    folder.mkdir(parents=True)
    (folder / 'notes.txt').write_text('mine', encoding='utf-8')
    run('--auto_resume')
    assert (folder / 'notes.txt').read_text(encoding='utf-8') == 'mine'
    assert [path.name for path in (tmp_path / 'experiments').iterdir()] == ['toy']
    run()  # without it, the older run is archived, as stock does
    assert len(list((tmp_path / 'experiments').iterdir())) == 2


def test_runs_lie_where_the_options_say(run, tmp_path):
    """As in BasicSR's master: the folder of all runs, in which each has its own."""
    path = {'experiments_root': str(tmp_path / 'elsewhere'), 'results_root': str(tmp_path / 'tests')}
    run(path=path)
    folder = tmp_path / 'elsewhere' / 'toy'
    assert names(folder)[1] == ['2.state', '4.state', '6.state']
    assert not (tmp_path / 'experiments').exists()
    assert not (tmp_path / 'tests').exists()
    (folder / 'training_states' / '6.state').unlink()
    run('--auto_resume', path=path)
    assert 'Resuming training from epoch: 1, iter: 4.' in text(folder)
    assert (folder / 'training_states' / '6.state').is_file()


def test_stock_would_archive(tmp_path, monkeypatch):
    folder = tmp_path / 'experiments' / 'toy'
    folder.mkdir(parents=True)
    opt = {'is_train': True, 'path': {'experiments_root': str(folder)}}
    basicsr.train.make_exp_dirs(opt)
    assert len(list(folder.parent.iterdir())) == 2


@pytest.mark.parametrize('number', [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_every_process_saves_and_says_how_to_go_on(run, datasets, monkeypatch, number):
    """As Ctrl-C, `pkill`, systemd and Slurm send it: to the loader's worker too, which must not end by itself."""
    train = {**options(datasets)['datasets']['train'], 'num_worker_per_gpu': 1}
    whole = run()
    log = re.findall(r'l_pix: \S+', text(whole))
    whole.rename(whole.with_name('whole'))

    def signalled(self, current_iter, stock=DUKDModel.optimize_parameters):
        stock(self, current_iter)
        if current_iter == 3:
            workers = [process.pid for process in multiprocessing.active_children()]
            assert workers
            kill = f'import os; [os.kill(each, {int(number)}) for each in {[*workers, os.getpid()]}]'
            subprocess.run([sys.executable, '-c', kill], check=True)

    with monkeypatch.context() as patch:
        patch.setattr(DUKDModel, 'optimize_parameters', signalled)
        with pytest.raises(RunStopped, match=rf'stopped by {number.name} after iteration 3, .*toy.yml --auto_resume'):
            run(datasets={'train': train})
    folder = run('--auto_resume', datasets={'train': train})
    assert signal.getsignal(number) is not None
    networks, found = (torch.load(folder / file, weights_only=True) for file in FILES)
    expected_networks, expected = (torch.load(whole.with_name('whole') / file, weights_only=True) for file in FILES)
    torch.testing.assert_close(networks, expected_networks, rtol=0, atol=0)
    torch.testing.assert_close(found.pop('optimizers'), expected.pop('optimizers'), rtol=0, atol=0)
    del found['files'], expected['files']  # pickle writes equal texts in more than one way
    assert found == expected
    assert re.findall(r'l_pix: \S+', text(folder)) == log


def test_a_signal_in_a_validation_does_not_wait_for_its_end(run, monkeypatch):
    reached = []

    def slow(self, *rest, stock=SRModel.nondist_validation):
        os.kill(os.getpid(), signal.SIGTERM)
        reached.append('the end')

    monkeypatch.setattr(SRModel, 'nondist_validation', slow)
    with pytest.raises(RunStopped, match='after iteration 2'):
        run()
    assert reached == []


def test_the_last_checkpoints_and_the_best_are_kept(run, monkeypatch):
    """The best PSNR is made to be at iteration 3, where no checkpoint is due."""

    def ranked(self, loader, current_iter, *rest):
        self._initialize_best_metric_results('V')
        self._update_best_metric_result('V', 'psnr', {3: 40.0}.get(current_iter, float(current_iter)), current_iter)

    monkeypatch.setattr(SRModel, 'nondist_validation', ranked)
    base = options(Path())
    folder = run(train={**base['train'], 'total_iter': 9, 'keep_checkpoints': 2}, val={**base['val'], 'val_freq': 1})
    models, states = names(folder)
    assert states == ['3.state', '8.state', '9.state']
    assert models == ['net_g_3.pth', 'net_g_8.pth', 'net_g_9.pth', 'net_g_latest.pth']


def test_a_validation_that_a_kill_has_cost_is_made_up_for(run):
    """States are saved before the validation of their iteration."""
    folder = run()
    for path in folder.glob('*.log'):
        path.unlink()
    for iteration in (6, 'latest'):
        (folder / 'models' / f'net_g_{iteration}.pth').unlink()
    (folder / 'training_states' / '6.state').unlink()
    run('--auto_resume')
    assert '@ 4 iter' in text(folder)
    assert len(re.findall('Validation V', text(folder))) == 2


def test_a_validation_that_is_never_due_is_made_at_the_end(run):
    val = {**options(Path())['val'], 'val_freq': 100}
    assert len(re.findall('Validation V', text(run(val=val)))) == 1


def test_a_teacher_need_not_be_measured(run):
    assert 'Teacher on V (iteration 0)' in text(run())
    train = options(Path())['train']
    assert 'Teacher on V' not in text(run(train={**train, 'teacher_opt': {'val_images': 0}}))


def test_options_are_checked_in_a_train_py_of_ones_own_too(run, tmp_path):
    with pytest.raises(UserError, match=r'toy\.yml: train\.ema_decai: unknown key\. Did you mean "ema_decay"\?'):
        run(train={**options(Path())['train'], 'ema_decai': 0.9})
    assert not (tmp_path / 'experiments').exists()


def test_a_set_that_fills_no_batch_is_an_error_not_a_finished_run(run, datasets):
    train = {**options(datasets)['datasets']['train'], 'batch_size_per_gpu': 13}
    with pytest.raises(UserError, match=r'12 images times .* do not fill a batch of 13'):
        run(datasets={'train': train})


def test_a_seed_that_was_drawn_is_the_resumed_runs_too(run, monkeypatch):
    folder = run(manual_seed=None)
    seed = torch.load(folder / 'training_states' / '2.state', weights_only=True)['manual_seed']
    for iteration in (4, 6):
        (folder / 'training_states' / f'{iteration}.state').unlink()
    run('--auto_resume', manual_seed=None)
    assert torch.load(folder / 'training_states' / '6.state', weights_only=True)['manual_seed'] == seed


def test_the_stock_loop_starts_the_epoch_anew():
    """The defect, in stock's own loop."""
    import inspect

    assert 'train_sampler.set_epoch(epoch)' in inspect.getsource(compat.stock(compat.train_pipeline))
