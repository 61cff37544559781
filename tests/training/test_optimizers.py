"""Every optimizer of BasicSR's master: torch's own numbers, and a step that is not finite leaves no trace."""

from __future__ import annotations

import copy

import pytest
import torch
from basicsr.models import build_model

from dukd_basicsr import options
from dukd_basicsr.errors import RunError
from dukd_basicsr.training.optimizers import FUSED, OPTIMIZERS, build_optimizer
from dukd_basicsr.training.step_guard import StepGuard
from tests.toys import REPOSITORY, batch, train_options

CASES = {
    **{name: {} for name in OPTIMIZERS},
    'Adam amsgrad': {'amsgrad': True, 'betas': (0.9, 0.99), 'weight_decay': 0.1},
    'AdamW decay': {'weight_decay': 0.3},
    'SGD momentum': {'momentum': 0.9, 'weight_decay': 0.1},
    'SGD nesterov': {'momentum': 0.9, 'nesterov': True},
    'SGD damped': {'momentum': 0.9, 'dampening': 0.5},
    'RMSprop momentum': {'momentum': 0.9, 'centered': True},
}
NAN = float('nan')


def parameters():
    return [torch.nn.Parameter(torch.tensor([1.0, -2.0])), torch.nn.Parameter(torch.full((3,), 0.5))]


def step(optimizer, over, value):
    for place, parameter in enumerate(over):
        parameter.grad = torch.full_like(parameter, value * (place + 1))
    optimizer.step()


@pytest.mark.parametrize('case', CASES)
@pytest.mark.parametrize('values', [[1.0, -2.0, 0.5, 0.25], [NAN, 1.0, NAN, -2.0, 0.5]], ids=['finite', 'skipped'])
def test_it_is_torchs_and_a_skipped_step_never_was(case, values, tmp_path):
    name = case.split()[0]
    guarded, plain = parameters(), parameters()
    optimizer = build_optimizer(name, guarded, 0.1, **CASES[case])
    guard = StepGuard(3, None, lambda _: None)
    guard.attach(optimizer)
    for iteration, value in enumerate(values, 1):
        step(optimizer, guarded, value)
        guard.after_step(iteration, {}, {}, tmp_path)
    expected = getattr(torch.optim, name)(plain, lr=0.1, foreach=False, **CASES[case])
    for value in values:
        if value == value:
            step(expected, plain, value)
    torch.testing.assert_close(guarded, plain, rtol=1e-6, atol=1e-7)
    assert guard.skipped == sum(value != value for value in values)


@pytest.mark.parametrize('name', ['SGD', 'RMSprop'])
def test_too_many_in_a_row_end_the_run(name, tmp_path):
    over = parameters()
    optimizer = build_optimizer(name, over, 0.1)
    guard = StepGuard(2, None, lambda _: None)
    guard.attach(optimizer)
    step(optimizer, over, NAN)
    guard.after_step(1, {}, {}, tmp_path)
    step(optimizer, over, NAN)
    with pytest.raises(RunError, match='2 steps in a row without a finite loss'):
        guard.after_step(2, {}, {}, tmp_path)


@pytest.mark.parametrize('name', OPTIMIZERS)
@pytest.mark.filterwarnings('error')
def test_a_model_trains_with_it_and_goes_on_as_if_it_had_not_stopped(tmp_path, name):
    arguments = {'momentum': 0.9} if name in ('SGD', 'RMSprop') else {}
    opt = train_options(tmp_path, optim_g={'type': name, 'lr': 1e-3, **arguments})
    through, first = build_model(copy.deepcopy(opt)), build_model(copy.deepcopy(opt))
    first.net_g.load_state_dict(through.net_g.state_dict())
    first.net_g_ema.load_state_dict(through.net_g_ema.state_dict())

    def train(model, iterations):
        for iteration in iterations:
            model.update_learning_rate(iteration)
            model.feed_data(batch(seed=iteration))
            model.optimize_parameters(iteration)

    train(through, range(1, 5))
    train(first, range(1, 3))
    first.save(0, 2)
    opt['path'].update(pretrain_network_g=str(tmp_path / 'net_g_2.pth'), resume_state=str(tmp_path / '2.state'))
    again = build_model(copy.deepcopy(opt))
    again.resume_training(torch.load(tmp_path / '2.state', weights_only=True))
    train(again, range(3, 5))
    torch.testing.assert_close(dict(again.net_g.state_dict()), dict(through.net_g.state_dict()), rtol=0, atol=0)
    fused = again.optimizer_g.param_groups[0].get('fused')
    assert bool(fused) == (name in FUSED)


def test_a_state_without_momentum_starts_it_from_zero(tmp_path):
    """As one that was saved before the first step."""
    model = build_model(train_options(tmp_path, optim_g={'type': 'SGD', 'lr': 1e-3, 'momentum': 0.9}))
    state = {'epoch': 0, 'iter': 0, 'optimizers': [copy.deepcopy(model.optimizer_g.state_dict())],
             'schedulers': [each.state_dict() for each in model.schedulers]}  # fmt: skip
    state['optimizers'][0]['state'] = {}
    model.resume_training(state)
    buffers = [each['momentum_buffer'] for each in model.optimizer_g.state.values()]
    assert len(buffers) == len(list(model.net_g.parameters()))
    assert not any(buffer.any() for buffer in buffers)


def test_another_name_is_refused_with_the_list():
    with pytest.raises(NotImplementedError, match='optimizer Lion is not supported: write one of Adam, AdamW, SGD'):
        build_optimizer('Lion', parameters(), 0.1)


DUKD = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')


@pytest.mark.parametrize(
    ('optimizer', 'said'),
    [
        ({'type': 'AdamW', 'lr': 1e-4, 'weight_decay': 1e-4, 'betas': [0.9, 0.9]}, None),
        ({'type': 'SGD', 'lr': 0.1, 'momentum': 0.9, 'nesterov': True}, None),
        ({'type': 'Adamax', 'lr': 0.1}, None),
        ({'type': 'ASGD', 'lr': 0.1, 't0': 1e5}, None),
        ({'type': 'RMSprop', 'lr': 0.1, 'centered': True}, None),
        ({'type': 'Rprop', 'lr': 0.1, 'etas': [0.5, 1.2], 'step_sizes': [1e-6, 1]}, None),
        ({'type': 'Rprop', 'lr': 0.1, 'etas': [1.5, 1.2]},
         'train.optim_g.etas: [1.5, 1.2] has no 1 between its numbers; write e.g. [0.5, 1.2].'),
        ({'type': 'Rprop', 'lr': 0.1, 'step_sizes': [1]},
         'train.optim_g.step_sizes: [1] has not two numbers; write e.g. [1.0e-6, 50].'),
        ({'type': 'SGD', 'lr': 0.1, 'nesterov': True},
         'train.optim_g.nesterov: it needs a momentum, and no dampening; write momentum: 0.9.'),
        ({'type': 'SGD', 'lr': 0.1, 'betas': [0.9, 0.99]},
         'train.optim_g.betas: unknown key. Allowed: dampening, lr, momentum, nesterov, type, weight_decay.'),
        ({'type': 'AdamX', 'lr': 0.1}, 'train.optim_g.type: "AdamX" is unknown. Did you mean "Adam"?'),
    ],
)  # fmt: skip
def test_what_the_options_say(optimizer, said):
    opt = copy.deepcopy(DUKD)
    opt['train']['optim_g'] = optimizer
    if said is None:
        assert options.check(opt, 'x.yml', True) == []
        build_optimizer(**{'name': optimizer['type'], 'parameters': parameters()},
                        **{name: value for name, value in optimizer.items() if name != 'type'})  # fmt: skip
        return
    with pytest.raises(options.OptionsError) as caught:
        options.check(opt, 'x.yml', True)
    assert list(caught.value.messages) == [f'x.yml: {said}']


@pytest.mark.parametrize('optimizer', [{'type': 'RMSprop', 'lr': 0.1}, {'type': 'SGD', 'lr': 0.1, 'dampening': 0.1}])
def test_fp16_needs_a_fused_one(optimizer):
    opt = copy.deepcopy(DUKD)
    opt['train'].update(optim_g=optimizer, amp='fp16')
    with pytest.raises(options.OptionsError, match=r'train\.amp: fp16 finds its scale by steps that are skipped'):
        options.check(opt, 'x.yml', True)
    opt['train']['amp'] = 'bf16'
    assert options.check(opt, 'x.yml', True) == []
