"""What a run saves to go on: first the stock failure, then ours."""

import logging

import basicsr.models.base_model
import numpy as np
import pytest
import torch
from basicsr.models import build_model

from dukd_basicsr import compat
from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.training import checkpoints as generations
from tests.toys import batch, train_options, trained_model


@pytest.fixture
def model(tmp_path):
    return trained_model(tmp_path)


def test_a_failed_save_is_not_ignored(model, tmp_path, monkeypatch, caplog):
    model.opt['path']['models'] = str(tmp_path / 'gone')
    monkeypatch.setattr(basicsr.models.base_model.time, 'sleep', lambda _: None)
    monkeypatch.setattr(basicsr.models.base_model, 'get_root_logger', lambda: logging.getLogger('stock'))
    compat.stock(compat.save_network)(model, model.net_g, 'net_g', 5)
    assert 'Just ignore it' in caplog.text
    with pytest.raises(RunError, match=r'net_g_5\.pth cannot be written \(No such file or directory\)') as error:
        model.save_network(model.net_g, 'net_g', 5)
    assert error.value.exit_code == 1


def test_a_generation_names_its_files_and_holds_the_best_metrics(model, tmp_path):
    model.best_metric_results = {'Set5': {'psnr': {'better': 'higher', 'val': np.float64(31.5), 'iter': 4}}}
    model.position = {'samples': 12}
    model.save(2, 7)
    found = generations.read(tmp_path / '7.state', tmp_path)
    assert found.state.keys() >= {'epoch', 'iter', 'optimizers', 'schedulers'}  # as stock reads them
    assert list(found.state['files']) == ['net_g_7.pth']
    assert found.state['samples'] == 12
    fresh = build_model(train_options(tmp_path))
    fresh.resume_training(found.state)
    assert fresh.best_metric_results == model.best_metric_results
    assert type(fresh.best_metric_results['Set5']['psnr']['val']) is float
    torch.testing.assert_close(
        fresh.optimizer_g.state_dict()['state'], model.optimizer_g.state_dict()['state'], rtol=0, atol=0
    )


def test_only_rank_0_writes(model, tmp_path):
    model.opt['rank'] = 1
    model.save(2, 7)
    assert not (tmp_path / '7.state').exists()
    assert not (tmp_path / 'net_g_7.pth').exists()


def test_a_state_of_stock_is_resumed_with_the_fused_optimizer(model, tmp_path):
    plain = torch.optim.Adam(model.net_g.parameters(), 1e-3, betas=(0.9, 0.99))
    for parameter in model.net_g.parameters():
        parameter.grad = torch.ones_like(parameter)
    plain.step()
    state = {'epoch': 0, 'iter': 1, 'optimizers': [plain.state_dict()],
             'schedulers': [each.state_dict() for each in model.schedulers]}  # fmt: skip
    model.resume_training(state)
    assert model.optimizer_g.param_groups[0]['fused'] is True
    model.feed_data(batch())
    model.optimize_parameters(2)
    assert int(next(iter(model.optimizer_g.state.values()))['step']) == 2


def test_a_state_of_another_model_is_a_sentence(model):
    model.save(0, 3)
    state = generations.read(generations.Path(model.opt['path']['training_states'], '3.state'),
                             generations.Path(model.opt['path']['models'])).state  # fmt: skip
    with pytest.raises(AssertionError):
        compat.stock(compat.resume_training)(model, {**state, 'optimizers': []})
    with pytest.raises(UserError, match='has 0 optimizers, but this model has 1'):
        model.resume_training({**state, 'optimizers': []})
    state['optimizers'][0]['param_groups'][0]['params'].pop()
    with pytest.raises(UserError, match='does not fit the student'):
        model.resume_training(state)


@pytest.mark.parametrize('decay', [0, 0.5, 0.999])
def test_ema_equals_stock(model, decay):
    theirs = [parameter.detach().clone() for parameter in model.net_g_ema.parameters()]
    model.model_ema(decay)
    ours = [parameter.detach().clone() for parameter in model.net_g_ema.parameters()]
    for parameter, value in zip(model.net_g_ema.parameters(), theirs, strict=True):
        parameter.data.copy_(value)
    compat.stock(compat.model_ema)(model, decay)
    expected = [parameter.detach() for parameter in model.net_g_ema.parameters()]
    torch.testing.assert_close(ours, expected, rtol=0 if decay == 0 else 1e-6, atol=0 if decay == 0 else 1e-8)


def test_another_optimizer_is_refused(model):
    with pytest.raises(NotImplementedError, match='Lion is not supported: write one of Adam'):
        model.get_optimizer('Lion', [], 0.1)
