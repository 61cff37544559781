"""Upcycling in place of plain samples: what a batch is made of, and that on average the loss is the paper's sum."""

import copy
import itertools
import math
from pathlib import Path

import pytest
import torch
from basicsr.models import build_model
from hypothesis import assume, given
from hypothesis import strategies as st

from dukd_basicsr import options
from dukd_basicsr.errors import UserError
from dukd_basicsr.options.plan import make_up
from tests.toys import L1, REPOSITORY, IdentityUp, batch, train_options

TERMS = ['l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix']


@pytest.mark.parametrize(('samples', 'share', 'parts', 'multiple', 'expected'), [
    (8, 0.375, ['zoom_in'], 1, {'lq': 5, 'zoom_in': 3}),
    (8, 0.375, ['zoom_in', 'zoom_out'], 1, {'lq': 5, 'zoom_in': 2, 'zoom_out': 1}),
    (16, 0.375, ['zoom_in', 'zoom_out'], 2, {'lq': 10, 'zoom_in': 4, 'zoom_out': 2}),
    (8, 0.3, ['zoom_in'], 1, {'lq': 6, 'zoom_in': 2}),
    (8, 0.01, ['zoom_out'], 1, {'lq': 7, 'zoom_out': 1}),
    (8, 0.0, ['zoom_in', 'zoom_out'], 2, {'lq': 4, 'zoom_in': 2, 'zoom_out': 2}),
])  # fmt: skip
def test_what_a_batch_is_made_of(samples, share, parts, multiple, expected):
    assert make_up(samples, share, parts, multiple) == expected


@given(st.integers(1, 64), st.floats(0, 1), st.sampled_from([['zoom_in'], ['zoom_in', 'zoom_out']]), st.integers(1, 4))
def test_counts_sum_to_the_batch_and_come_near_the_share(units, share, parts, multiple):
    upcycled = max(len(parts), math.floor(share * units + 0.5))
    assume(upcycled < units)
    counts = make_up(units * multiple, share, parts, multiple)
    assert sum(counts.values()) == units * multiple
    assert all(count >= multiple and count % multiple == 0 for count in counts.values())
    of_parts = [counts[part] for part in parts]
    assert 0 <= of_parts[0] - of_parts[-1] <= multiple
    assert abs(sum(of_parts) / multiple - max(share * units, len(parts))) <= 0.5


@pytest.mark.parametrize(('samples', 'parts', 'multiple'), [(1, 1, 1), (2, 2, 1), (4, 1, 4), (3, 1, 2)])
def test_a_batch_that_is_too_small_is_a_sentence(samples, parts, multiple):
    with pytest.raises(UserError, match=f'in_batch: {samples} samples do not make {multiple} times a plain sample'):
        make_up(samples, 0.5, ['zoom_in', 'zoom_out'][:parts], multiple)


@pytest.mark.parametrize(('dukd', 'train', 'batch_size', 'said'), [
    ({'zoom_in': None, 'zoom_out': None, 'consistency': {'views': ['lq']}}, {}, 16,
     'in_batch: zoom_in and zoom_out are both ~, so there is nothing to upcycle; leave in_batch out.'),
    ({'in_batch': 1.0}, {}, 16, 'in_batch: 1.0 is too large; it must be below 1.'),
    ({'in_batch': 0.9}, {'accumulate': 4}, 16,
     'in_batch: 0.9 of batch_size_per_gpu: 16 in accumulate: 4 parts does not leave a plain sample and one for each of '
     'zoom_in and zoom_out; write 0.5 to 0.75.'),
    ({}, {'accumulate': 8}, 16,
     'in_batch: batch_size_per_gpu: 16 in accumulate: 8 parts has not enough samples for a plain one and one for each '
     'of zoom_in and zoom_out; write batch_size_per_gpu: 24 or more.'),
    ({}, {'feature_opt': {'rkd': {'type': 'RKDLoss'}}}, 4,
     'feature_opt.rkd: RKDLoss relates 3 samples or more, but in_batch: 0.5 leaves fewer plain ones together'),
    ({'type': 'L1Loss', 'reduction': 'sum'}, {}, 16, 'reduction: a sum grows with its samples'),
    ({}, {'kd_opt': {**L1, 'reduction': 'sum'}}, 16, r'train\.kd_opt\.reduction: a sum grows with its samples'),
])  # fmt: skip
def test_mistakes_are_sentences(dukd, train, batch_size, said):
    opt = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')
    opt['datasets']['train']['batch_size_per_gpu'] = batch_size
    opt['train'] |= train
    opt['train']['dukd_opt'] |= {'in_batch': 0.5, **dukd}
    with pytest.raises(options.OptionsError, match=said):
        options.check(opt, Path('x.yml'), True)


def test_what_is_checked_is_what_the_model_makes():
    """Every share that passes makes up a batch without a change, and the least and the most that are offered pass."""
    path = REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml'
    opt = options.load(path)
    passed = {}
    for accumulate in (1, 2):
        opt['train']['accumulate'] = accumulate
        for percent in range(1, 100):
            opt['train']['dukd_opt']['in_batch'] = percent / 100
            try:
                options.check(opt, path, True)
            except options.OptionsError:
                continue
            passed.setdefault(accumulate, []).append(percent)
            counts = make_up(16, percent / 100, ['zoom_in', 'zoom_out'], accumulate)
            assert abs(1 - counts['lq'] / 16 - percent / 100) <= accumulate / 32 + 1e-9
    assert {each: (found[0], found[-1]) for each, found in passed.items()} == {1: (10, 96), 2: (19, 93)}


def in_double(opt):
    model = build_model(opt)
    for net in (model.net_g, model.net_t, model.net_g_ema):
        net.double()
    return model


def gradient(model):
    return torch.cat([parameter.grad.flatten() for parameter in model.net_g.parameters()])


@pytest.mark.parametrize('crops', ['live', 'brought'])
@pytest.mark.usefixtures('real_device')
def test_over_all_draws_the_loss_and_its_gradient_are_the_papers_sum(tmp_path, monkeypatch, crops):
    """All 5! orders of a batch of 5 of which 2 make crops and 1 is zoomed out, each equally likely.

    The crops of a sample are kept as they are in every order, so that only the choice of samples varies. Live: the one
    crop that an HR patch of the LR patch's size has.
    """
    weights = {'zoom_in': {'weight': 0.5}, 'zoom_out': {'weight_gt': 5.0, 'weight_teacher': 2.0}}
    dukd = {**L1, 'loss_weight': 0.7, 'consistency': None, **weights}
    opt = train_options(tmp_path, dukd_opt=dukd, kd_opt={**L1, 'loss_weight': 0.3})
    data = batch(samples=5, size=4, dtype=torch.float64)
    if crops == 'brought':
        generator = torch.Generator().manual_seed(7)
        data['zoom_in'] = torch.rand(5, 1, 3, 4, 4, generator=generator, dtype=torch.float64)
    else:
        monkeypatch.setattr('dukd_basicsr.models.dukd_model.zoom_in', lambda gt, size, *_: gt[..., 1:5, 2:6])
    whole = in_double(copy.deepcopy(opt))
    opt['train']['dukd_opt'] = {**dukd, 'in_batch': 0.6}
    model = in_double(opt)
    start = copy.deepcopy(whole.net_g.state_dict())
    whole.feed_data(data)
    whole.optimize_parameters(1)

    logs, gradients = [], []
    for order in itertools.permutations(range(5)):
        model.net_g.load_state_dict(start)
        draw = torch.tensor(order).argsort().double().to(model.device)  # whose argsort is the order
        monkeypatch.setattr(torch, 'rand', lambda *_, draw=draw, **__: draw)
        model.feed_data(data)
        model.optimize_parameters(1)
        logs.append(torch.stack(list(model.log_dict.values())))
        gradients.append(gradient(model))
    assert len(torch.stack(logs)[:, 2].unique()) >= 10  # the orders differ
    assert list(model.log_dict) == list(whole.log_dict) == TERMS
    expected = torch.stack(list(whole.log_dict.values()))
    torch.testing.assert_close(torch.stack(logs).mean(0), expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(torch.stack(gradients).mean(0), gradient(whole), rtol=1e-9, atol=1e-15)


@pytest.mark.usefixtures('device')
def test_every_order_is_drawn_equally_often(tmp_path):
    """The samples that make crops, over 1,200 iterations: each of 10 pairs 120 times, within five deviations."""
    model = build_model(train_options(tmp_path, dukd_opt={**L1, 'zoom_out': None, 'in_batch': 0.4}))
    model.feed_data(batch(samples=5, size=4))
    found = {}
    for iteration in range(1200):
        model.generator.manual_seed(iteration)
        pair = tuple(sorted(model._draw_samples()['zoom_in'].cpu().tolist()))
        found[pair] = found.get(pair, 0) + 1
    assert len(found) == 10
    assert all(abs(count - 120) < 5 * 120**0.5 for count in found.values())


@pytest.mark.usefixtures('device')
def test_samples_are_used_once_and_keep_what_belongs_to_them(tmp_path):
    opt = train_options(tmp_path, dukd_opt={**L1, 'in_batch': 0.375, 'consistency': {'views': ['lq', 'zoom_in']}})
    model = build_model(opt)
    data = batch(samples=8)
    places = torch.arange(8.0).view(8, 1, 1, 1)
    data |= {name: places.expand(8, *shape).clone() for name, shape in
             {'lq_label': (3, 16, 16), 'zoom_in_label': (3, 16, 16), 'zoom_out_label': (3, 8, 8)}.items()}  # fmt: skip
    data |= {'zoom_in': torch.rand(8, 1, 3, 8, 8), 'zoom_out': torch.rand(8, 3, 4, 4)}
    data['zoom_in_label'] = data['zoom_in_label'][:, None]
    model.feed_data(data)
    views = model.build_views(3)
    found = {name: view.label[:, 0, 0, 0].long() for name, view in views.items()}
    assert {name: len(places) for name, places in found.items()} == {'lq': 5, 'zoom_in': 2, 'zoom_out': 1}
    assert sorted(torch.cat(list(found.values())).cpu().tolist()) == list(range(8))
    data = {name: value.to(model.device) for name, value in data.items()}
    assert torch.equal(views['lq'].lq, data['lq'][found['lq']])
    assert torch.equal(views['lq'].gt, data['gt'][found['lq']])
    assert torch.equal(views['zoom_in'].lq, data['zoom_in'][found['zoom_in'], 0])
    assert torch.equal(views['zoom_out'].lq, data['zoom_out'][found['zoom_out']])
    assert torch.equal(views['zoom_out'].gt, data['lq'][found['zoom_out']])
    assert [len(draw) for _, draw in views['lq'].transform.draws] == 4 * [5]
    assert [len(draw) for _, draw in views['zoom_in'].transform.draws] == 4 * [2]
    again = model.build_views(3)
    assert all(torch.equal(views[name].transform_input(), again[name].transform_input()) for name in views)
    assert not torch.equal(views['lq'].lq, model.build_views(4)['lq'].lq)


@pytest.mark.usefixtures('device')
def test_live_crops_are_of_the_drawn_samples_and_zoomed_out_patches_of_others(tmp_path):
    model = build_model(train_options(tmp_path, dukd_opt={**L1, 'in_batch': 0.5, 'consistency': None}))
    data = batch(samples=8)
    for name in data:  # constant images, by which a sample is known
        data[name] = (torch.arange(8.0) / 8).view(8, 1, 1, 1).expand_as(data[name]).clone()
    model.feed_data(data)
    views = model.build_views(1)
    found = torch.cat([view.lq.mean((1, 2, 3)) for view in views.values()]) * 8
    assert {name: len(view.lq) for name, view in views.items()} == {'lq': 4, 'zoom_in': 2, 'zoom_out': 2}
    assert found.round().sort().values.cpu().tolist() == list(range(8))
    torch.testing.assert_close(views['zoom_out'].gt.mean((1, 2, 3)), views['zoom_out'].lq.mean((1, 2, 3)))


@pytest.mark.parametrize(('zoom_out', 'shapes'), [
    (None, [(8, 3, 8, 8)]),
    ({'gt': True}, [(7, 3, 8, 8), (1, 3, 4, 4)]),
])  # fmt: skip
@pytest.mark.usefixtures('device')
def test_networks_see_no_more_than_without_upcycling(tmp_path, zoom_out, shapes):
    model = build_model(train_options(tmp_path, dukd_opt={**L1, 'zoom_out': zoom_out, 'in_batch': 0.375}))
    calls = []
    model.net_t.register_forward_hook(lambda net, x, y: calls.append(('teacher', tuple(x[0].shape))))
    model.net_g.register_forward_hook(lambda net, x, y: calls.append(('student', tuple(x[0].shape))))
    model.feed_data(batch(samples=8))
    model.optimize_parameters(1)
    assert calls == [(net, shape) for net in ('teacher', 'student') for shape in shapes]
    assert list(model.get_current_log()) == TERMS


@pytest.mark.parametrize('parts', [2, 4])
@pytest.mark.usefixtures('device')
def test_a_batch_in_parts_makes_the_step_of_the_batch(tmp_path, parts):
    """With a share that needs no rounding in any of them."""
    dukd = {**L1, 'in_batch': 0.5, 'consistency': {'prob': 0.5, 'views': ['lq', 'zoom_in', 'zoom_out']}}
    opt = train_options(tmp_path, dukd_opt=dukd)
    whole, model = in_double(copy.deepcopy(opt)), in_double({**opt, 'train': {**opt['train'], 'accumulate': parts}})
    for name in ('net_g', 'net_g_ema'):
        getattr(model, name).load_state_dict(whole.net_g.state_dict())
        getattr(whole, name).load_state_dict(model.net_g.state_dict())
    data = batch(samples=16, dtype=torch.float64)
    for each in (whole, model):
        each.feed_data(data)
        each.optimize_parameters(7)
    torch.testing.assert_close(model.log_dict, whole.log_dict, rtol=1e-12, atol=0)
    torch.testing.assert_close(gradient(model), gradient(whole), rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(dict(model.net_g_ema.state_dict()), dict(whole.net_g_ema.state_dict()))


@pytest.mark.usefixtures('device')
def test_features_are_those_of_the_plain_samples(tmp_path):
    """A loss of outputs beside in_batch: L1 to the teacher in feature_opt is l_kd."""
    dukd = {**L1, 'in_batch': 0.375}
    model = build_model(train_options(tmp_path, dukd_opt=dukd, feature_opt={'again': {'type': 'L1Loss'}}))
    model.feed_data(batch(samples=8))
    model.optimize_parameters(1)
    assert model.log_dict['l_again'] == model.log_dict['l_kd'] > 0


@pytest.mark.usefixtures('device')
def test_an_equivariant_student_equal_to_its_teacher_has_no_distillation_loss(tmp_path):
    """End point: with S = T = pixel repetition every label term vanishes, for every draw of samples and of F."""
    dukd = {**L1, 'in_batch': 0.5, 'consistency': {'prob': 0.5, 'views': ['lq', 'zoom_in', 'zoom_out']}}
    model = build_model(train_options(tmp_path, dukd_opt=dukd))
    model.net_t = IdentityUp(2)

    class Student(IdentityUp):
        def __init__(self):
            super().__init__(2)
            self.gain = torch.nn.Parameter(torch.ones(()))

        def forward(self, x):
            return super().forward(x) * self.gain

    model.net_g, model.ema_decay = Student(), 0
    model.feed_data(batch(samples=16))
    model.optimize_parameters(1)
    log = model.get_current_log()
    assert max(log[name] for name in ('l_kd', 'l_zoom_in', 'l_zoom_out_kd')) < 1e-7
    assert min(log['l_pix'], log['l_zoom_out_pix']) > 1e-3
