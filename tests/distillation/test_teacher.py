import copy

import pytest
import torch
from torch import nn

from dukd_basicsr.distillation.teacher import Teacher, build_teacher, check_output
from dukd_basicsr.errors import UserError
from tests.toys import TEACHER, IdentityUp, save_weights, train_options


def test_is_frozen_whatever_its_surroundings_do():
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Dropout(0.5), nn.BatchNorm2d(3))
    parent = nn.ModuleList([Teacher(net)])
    parent.train()
    assert not any(module.training for module in parent[0].modules())
    assert not any(parameter.requires_grad for parameter in parent.parameters())
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    first, second = parent[0](x), parent[0](x)
    assert torch.equal(first, second)  # no dropout, no running statistics
    assert not first.requires_grad
    assert int(net[2].num_batches_tracked) == 0


def test_build_loads_the_weights_and_answers_as_the_network(tmp_path, device):
    opt = train_options(tmp_path)
    net = save_weights(tmp_path / 'teacher.pth', TEACHER).to(device)
    teacher = build_teacher(opt).to(device)
    x = torch.rand(1, 3, 6, 6, device=device)
    assert torch.equal(teacher(x), net(x))


def test_param_key_and_strictness(tmp_path):
    opt = train_options(tmp_path)
    first, second = save_weights(tmp_path / 'a.pth', TEACHER), save_weights(tmp_path / 'b.pth', TEACHER)
    torch.save({'params': first.state_dict(), 'params_ema': second.state_dict()}, tmp_path / 'teacher.pth')
    for key, net in (('params', first), ('params_ema', second)):
        opt['path']['param_key_t'] = key
        assert torch.equal(build_teacher(opt).net.conv_first.weight, net.conv_first.weight)


def test_wrong_scale_and_channels_are_one_sentence(tmp_path):
    check_output(Teacher(IdentityUp(2)), scale=2, channels=3)
    with pytest.raises(UserError, match=r'turns \(1, 3, 16, 16\) into \(1, 3, 64, 64\), but scale: 2 needs'):
        check_output(Teacher(IdentityUp(4)), scale=2, channels=3)
    opt = train_options(tmp_path)
    grey = {**TEACHER, 'num_in_ch': 1}
    with pytest.raises(UserError, match='cannot take 3-channel images'):
        check_output(Teacher(nn.Conv2d(1, 3, 1)), scale=1, channels=3)
    opt['network_t'] = grey
    with pytest.raises(UserError, match=r'conv_first.weight is \(8, 3, 3, 3\) in the file'):
        build_teacher(opt)


def test_wrong_architecture_missing_file_and_missing_path(tmp_path):
    opt = train_options(tmp_path)
    wrong = copy.deepcopy(opt)
    wrong['network_t']['num_block'] = 5
    with pytest.raises(UserError, match=r'teacher.pth does not fit EDSR as configured: body.2.conv1.weight is missing'):
        build_teacher(wrong)
    wrong = copy.deepcopy(opt)
    wrong['path']['pretrain_network_t'] = str(tmp_path / 'none.pth')
    with pytest.raises(UserError, match='there is no such checkpoint file'):
        build_teacher(wrong)
    wrong['path']['pretrain_network_t'] = None
    with pytest.raises(UserError, match='a teacher needs its weights'):
        build_teacher(wrong)
