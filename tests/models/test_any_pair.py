"""Any teacher with any student: across architectures, several teachers, teachers that only spandrel knows."""

import copy

import pytest
import torch
from basicsr.models import build_model

from dukd_basicsr.distillation.teacher import build_teacher
from dukd_basicsr.errors import UserError
from tests.toys import L1, STUDENT, TEACHER, TINY_SWINIR, batch, save_weights, train_options

EDSR = STUDENT
RCAN = {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_group': 1, 'num_block': 1,
        'squeeze_factor': 4, 'upscale': 2}  # fmt: skip
RRDB = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1, 'num_grow_ch': 2, 'scale': 2}
COMPACT = {'type': 'SRVGGNetCompact', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_conv': 1, 'upscale': 2}
PAIRS = [
    (EDSR, RCAN),
    (RCAN, EDSR),
    (TINY_SWINIR, RCAN),
    (TINY_SWINIR, EDSR),
    (RRDB, COMPACT),
    (TINY_SWINIR, TINY_SWINIR),
]


def options(folder, teacher, student, **train):
    opt = train_options(folder, **train)
    save_weights(folder / 'teacher.pth', teacher)
    return opt | {'network_t': copy.deepcopy(teacher), 'network_g': copy.deepcopy(student)}


@pytest.mark.parametrize(('teacher', 'student'), PAIRS, ids=lambda net: net['type'])
def test_one_step_and_validation_of_a_pair(tmp_path, teacher, student):
    model = build_model(options(tmp_path, teacher, student))
    before = copy.deepcopy(model.net_g.state_dict())
    model.feed_data(batch(size=12))  # 12 and, zoomed out, 6: neither is a multiple of SwinIR's window
    model.optimize_parameters(1)
    log = model.get_current_log()
    assert all(value > 0 for value in log.values()), log
    assert any(not torch.equal(before[name], value) for name, value in model.net_g.state_dict().items())
    model.feed_data({'lq': torch.rand(1, 3, 9, 13)})
    model.test()
    assert model.output.shape == (1, 3, 18, 26)
    assert model.lq.shape == (1, 3, 9, 13)


def two_teachers(folder, **train):
    opt = options(folder, TEACHER, EDSR, **train)
    nets = [save_weights(folder / f'{name}.pth', network) for name, network in (('a', TEACHER), ('b', RCAN))]
    opt['network_t'] = [TEACHER, RCAN]
    opt['path']['pretrain_network_t'] = [str(folder / 'a.pth'), str(folder / 'b.pth')]
    return opt, [net.eval() for net in nets]


def test_several_teachers_averaged(tmp_path):
    opt, nets = two_teachers(tmp_path, teacher_opt={'combine': 'average'})
    model, data = build_model(opt), batch()
    with torch.no_grad():
        expected = (nets[0](data['lq']) + nets[1](data['lq'])) / 2
    torch.testing.assert_close(model.net_t(data['lq']), expected)
    model.feed_data(data)
    model.optimize_parameters(1)
    assert not any(parameter.requires_grad for parameter in model.net_t.parameters())


def test_several_teachers_one_drawn_a_step_the_same_in_a_replay_and_on_every_rank(tmp_path):
    opt, nets = two_teachers(tmp_path)
    data = batch()
    with torch.no_grad():
        answers = [net(data['lq']) for net in nets]
    drawn = []
    for rank in (0, 1, 0):
        model = build_model(copy.deepcopy(opt) | {'rank': rank})
        model.feed_data(data)
        run = []
        for iteration in range(1, 21):
            model.optimize_parameters(iteration)
            label = model.net_t(data['lq'])
            run.append(next(place for place, answer in enumerate(answers) if torch.allclose(label, answer)))
        drawn.append(run)
    assert drawn[0] == drawn[1] == drawn[2]
    assert 4 < sum(drawn[0]) < 16


def test_a_student_of_another_scale_gives_the_layers_that_fit(tmp_path):
    opt = options(tmp_path, TEACHER, {**EDSR, 'num_feat': 8})
    smaller = save_weights(tmp_path / 'x3.pth', {**EDSR, 'num_feat': 8, 'upscale': 3})
    opt['path'] |= {'pretrain_network_g': str(tmp_path / 'x3.pth'), 'strict_load_g': False}
    model = build_model(opt)
    assert torch.equal(model.net_g.body[0].conv1.weight, smaller.body[0].conv1.weight)
    assert torch.equal(model.net_g_ema.body[0].conv1.weight, smaller.body[0].conv1.weight)
    assert model.net_g.upsample[0].weight.shape != smaller.upsample[0].weight.shape


def test_a_teacher_that_spandrel_reads_from_its_file_alone(tmp_path):
    pytest.importorskip('spandrel')
    opt = options(tmp_path, COMPACT, EDSR)
    net = save_weights(tmp_path / 'teacher.pth', {**COMPACT, 'num_feat': 16, 'num_conv': 2})
    opt['network_t'] = {'type': 'Spandrel'}
    teacher = build_teacher(opt)
    x = torch.rand(1, 3, 7, 9)
    torch.testing.assert_close(teacher(x), net(x).detach())
    model = build_model(opt)
    model.feed_data(batch())
    model.optimize_parameters(1)
    assert model.get_current_log()['l_zoom_in'] > 0


def test_spandrel_refuses_in_one_sentence(tmp_path):
    opt = options(tmp_path, COMPACT, EDSR, **{'kd_opt': L1})
    opt['network_t'] = {'type': 'Spandrel'}
    torch.save({'params': {'weight': torch.zeros(3)}}, tmp_path / 'teacher.pth')
    with pytest.raises(UserError, match='spandrel does not recognise a network in it'):
        build_teacher(opt)
