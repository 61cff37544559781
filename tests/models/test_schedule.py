"""When upcycling is on: outside its span a step is one of logits distillation, inside it the terms grow evenly."""

import copy

import pytest
import torch
from basicsr.models import build_model
from hypothesis import given
from hypothesis import strategies as st

from dukd_basicsr.options.plan import progress
from dukd_basicsr.options.schema.train import Schedule
from tests.toys import L1, STUDENT, batch, save_weights, train_options

TERMS = ['l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix']


def test_without_an_end_all_of_it_begins_at_once():
    found = [progress(Schedule(start=3), iteration) for iteration in range(1, 7)]
    assert found == [0, 0, 0, 1, 1, 1]
    assert found == [progress(Schedule(start=3, end=3), iteration) for iteration in range(1, 7)]
    assert [progress(None, iteration) for iteration in (1, 10**6)] == [1, 1]
    assert progress(Schedule(start=0), 1) == 1


def test_it_grows_evenly_from_start_to_end():
    found = [progress(Schedule(start=2, end=6), iteration) for iteration in range(1, 9)]
    assert found == [0, 0, 0.25, 0.5, 0.75, 1, 1, 1]


@given(st.integers(0, 100), st.integers(0, 100), st.integers(1, 300))
def test_it_never_falls_and_is_off_until_start_and_full_from_end(start, length, iteration):
    schedule = Schedule(start=start, end=start + length)
    now, then = progress(schedule, iteration), progress(schedule, iteration + 1)
    assert 0 <= now <= then <= 1
    assert (now == 0) == (iteration <= start)
    assert (now == 1) == (iteration >= max(start + length, start + 1))


def counted(model):
    """The calls of both networks, as (network, samples, side)."""
    calls = []
    for name, net in (('teacher', model.net_t), ('student', model.net_g)):
        net.register_forward_hook(
            lambda net, x, y, name=name: calls.append((name, x[0].shape[0], x[0].shape[-1])),
        )
    return calls


@pytest.mark.parametrize('in_batch', [None, 0.5])
@pytest.mark.usefixtures('device')
def test_before_its_start_a_step_is_one_of_logits_distillation(tmp_path, in_batch):
    """The very same numbers: label consistency of the plain pair is a part of dukd_opt and waits too."""
    dukd = {**L1, 'schedule': {'start': 2}, 'in_batch': in_batch, 'consistency': {'views': ['lq', 'zoom_in']}}
    model = build_model(train_options(tmp_path, dukd_opt=dukd))
    plain = build_model(train_options(tmp_path, 'DistillModel'))
    plain.net_g.load_state_dict(model.net_g.state_dict())
    calls = counted(model)
    for iteration in (1, 2, 3):
        for each in (model, plain):
            each.feed_data(batch(samples=8, seed=iteration))
            each.optimize_parameters(iteration)
        log = model.get_current_log()
        assert list(log) == TERMS
        if iteration < 3:
            assert {name: log[name] for name in TERMS[:2]} == plain.get_current_log()
            assert [log[name] for name in TERMS[2:]] == [0, 0, 0]
            torch.testing.assert_close(model.net_g.state_dict(), plain.net_g.state_dict(), rtol=0, atol=0)
            assert calls == iteration * [('teacher', 8, 8), ('student', 8, 8)]
    assert min(log[name] for name in TERMS) > 0
    assert calls[4:] == [(net, *call) for net in ('teacher', 'student')
                         for call in ([(16, 8), (8, 4)] if in_batch is None else [(6, 8), (2, 4)])]  # fmt: skip


@pytest.mark.usefixtures('device')
def test_terms_grow_with_the_iteration(tmp_path):
    """An unscheduled model with the same weights, on the same draws, times the progress."""
    opt = train_options(tmp_path)
    scheduled = copy.deepcopy(opt)
    scheduled['train']['dukd_opt'] = {**L1, 'schedule': {'start': 4, 'end': 8}}
    model, full = build_model(scheduled), build_model(opt)
    for iteration, factor in ((5, 0.25), (6, 0.5), (8, 1)):
        full.net_g.load_state_dict(model.net_g.state_dict())
        for each in (model, full):
            each.feed_data(batch(seed=iteration))
            each.optimize_parameters(iteration)
        found, whole = model.get_current_log(), full.get_current_log()
        for name in TERMS:
            assert found[name] == pytest.approx(whole[name] * (factor if name in TERMS[2:] else 1), rel=1e-6)


@pytest.mark.parametrize('in_batch', [None, 0.5])
@pytest.mark.usefixtures('real_device')
def test_a_run_that_is_stopped_in_the_span_goes_on_exactly(tmp_path, in_batch):
    opt = train_options(tmp_path, dukd_opt={**L1, 'schedule': {'start': 1, 'end': 5}, 'in_batch': in_batch})
    opt['path']['pretrain_network_g'] = str(tmp_path / 'student.pth')
    save_weights(tmp_path / 'student.pth', STUDENT)

    def steps(model, iterations):
        for iteration in iterations:
            model.feed_data(batch(samples=8, seed=iteration))
            model.optimize_parameters(iteration)
        return model

    alone = steps(build_model(copy.deepcopy(opt)), range(1, 7))
    steps(build_model(copy.deepcopy(opt)), range(1, 4)).save(0, 3)
    opt['path']['pretrain_network_g'] = str(tmp_path / 'net_g_3.pth')
    resumed = build_model(opt)
    resumed.resume_training(torch.load(tmp_path / '3.state', weights_only=True))
    steps(resumed, range(4, 7))
    for name in ('net_g', 'net_g_ema'):
        found, expected = (dict(getattr(model, name).state_dict()) for model in (resumed, alone))
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


@pytest.mark.usefixtures('device')
def test_nothing_of_it_is_kept_between_steps(tmp_path):
    """A model that is built anew and asked for an iteration does what the first would have done."""
    opt = train_options(tmp_path, dukd_opt={**L1, 'schedule': {'start': 1, 'end': 9}, 'in_batch': 0.5})
    first = build_model(copy.deepcopy(opt))
    for iteration in range(1, 6):
        first.feed_data(batch(samples=8, seed=iteration))
        first.optimize_parameters(iteration)
    second = build_model(copy.deepcopy(opt))
    for model in (first, second):
        model.feed_data(batch(samples=8, seed=6))
    one, other = first.build_views(6), second.build_views(6)
    assert one.keys() == other.keys() == {'lq', 'zoom_in', 'zoom_out'}
    assert all(torch.equal(one[name].transform_input(), other[name].transform_input()) for name in one)
    assert first.progress == second.progress == 0.625
