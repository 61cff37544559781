"""Cosine schedules by the names of BasicSR's descendants: torch's rates, and BasicSR's warm-up before them."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from basicsr.models import build_model
from basicsr.models.lr_scheduler import CosineAnnealingRestartLR

from dukd_basicsr import options
from dukd_basicsr.training.schedulers import COSINE, CosineAnnealing
from tests.toys import REPOSITORY, train_options


def rates(scheduler, steps):
    found = []
    for _ in range(steps):
        found.append(scheduler.optimizer.param_groups[0]['lr'])
        scheduler.optimizer.step()
        scheduler.step()
    return found


def optimizer(lr=0.2):
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr)


@pytest.mark.parametrize(('t_max', 'eta_min'), [(10, 0.0), (7, 0.05), (25, 1e-3)])
def test_the_rates_are_torchs_beyond_its_period_too(t_max, eta_min):
    ours = rates(CosineAnnealing(optimizer(), t_max, eta_min), 40)
    theirs = rates(torch.optim.lr_scheduler.CosineAnnealingLR(optimizer(), t_max, eta_min), 40)
    assert ours == pytest.approx(theirs, rel=1e-9, abs=1e-12)
    stock = rates(CosineAnnealingRestartLR(optimizer(), [t_max], eta_min=eta_min), t_max)
    assert ours[:t_max] == pytest.approx(stock, rel=1e-12)
    assert ours[t_max] == pytest.approx(eta_min)


@pytest.mark.parametrize('name', COSINE)
def test_a_model_has_it_and_its_warm_up_leaves_no_factor(tmp_path, name):
    opt = train_options(tmp_path, scheduler={'type': name, 'T_max': 10, 'eta_min': 1e-5})
    model = build_model(opt)
    found = []
    for iteration in range(1, 9):
        model.update_learning_rate(iteration, warmup_iter=4)
        found.append(model.get_current_learning_rate()[0])
    cosine = [1e-5 + (1e-3 - 1e-5) * (1 + math.cos(math.pi * t / 10)) / 2 for t in range(8)]
    assert found[4:] == pytest.approx(cosine[4:])
    assert found[:3] == pytest.approx([1e-3 * t / 4 for t in (1, 2, 3)])
    state = model.schedulers[0].state_dict()
    again = CosineAnnealing(optimizer(1e-3), 10, 1e-5)
    again.load_state_dict(copy.deepcopy(state))
    assert again.get_lr() == model.schedulers[0].get_lr()


def test_what_the_options_say():
    opt = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')
    opt['train']['scheduler'] = {'type': 'TrueCosineAnnealingLR', 'T_max': 250000, 'eta_min': 1e-7}
    assert options.check(opt, 'x.yml', True) == []
    opt['train']['scheduler']['T_max'] = 1000
    assert options.check(opt, 'x.yml', True) == [
        'x.yml: train.scheduler.T_max: 1000 is before total_iter: 250000; the rate rises again then.'
    ]
    del opt['train']['scheduler']['T_max']
    with pytest.raises(options.OptionsError, match=r'train\.scheduler\.T_max: missing key'):
        options.check(opt, 'x.yml', True)
