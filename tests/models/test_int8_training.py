"""`train.int8_opt`: the student is trained, validated and exported as one int8 graph; runs go on exactly."""

import copy
import re

import cv2
import numpy as np
import pytest
import skimage.data
import torch
import yaml
from basicsr.models import build_model

from dukd_basicsr.cli import main
from dukd_basicsr.networks.fake_int8 import FakeInt8
from dukd_basicsr.networks.onnx.graph import to_onnx
from dukd_basicsr.networks.onnx.precision import to_int8
from dukd_basicsr.networks.onnx.ranges import KEY, find_ranges, from_tensors, read_ranges
from dukd_basicsr.networks.onnx.session import open_exported
from dukd_basicsr.networks.weights import build_network
from tests.toys import L1, STUDENT, batch, save_weights, train_options
from tests.warm import command
from tests.workplace import workplace  # noqa: F401  the fixture


@pytest.fixture
def opt(tmp_path):
    """Options of a student that was trained before, and a folder of images to calibrate on."""
    torch.manual_seed(7)
    save_weights(tmp_path / 'student.pth', STUDENT)
    (tmp_path / 'lr').mkdir()
    for number in range(2):
        image = skimage.data.chelsea()[60 * number :, 80:][:40, :36, ::-1]
        cv2.imwrite(str(tmp_path / 'lr' / f'{number}.png'), image)
    opt = train_options(tmp_path, int8_opt={'calibrate': str(tmp_path / 'lr')})
    opt['path']['pretrain_network_g'] = str(tmp_path / 'student.pth')
    return opt


def train(model, iterations):
    for iteration in iterations:
        model.feed_data(batch(seed=iteration))
        model.optimize_parameters(iteration)
    return model


def test_a_student_of_int8_trains_with_a_discriminator(opt):
    opt['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
    opt['train'] |= {'gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge'}, 'optim_d': {'type': 'Adam', 'lr': 1e-3},
                     'net_d_iters': 2}  # fmt: skip
    model = build_model(opt)
    shown, show = [], model.adversary.show
    model.adversary.show = lambda real, output: (shown.append(output.detach().clone()), show(real, output))
    train(model, [1])  # the discriminator alone
    with torch.no_grad():
        student = model.int8.wrap(model.net_g)(batch(seed=1)['lq'])
    torch.testing.assert_close(shown[0], student, rtol=0, atol=1e-6)
    assert not torch.equal(shown[0], model.net_g(batch(seed=1)['lq']))
    train(model, [2])
    assert model.get_current_log()['l_g_gan'] != 0


def answer(model, lq):
    model.feed_data({'lq': lq})
    model.test()
    return model.output


def test_ranges_are_shrunk_from_those_that_the_export_would_calibrate(opt, tmp_path):
    model = build_model(opt)
    net = build_network(STUDENT)
    net.load_state_dict(torch.load(tmp_path / 'student.pth', weights_only=True)['params'])
    images = [cv2.imread(str(tmp_path / 'lr' / f'{number}.png')) for number in (0, 1)]
    planes = [image[..., ::-1].transpose(2, 0, 1)[None] / np.float32(255) for image in images]
    widest = read_ranges(to_int8(to_onnx(net.eval(), 2, 3), planes))
    assert model.int8.ranges.keys() == widest.keys()
    for name, each in model.int8.ranges.items():
        for found, wide in ((each.input, widest[name].input), (each.output, widest[name].output)):
            assert found.zero == wide.zero
            assert found.scale / wide.scale == pytest.approx(round(20 * found.scale / wide.scale) / 20, rel=1e-6)
            assert 0.29 < found.scale / wide.scale < 1.01


def test_the_loss_is_that_of_the_rounded_student(opt):
    model, data = build_model(opt), batch(seed=3)
    student = copy.deepcopy(model.net_g)
    rounded = FakeInt8(model.int8.ranges, student).wrap(student)
    with torch.no_grad():
        expected = [float((net(data['lq']) - data['gt']).abs().mean()) for net in (rounded, student)]
    model.feed_data(data)
    model.optimize_parameters(1)
    assert model.get_current_log()['l_pix'] == pytest.approx(expected[0], rel=1e-6)
    assert expected[0] != pytest.approx(expected[1], rel=1e-5)
    assert 'l_zoom_in' in model.get_current_log()


def test_the_teacher_is_not_rounded(opt):
    model, data = build_model(opt), batch(seed=3)
    model.feed_data(data)
    model.optimize_parameters(1)
    with torch.no_grad():
        label = model.net_t.members[0].net(data['lq'])
        student = build_network(STUDENT)
        student.load_state_dict(torch.load(opt['path']['pretrain_network_g'], weights_only=True)['params'])
        output = FakeInt8(model.int8.ranges, student).wrap(student)(data['lq'])
    assert model.get_current_log()['l_kd'] == pytest.approx(float((output - label).abs().mean()), rel=1e-5)


@pytest.mark.parametrize('ema', [0, 0.9])
def test_validation_is_the_exported_file(opt, tmp_path, ema):
    opt['train']['ema_decay'] = ema
    model = train(build_model(opt), range(1, 4))
    model.save(0, 3)
    arguments = [str(tmp_path / 'net_g_3.pth'), '-o', str(tmp_path / 'net.onnx'), '--precision', 'int8']
    assert main(['export', *arguments]) == 0
    exported = open_exported(tmp_path / 'net.onnx')
    lq = batch(size=20, seed=9)['lq']
    validated, plain = answer(model, lq), (model.net_g_ema if ema else model.net_g)(lq).detach()
    difference = (exported(lq) - validated).abs()
    level = model.int8.ranges['conv_last'].output.scale / 255
    assert difference.max() <= 2.001 * level  # values on the edge of two levels
    assert (plain - validated).abs().mean() > 4 * difference.mean()


def test_a_run_goes_on_exactly_with_its_first_ranges(opt, tmp_path):
    alone = train(build_model(copy.deepcopy(opt)), range(1, 7))
    first = train(build_model(copy.deepcopy(opt)), range(1, 4))
    first.save(0, 3)
    content = torch.load(tmp_path / 'net_g_3.pth', weights_only=True)
    assert from_tensors(content[KEY]) == first.int8.ranges
    opt['path']['pretrain_network_g'] = str(tmp_path / 'net_g_3.pth')
    opt['train']['int8_opt']['calibrate'] = str(tmp_path / 'gone')  # the images are needed once
    resumed = build_model(opt)
    assert resumed.int8.ranges == first.int8.ranges
    resumed.resume_training(torch.load(tmp_path / '3.state', weights_only=True))
    train(resumed, range(4, 7))
    for name in ('net_g', 'net_g_ema'):
        found, expected = (dict(getattr(model, name).state_dict()) for model in (resumed, alone))
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_a_file_without_it_has_no_ranges(opt, tmp_path):
    del opt['train']['int8_opt']
    model = train(build_model(opt), [1])
    model.save(0, 1)
    assert find_ranges(tmp_path / 'net_g_1.pth') is None
    assert torch.load(tmp_path / 'net_g_1.pth', weights_only=True).keys() == {'params', 'params_ema'}


def test_it_learns_to_survive_rounding(opt, tmp_path):
    """Distilled from its own float32 form, the rounded student comes nearer to it than by calibration alone."""
    opt['network_t'] = STUDENT
    opt['path']['pretrain_network_t'] = str(tmp_path / 'student.pth')
    opt['model_type'] = 'DistillModel'
    del opt['train']['dukd_opt'], opt['train']['pixel_opt']
    opt['train'] |= {'kd_opt': L1, 'ema_decay': 0, 'optim_g': {'type': 'Adam', 'lr': 2e-4, 'betas': [0.9, 0.99]}}
    model = build_model(opt)
    losses = []
    for iteration in range(1, 121):
        model.feed_data(batch(samples=4, size=12, seed=iteration % 8))
        model.optimize_parameters(iteration)
        losses.append(model.get_current_log()['l_kd'])
    assert sum(losses[-16:]) < 0.8 * sum(losses[:16])


@pytest.mark.parametrize(
    ('change', 'said'),
    [
        ({'network_g': {'type': 'ECBSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 1, 'num_channel': 4,
                        'with_idt': False, 'act_type': 'prelu', 'scale': 2}},
         'train.int8_opt: ECBSR is folded when it is deployed'),
        ({'network_g': {**STUDENT, 'num_block': 2}}, 'are of another network (body.1.conv1)'),
        ({}, 'train.int8_opt.calibrate: {folder}: there is no image in it'),
    ],
    ids=['folded', 'another', 'no images'],
)  # fmt: skip
def test_mistakes(opt, tmp_path, change, said):
    if 'another' in said:
        train(build_model(copy.deepcopy(opt)), [1]).save(0, 1)
        opt['path'] |= {'pretrain_network_g': str(tmp_path / 'net_g_1.pth'), 'strict_load_g': False}
        opt['train']['ema_decay'] = 0
    elif change:
        save_weights(tmp_path / 'student.pth', change['network_g'])
    else:
        (tmp_path / 'empty').mkdir()
        opt['train']['int8_opt']['calibrate'] = str(tmp_path / 'empty')
    with pytest.raises(Exception, match=re.escape(said.format(folder=tmp_path / 'empty'))):
        build_model(opt | change)


def test_the_command_trains_and_finds_mistakes_before_it_creates_anything(workplace):  # noqa: F811
    opt = yaml.safe_load((workplace / 'toy.yml').read_text())
    save_weights(workplace / 'student.pth', opt['network_g'])
    opt['name'] = 'refined'
    opt['path']['pretrain_network_g'] = 'student.pth'
    opt['train']['int8_opt'] = {'calibrate': 'nowhere'}
    (workplace / 'refined.yml').write_text(yaml.safe_dump(opt, sort_keys=False))
    done = command('train', '-opt', 'refined.yml', cwd=workplace)
    assert done.returncode == 2
    assert 'train.int8_opt.calibrate: nowhere: there is no image in it' in done.stderr
    assert not (workplace / 'experiments' / 'refined').exists()
    folder = next(path for path in (workplace / 'datasets').rglob('LRbicx2'))
    force = f'train:int8_opt={{calibrate: {folder.relative_to(workplace)}}}'
    ends = []
    for name, stops in (('whole', [4]), ('parted', [2, 4])):
        for stop in stops:
            done = command('train', '-opt', 'refined.yml', '--auto_resume', '--force_yml', force, f'name={name}',
                           f'train:total_iter={stop}', cwd=workplace)  # fmt: skip
            assert done.returncode == 0, done.stderr
        file = workplace / 'experiments' / name / 'models' / 'net_g_4.pth'
        ends.append(torch.load(file, weights_only=True))
        assert find_ranges(file)
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=0)
