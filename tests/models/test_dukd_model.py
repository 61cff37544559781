import copy

import pytest
import torch
from basicsr.models import build_model

from dukd_basicsr.data.seeds import step_seed
from dukd_basicsr.distillation.teacher import NoTeacher
from dukd_basicsr.errors import UserError
from dukd_basicsr.resize import imresize
from dukd_basicsr.training.checks.networks import check_zoomed_out
from tests.toys import L1, Exploding, IdentityUp, batch, train_options

TERMS = ['l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix']
OPS = ['invert', 'hflip', 'vflip', 'transpose']


def turned(image, op):
    """One operation on one image (C, H, W), written differently from the package."""
    if op == 'invert':
        return torch.ones_like(image) - image
    if op == 'transpose':
        return torch.stack([channel.T for channel in image])
    dim = 2 if op == 'hflip' else 1
    return torch.index_select(image, dim, torch.arange(image.shape[dim] - 1, -1, -1, device=image.device))


def straight_line_loss(student, teacher, lq, gt, scale, seed, num, prob):
    """DUKD's loss image by image, view by view, from the formulas alone. Returns the five terms in order."""
    generator = torch.Generator().manual_seed(seed)
    samples, size = lq.shape[0], lq.shape[-1]
    top = torch.randint(gt.shape[-2] - size + 1, (samples * num,), generator=generator).tolist()
    left = torch.randint(gt.shape[-1] - size + 1, (samples * num,), generator=generator).tolist()
    drawn_in = (torch.rand(4, samples * num, generator=generator) < prob).tolist()
    drawn_out = (torch.rand(4, samples, generator=generator) < prob).tolist()

    def through_f(u, drawn):
        applied = [op for op, on in zip(OPS, drawn, strict=True) if on]
        for op in applied:
            u = turned(u, op)
        answer = student(u[None])[0]
        for op in applied[::-1]:
            answer = turned(answer, op)
        return answer

    pix, kd, zoom_in, out_kd, out_pix = [], [], [], [], []
    for i in range(samples):
        answer = student(lq[i][None])[0]
        pix.append((answer - gt[i]).abs().mean())
        kd.append((answer - teacher(lq[i][None])[0]).abs().mean())
        for n in range(i * num, (i + 1) * num):
            u = gt[i][:, top[n] : top[n] + size, left[n] : left[n] + size]
            answer = through_f(u, [row[n] for row in drawn_in])
            zoom_in.append((answer - teacher(u[None])[0]).abs().mean())
        u = imresize(lq[i], 1 / scale)
        answer = through_f(u, [row[i] for row in drawn_out])
        out_kd.append((answer - teacher(u[None])[0]).abs().mean())
        out_pix.append((answer - lq[i]).abs().mean())
    return [torch.stack(values).mean() for values in (pix, kd, zoom_in, out_kd, out_pix)]


@pytest.mark.parametrize(('num', 'prob'), [(1, 0.3), (2, 0.5), (1, 1.0), (3, 0.0)])
@pytest.mark.usefixtures('device')
def test_terms_and_gradient_equal_the_formulas(tmp_path, num, prob):
    dukd = {**L1, 'loss_weight': 0.7, 'zoom_in': {'num': num}, 'consistency': {'prob': prob}}
    model = build_model(train_options(tmp_path, dukd_opt=dukd, kd_opt={**L1, 'loss_weight': 0.5}))
    model.net_g.double()
    model.net_t.double()
    model.net_g_ema.double()
    data = batch(samples=4, dtype=torch.float64)
    student = copy.deepcopy(model.net_g)
    model.generator = torch.Generator()  # draws of the CPU's, on any device
    model.feed_data(data)
    model.optimize_parameters(7)

    seed = step_seed(10, 0, 7)
    terms = straight_line_loss(student, model.net_t, model.lq, model.gt, 2, seed, num, prob)
    weighted = [weight * term for weight, term in zip([1, 0.5, 0.7, 0.7, 0.7], terms, strict=True)]
    assert list(model.get_current_log()) == TERMS
    logged = torch.stack(list(model.log_dict.values()))
    torch.testing.assert_close(logged, torch.stack(weighted).detach(), rtol=1e-9, atol=0)
    torch.stack(weighted).sum().backward()
    expected = {name: parameter.grad for name, parameter in student.named_parameters()}
    found = {name: parameter.grad for name, parameter in model.net_g.named_parameters()}
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)


@pytest.mark.usefixtures('device')
def test_a_step_can_be_replayed_and_iterations_and_ranks_differ(tmp_path):
    opt = train_options(tmp_path)
    first, second = build_model(copy.deepcopy(opt)), build_model(copy.deepcopy(opt) | {'rank': 1})
    for model in (first, second):
        model.feed_data(batch())
    views = first.build_views(3)
    again = first.build_views(3)
    assert torch.equal(views['zoom_in'].lq, again['zoom_in'].lq)
    assert not torch.equal(views['zoom_in'].lq, first.build_views(4)['zoom_in'].lq)
    assert not torch.equal(views['zoom_in'].lq, second.build_views(3)['zoom_in'].lq)


@pytest.mark.usefixtures('device')
def test_views_of_one_size_share_one_pass_per_network(tmp_path):
    model = build_model(train_options(tmp_path))
    calls = []
    model.net_t.register_forward_hook(lambda net, x, y: calls.append(('teacher', tuple(x[0].shape))))
    model.net_g.register_forward_hook(lambda net, x, y: calls.append(('student', tuple(x[0].shape))))
    model.feed_data(batch(samples=2, size=8))
    model.optimize_parameters(1)
    assert calls == [(net, shape) for net in ('teacher', 'student') for shape in ((4, 3, 8, 8), (2, 3, 4, 4))]


@pytest.mark.parametrize(
    ('dukd', 'zero', 'sizes'),
    [
        ({'zoom_in': None}, {'l_zoom_in'}, 2),
        ({'zoom_out': None}, {'l_zoom_out_kd', 'l_zoom_out_pix'}, 1),
        ({'zoom_out': {'gt': False}}, {'l_zoom_out_pix'}, 2),
        ({'zoom_out': {'teacher': False}}, {'l_zoom_out_kd'}, 2),
        ({'zoom_in': {'crops': 'grid', 'num': 3}}, set(), 2),
        ({'consistency': None}, set(), 2),
    ],
)
@pytest.mark.usefixtures('device')
def test_switches_log_zero_and_cost_nothing(tmp_path, dukd, zero, sizes):
    model = build_model(train_options(tmp_path, dukd_opt={**L1, **dukd}))
    calls = []
    model.net_g.register_forward_hook(lambda *_: calls.append(1))
    model.feed_data(batch())
    model.optimize_parameters(1)
    log = model.get_current_log()
    assert list(log) == TERMS
    assert {name for name, value in log.items() if value == 0} == zero
    assert len(calls) == sizes


@pytest.mark.usefixtures('device')
def test_consistency_applies_to_the_chosen_views_only_and_never_to_the_plain_pair(tmp_path):
    dukd = {**L1, 'consistency': {'views': ['zoom_in'], 'ops': ['hflip']}}
    model = build_model(train_options(tmp_path, dukd_opt=dukd))
    model.feed_data(batch())
    views = model.build_views(1)
    assert views['zoom_in'].transform is not None
    assert [op for op, _ in views['zoom_in'].transform.draws] == ['hflip']
    assert views['zoom_out'].transform is views['lq'].transform is None


@pytest.mark.usefixtures('device')
def test_the_plain_pair_turned_is_judged_turned_back(tmp_path):
    dukd = {**L1, 'zoom_in': None, 'zoom_out': None, 'consistency': {'views': ['lq'], 'prob': 0.5}}
    model = build_model(train_options(tmp_path, dukd_opt=dukd))
    data = batch(samples=6)
    student = copy.deepcopy(model.net_g)
    model.generator = torch.Generator()  # draws of the CPU's, on any device
    model.feed_data(data)
    model.optimize_parameters(4)
    drawn = torch.rand(4, 6, generator=torch.Generator().manual_seed(step_seed(10, 0, 4))) < 0.5
    pix, kd = 0, 0
    for i in range(6):
        u, applied = model.lq[i], [op for op, on in zip(OPS, drawn[:, i], strict=True) if on]
        for op in applied:
            u = turned(u, op)
        answer = student(u[None])[0].detach()
        for op in applied[::-1]:
            answer = turned(answer, op)
        pix += (answer - model.gt[i]).abs().mean() / 6
        kd += (answer - model.net_t(model.lq[i][None])[0]).abs().mean() / 6
    log = model.get_current_log()
    torch.testing.assert_close(torch.tensor([log['l_pix'], log['l_kd']]), torch.stack([pix, kd]).cpu())
    assert log['l_zoom_in'] == log['l_zoom_out_kd'] == log['l_zoom_out_pix'] == 0


@pytest.mark.usefixtures('device')
def test_augmentation_and_upcycling_without_a_teacher_build_none(tmp_path):
    dukd = {**L1, 'zoom_in': None, 'zoom_out': {'teacher': False}, 'consistency': {'views': ['lq', 'zoom_out']}}
    opt = train_options(tmp_path, dukd_opt=dukd, kd_opt=None)
    del opt['network_t'], opt['path']['pretrain_network_t']
    model = build_model(opt)
    model.feed_data(batch())
    model.optimize_parameters(1)
    assert isinstance(model.net_t, NoTeacher)
    assert {name for name, value in model.get_current_log().items() if value} == {'l_pix', 'l_zoom_out_pix'}


def test_a_zoomed_out_patch_that_a_network_does_not_take_is_told_before_the_run(tmp_path):
    opt = train_options(tmp_path) | {'datasets': {'train': {'gt_size': 12}}}

    def even(lq):
        assert lq.shape[-1] % 2 == 0, 'odd'
        return lq

    with pytest.raises(UserError, match=r'network_g does not take a zoomed-out patch of 3x3 \(AssertionError: odd\)'):
        check_zoomed_out(even, opt, 'network_g')
    opt['datasets']['train']['gt_size'] = 16
    check_zoomed_out(even, opt, 'network_g')


@pytest.mark.usefixtures('device')
def test_labels_that_come_with_the_views_leave_the_teacher_alone(tmp_path):
    model = build_model(train_options(tmp_path))
    model.feed_data(batch())
    labels = {name: IdentityUp(2)(view.lq) for name, view in model.build_views(1).items()}
    build_views = model.build_views

    def with_labels(iteration):
        return {
            name: copy.copy(view).__class__(view.lq, view.gt, labels[name], transform=view.transform)
            for name, view in build_views(iteration).items()
        }

    model.build_views, model.net_t = with_labels, Exploding()
    model.optimize_parameters(1)
    assert model.get_current_log()['l_zoom_in'] > 0


@pytest.mark.usefixtures('device')
def test_an_equivariant_student_equal_to_its_teacher_has_no_distillation_loss(tmp_path):
    """End point: with S = T = pixel repetition every label term vanishes, for every draw of F."""
    model = build_model(train_options(tmp_path, dukd_opt={**L1, 'consistency': {'prob': 0.5}}))
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
    assert log['l_kd'] == 0
    assert max(log['l_zoom_in'], log['l_zoom_out_kd']) < 1e-7  # 1 - (1 - x) rounds once
    assert log['l_pix'] > 0 < log['l_zoom_out_pix']
