"""A batch in parts makes the step of the batch: same draws, same terms, same gradient, same update."""

import copy

import pytest
import torch
from basicsr.models import build_model

from dukd_basicsr.consistency import InvertibleTransform
from dukd_basicsr.distillation.views import View, split
from dukd_basicsr.errors import UserError
from tests.toys import L1, batch, train_options

DUKD = {**L1, 'loss_weight': 0.7, 'zoom_in': {'num': 2}, 'consistency': {'prob': 0.5}}
TERMS = ['l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix']


def in_double(opt):
    model = build_model(opt)
    for net in (model.net_g, model.net_t, model.net_g_ema):
        net.double()
    return model


@pytest.mark.parametrize('parts', [1, 2, 4])
@pytest.mark.parametrize('reduction', ['mean', 'sum'])
@pytest.mark.usefixtures('device')
def test_terms_gradient_and_update_are_those_of_the_whole_batch(tmp_path, parts, reduction):
    kd = {**L1, 'loss_weight': 0.5, 'reduction': reduction}
    opt = train_options(tmp_path, dukd_opt=DUKD, kd_opt=kd)
    whole, model = in_double(copy.deepcopy(opt)), in_double({**opt, 'train': {**opt['train'], 'accumulate': parts}})
    model.net_g.load_state_dict(whole.net_g.state_dict())
    data = batch(samples=4, dtype=torch.float64)
    for each in (whole, model):
        each.feed_data(data)
        each.optimize_parameters(7)
    assert list(model.log_dict) == TERMS
    assert all(value > 0 for value in model.log_dict.values())
    torch.testing.assert_close(model.log_dict, whole.log_dict, rtol=1e-12, atol=0)
    found, expected = ({name: p.grad for name, p in each.net_g.named_parameters()} for each in (model, whole))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-15)
    torch.testing.assert_close(dict(model.net_g.state_dict()), dict(whole.net_g.state_dict()), rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures('device')
def test_networks_see_one_part_at_a_time_and_the_teacher_just_before_its_student(tmp_path):
    model = build_model(train_options(tmp_path, accumulate=2))
    calls = []
    model.net_t.register_forward_hook(lambda net, x, y: calls.append(('teacher', tuple(x[0].shape))))
    model.net_g.register_forward_hook(lambda net, x, y: calls.append(('student', tuple(x[0].shape))))
    model.feed_data(batch(samples=4, size=8))
    model.optimize_parameters(1)
    assert calls == 2 * [(net, shape) for net in ('teacher', 'student') for shape in ((4, 3, 8, 8), (2, 3, 4, 4))]


def test_parts_keep_samples_labels_and_draws_together():
    lq, gt = torch.rand(4, 3, 4, 4), torch.rand(4, 3, 8, 8)
    crops, label = torch.rand(8, 3, 4, 4), torch.rand(8, 3, 8, 8)
    transform = InvertibleTransform.sample(8, prob=0.5)
    views = {'lq': View(lq, gt=gt, ask_teacher=False), 'zoom_in': View(crops, label=label, transform=transform)}
    first, second = split(views, 2)
    assert torch.equal(torch.cat([first['lq'].gt, second['lq'].gt]), gt)
    assert first['lq'].label is first['lq'].transform is None
    assert not second['lq'].ask_teacher
    assert torch.equal(second['zoom_in'].label, label[4:])
    turned = torch.cat([part['zoom_in'].transform(part['zoom_in'].lq) for part in (first, second)])
    assert torch.equal(turned, transform(crops))
    assert split(views, 1) == [views]


@pytest.mark.usefixtures('device')
def test_a_batch_that_does_not_divide_is_a_sentence(tmp_path):
    model = build_model(train_options(tmp_path, accumulate=2))
    model.feed_data(batch(samples=3))
    with pytest.raises(UserError, match=r'train\.accumulate: 3 samples of lq do not make 2 parts of equal size'):
        model.optimize_parameters(1)


class Synchronised(torch.nn.parallel.DistributedDataParallel):
    """Counts the backward passes after which gradients are exchanged."""

    def __init__(self, net):
        super().__init__(net)
        self.exchanged = []

    def forward(self, x):
        self.exchanged.append(self.require_backward_grad_sync)
        return super().forward(x)


@pytest.mark.usefixtures('device')
def test_ranks_exchange_gradients_once_a_step(tmp_path):
    import gc

    import torch.distributed as dist

    dist.init_process_group('gloo', init_method=f'file://{tmp_path}/rendezvous', rank=0, world_size=1)
    try:
        opt = train_options(tmp_path, dukd_opt=DUKD, accumulate=2)
        alone, model = build_model(copy.deepcopy(opt)), build_model(opt)
        model.net_g.load_state_dict(alone.net_g.state_dict())
        model.net_g = Synchronised(model.net_g)
        for each in (alone, model):
            each.feed_data(batch(samples=4))
            each.optimize_parameters(1)
        assert model.net_g.exchanged == [False, False, True, True]  # two sizes each
        torch.testing.assert_close(dict(model.net_g.module.state_dict()), dict(alone.net_g.state_dict()))
        del model, each
        gc.collect()
    finally:
        dist.destroy_process_group()


def test_check_counts_the_memory_of_one_part(tmp_path):
    from dukd_basicsr.training import dry_run

    opt = train_options(tmp_path) | {
        'datasets': {'train': {'gt_size': 16, 'batch_size_per_gpu': 16}},
        'val': None,
    }
    whole = dry_run.measure(opt)
    opt['train'] |= {'accumulate': 4, 'compile': True}
    part = dry_run.measure(opt)
    assert part.terms == whole.terms
    opt['train'] |= {'accumulate': 1, 'compile': False}
    opt['datasets']['train']['batch_size_per_gpu'] = 4
    assert part.batch_memory == dry_run.measure(opt).batch_memory < whole.batch_memory
