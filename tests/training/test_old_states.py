"""Training states as they were written before states had one collector (July 2026): read as they were then."""

from __future__ import annotations

import hashlib

import pytest
import torch
from basicsr.models import build_model

from dukd_basicsr.training import checkpoints
from tests.toys import batch, train_options

BEST = {'V': {'psnr': {'better': 'higher', 'val': 31.5, 'iter': 4}}}


def write_old_generation(folder, model, **more):
    """Every key in the order and under the name that it had, by torch alone."""
    nets = {'params': model.net_g.state_dict(), 'params_ema': model.net_g_ema.state_dict()}
    torch.save(nets, folder / 'net_g_6.pth')
    digest = hashlib.sha256((folder / 'net_g_6.pth').read_bytes()).hexdigest()
    state = {
        'epoch': 1,
        'iter': 6,
        'optimizers': [optimizer.state_dict() for optimizer in model.optimizers],
        'schedulers': [scheduler.state_dict() for scheduler in model.schedulers],
        'best_metric_results': BEST,
        'files': {'net_g_6.pth': digest},
        'samples': 12, 'images': 40, 'manual_seed': 10, **more,
        'skipped': 3, 'in_a_row': 1, 'scaler': {},
    }  # fmt: skip
    torch.save(state, folder / '6.state')


def train(folder, **feature_opt):
    opt = train_options(folder, **({'feature_opt': feature_opt} if feature_opt else {}))
    model = build_model(opt)
    for iteration in (1, 2):
        model.feed_data(batch(seed=iteration))
        model.optimize_parameters(iteration)
    return model


FITNET = {'type': 'FitNetLoss', 'loss_weight': 1.0}


@pytest.mark.parametrize('features', [{}, {'fitnet': FITNET}], ids=['plain', 'adapters'])
def test_a_state_of_before_is_gone_on_from(tmp_path, features):
    old = train(tmp_path, **features)
    adapters = {name: value.clone() for name, value in old.features.copy_trained().items()}
    assert bool(adapters) == bool(features)
    write_old_generation(tmp_path, old, **({'adapters': adapters} if adapters else {}))

    found, passed = checkpoints.find_newest(tmp_path, tmp_path)
    assert passed == []
    new = build_model(train_options(tmp_path, **({'feature_opt': features} if features else {})))
    new.resume_training(found.state)
    assert new.best_metric_results == BEST
    assert (new.guard.skipped, new.guard.in_a_row) == (3, 1)
    states = [model.optimizer_g.state_dict()['state'] for model in (new, old)]
    torch.testing.assert_close(*states, rtol=0, atol=0)
    torch.testing.assert_close(new.features.copy_trained(), adapters, rtol=0, atol=0)

    # And what is written now has the same keys.
    new.position = {key: found.state[key] for key in ('samples', 'images', 'manual_seed')}
    new.save(1, 7)
    again = checkpoints.read(tmp_path / '7.state', tmp_path).state
    assert again.keys() == found.state.keys()
    assert again['best_metric_results'] == BEST
