"""The guard before every step: what is skipped, what is clipped, when it stops, and what it costs the host."""

import pytest
import torch

from dukd_basicsr.errors import RunError
from dukd_basicsr.training.step_guard import StepGuard
from tests.toys import batch, train_options


@pytest.fixture
def warnings():
    return []


def setup(warnings, limit=3, max_norm=None):
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.full((3,), 2.0))]
    optimizer = torch.optim.Adam(parameters, 0.1, fused=True)
    guard = StepGuard(limit, max_norm, warnings.append)
    guard.attach(optimizer)
    return parameters, optimizer, guard


def step(optimizer, parameters, value=1.0):
    for parameter in parameters:
        parameter.grad = torch.full_like(parameter, value)
    optimizer.step()


@pytest.mark.parametrize('value', [float('nan'), float('inf'), float('-inf')])
def test_a_step_without_finite_gradient_changes_nothing(warnings, tmp_path, value):
    parameters, optimizer, guard = setup(warnings)
    step(optimizer, parameters)
    guard.after_step(1, {}, {}, tmp_path)
    before = [parameter.detach().clone() for parameter in parameters]
    state = {key: each.clone() for key, each in optimizer.state[parameters[0]].items()}
    parameters[1].grad = torch.tensor([1.0, value, 1.0])  # one number of one parameter
    parameters[0].grad = torch.ones(2)
    optimizer.step()
    guard.after_step(2, {}, {'l_pix': torch.tensor(1.0)}, tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(before, parameters, strict=True))
    assert all(torch.equal(each, optimizer.state[parameters[0]][key]) for key, each in state.items())
    assert warnings == ['Iteration 2: the gradient is not finite; the step is skipped (1 so far).']
    step(optimizer, parameters)
    guard.after_step(3, {}, {}, tmp_path)
    assert not torch.equal(before[1], parameters[1])
    assert (guard.skipped, guard.in_a_row) == (1, 0)


@pytest.mark.parametrize('value', [float('nan'), float('inf')])
@pytest.mark.parametrize('spoiled', [0, 1])
def test_steps_that_belong_together_are_all_made_or_none(warnings, tmp_path, value, spoiled):
    parameters = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.full((3,), 2.0))]
    optimizers = [torch.optim.Adam([parameters[0]], 0.1, fused=True), torch.optim.RMSprop([parameters[1]], 0.1)]
    guard = StepGuard(3, 0.5, warnings.append)
    for optimizer in optimizers:
        guard.attach(optimizer)
    before = [parameter.detach().clone() for parameter in parameters]
    for iteration, bad in ((1, True), (2, False)):
        for parameter in parameters:
            parameter.grad = torch.full_like(parameter, 3.0)
        parameters[spoiled].grad[1] = value if bad else 3.0
        guard.watch(torch.ones(()), together=optimizers)
        for optimizer in optimizers:
            optimizer.step()
        guard.after_step(iteration, {}, {}, tmp_path)
        moved = [not torch.equal(a, b) for a, b in zip(before, parameters, strict=True)]
        assert moved == [not bad, not bad]
    assert all(parameter.grad.norm() == pytest.approx(0.5, rel=1e-4) for parameter in parameters)  # each its own
    assert guard.skipped == 1
    parameters[spoiled].grad = torch.full_like(parameters[spoiled], value)  # a verdict is of one step
    parameters[1 - spoiled].grad = torch.ones_like(parameters[1 - spoiled])
    before = [parameter.detach().clone() for parameter in parameters]
    for optimizer in optimizers:
        optimizer.step()
    assert torch.equal(before[spoiled], parameters[spoiled])
    assert not torch.equal(before[1 - spoiled], parameters[1 - spoiled])


def test_an_infinite_loss_with_a_finite_gradient_is_skipped(warnings, tmp_path):
    """L1 against a target that is infinite: its gradient is a sign."""
    parameters, optimizer, guard = setup(warnings)
    guard.watch(torch.tensor(float('inf')))
    step(optimizer, parameters)
    terms = {'l_pix': torch.tensor(float('inf')), 'l_kd': torch.tensor(0.5)}
    guard.after_step(1, {}, terms, tmp_path)
    assert torch.equal(parameters[0], torch.ones(2))
    assert warnings == ['Iteration 1: l_pix not finite; the step is skipped (1 so far).']
    step(optimizer, parameters)  # the loss of one step says nothing of the next
    assert not torch.equal(parameters[0], torch.ones(2))


def test_too_many_in_a_row_end_the_run_with_the_batch(warnings, tmp_path):
    parameters, optimizer, guard = setup(warnings, limit=3)
    nan, fine = float('nan'), 1.0
    for iteration, value in enumerate([nan, nan, fine, nan, nan], 1):
        step(optimizer, parameters, value)
        guard.after_step(iteration, {}, {}, tmp_path)
    step(optimizer, parameters, nan)
    data = {**batch(), 'lq_path': ['a', 'b']}
    with pytest.raises(
        RunError, match=r'3 steps in a row .* iteration 6: l_kd not finite; .*nonfinite_6\.pth'
    ) as error:
        guard.after_step(6, data, {'l_pix': torch.tensor(1.0), 'l_kd': torch.tensor(nan)}, tmp_path)
    assert error.value.exit_code == 1
    saved = torch.load(tmp_path / 'nonfinite_6.pth', weights_only=True)
    assert saved['iter'] == 6
    assert torch.equal(saved['batch']['lq'], data['lq'])
    assert saved['batch']['lq_path'] == ['a', 'b']
    assert saved['terms']['l_kd'].isnan()


def test_the_verdict_is_the_same_on_every_device_and_a_step_later_on_cuda(warnings, tmp_path, device):
    parameters = [torch.nn.Parameter(torch.ones(size, device=device)) for size in (2, 3)]
    optimizer = torch.optim.Adam(parameters, 0.1, fused=True)
    guard = StepGuard(9, 1.0, warnings.append)
    guard.attach(optimizer)
    kept = []
    for iteration, value in enumerate([1.0, float('nan'), float('inf'), 2.0, 1.0], 1):
        if iteration == 4:
            guard.watch(torch.full((), float('inf'), device=device))
        step(optimizer, parameters, value)
        guard.after_step(iteration, {}, {}, tmp_path)
        kept.append(parameters[1].detach().clone().cpu())
    said = 'Iteration {}: the gradient is not finite; the step is skipped ({} so far).'
    assert warnings == [said.format(place, place - 1) for place in (2, 3, 4)]
    assert all(torch.equal(kept[0], each) for each in kept[1:4])
    assert not torch.equal(kept[3], kept[4])


def test_clipping_equals_torchs_own(warnings):
    parameters, optimizer, _ = setup(warnings, max_norm=0.5)
    step(optimizer, parameters, 3.0)
    found = [parameter.grad for parameter in parameters]
    expected = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    for parameter in expected:
        parameter.grad = torch.full_like(parameter, 3.0)
    torch.nn.utils.clip_grad_norm_(expected, 0.5)
    torch.testing.assert_close(found, [parameter.grad for parameter in expected])
    assert torch.stack([each.norm() for each in found]).norm() == pytest.approx(0.5, rel=1e-4)


def test_with_finite_steps_the_fused_adam_is_adam(warnings):
    parameters, optimizer, _ = setup(warnings)
    expected = [torch.nn.Parameter(parameter.detach().clone()) for parameter in parameters]
    plain = torch.optim.Adam(expected, 0.1, foreach=False)
    for value in (1.0, -2.0, 0.5):
        step(optimizer, parameters, value)
        step(plain, expected, value)
    torch.testing.assert_close([*parameters], [*expected])


@pytest.mark.parametrize('model_type', ['SRModel', 'DistillModel', 'DUKDModel'])
@pytest.mark.usefixtures('device')
def test_a_model_skips_a_bad_batch_in_student_and_ema(tmp_path, model_type):
    from basicsr.models import build_model

    opt = train_options(tmp_path, model_type, nonfinite_limit=2)
    if model_type == 'SRModel':
        del opt['train']['kd_opt']
    model = build_model(opt)
    before = {name: value.clone() for name, value in model.net_g.state_dict().items()}
    ema = {name: value.clone() for name, value in model.net_g_ema.state_dict().items()}
    bad = batch()
    bad['lq'][0, 0, 0, 0] = float('nan')
    model.feed_data(bad)
    model.optimize_parameters(1)
    model.guard.after_step(1, bad, model.log_dict, tmp_path)
    assert model.guard.skipped == 1
    torch.testing.assert_close(dict(model.net_g.state_dict()), before, rtol=0, atol=0)
    torch.testing.assert_close(dict(model.net_g_ema.state_dict()), ema, rtol=0, atol=0)
    model.feed_data(batch())
    model.optimize_parameters(2)
    assert not torch.equal(model.net_g.state_dict()['conv_first.weight'], before['conv_first.weight'])
    assert not torch.equal(model.net_g_ema.state_dict()['conv_first.weight'], ema['conv_first.weight'])
