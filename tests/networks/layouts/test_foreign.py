"""EDSR-PyTorch's and RCAN's files against their own arithmetic, and how they reach a network of BasicSR."""

import logging

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dukd_basicsr.distillation.teacher import build_teacher
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import layouts
from dukd_basicsr.networks.weights import build_network, load_into, read_weights
from tests.networks.layouts.originals import MEAN, original_edsr, original_rcan
from tests.toys import train_options


def assert_same_pictures(original, layout, value_range=255.0):
    net = build_network(layout.network)
    net.load_state_dict(layout.weights, strict=True)
    x = torch.rand(1, 3, 9, 7)
    with torch.no_grad():
        torch.testing.assert_close(net(x), original(x * value_range) / value_range, rtol=0, atol=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 3), st.integers(2, 6), st.sampled_from([2, 3, 4]), st.sampled_from([(255.0, 1.0), (1.0, 1.0),
       (255.0, 127.5), (1.0, 0.5)]))  # fmt: skip
def test_edsr_computes_what_its_original_computes(blocks, features, scale, shift):
    value_range, std = shift
    original = original_edsr(features, blocks, scale, value_range=value_range, std=std)
    layout = layouts.recognise(original.state_dict())
    assert (layout.name, layout.assumed) == ('EDSR-PyTorch', ('res_scale',))
    assert layout.network['rgb_mean'] == pytest.approx(MEAN, abs=1e-6)
    assert layout.network['img_range'] == pytest.approx(value_range / std)
    assert_same_pictures(original, layout, value_range)


@settings(max_examples=10, deadline=None)
@given(st.integers(1, 2), st.integers(1, 3), st.sampled_from([2, 3, 4]), st.sampled_from([255.0, 1.0]))
def test_rcan_computes_what_its_original_computes(groups, blocks, scale, value_range):
    original = original_rcan(8, groups, blocks, 2, scale, value_range=value_range)
    layout = layouts.recognise(original.state_dict())
    assert layout.network == {
        'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_group': groups, 'num_block': blocks,
        'squeeze_factor': 4, 'upscale': scale, 'res_scale': 1.0, 'img_range': value_range, 'rgb_mean': list(MEAN),
    }  # fmt: skip
    assert (layout.notes, layout.assumed) == ((), ())
    assert_same_pictures(original, layout, value_range)


def test_without_mean_shift_the_range_is_assumed_and_said():
    weights = {name: value for name, value in original_edsr().state_dict().items() if '_mean' not in name}
    layout = layouts.recognise(weights)
    assert layout.assumed == ('res_scale', 'img_range', 'rgb_mean')
    zero = original_edsr(value_range=0.0)
    layout = layouts.recognise(zero.state_dict())
    assert layout.network['rgb_mean'] == [0, 0, 0]
    assert layout.assumed == ('res_scale', 'img_range')
    assert_same_pictures(zero, layout)


def test_an_assumed_range_does_not_contradict_the_options(tmp_path):
    weights = {name: value for name, value in original_edsr().state_dict().items() if '_mean' not in name}
    torch.save(weights, tmp_path / 'edsr.pt')
    read = read_weights(tmp_path / 'edsr.pt')
    net = build_network({**read.layout.network, 'img_range': 1.0, 'rgb_mean': [0.5, 0.5, 0.5]})
    assert load_into(net, read, 'edsr.pt') == []


def mix_colours(net):
    net.sub_mean.weight.data[0, 1] = 0.5


def weigh_colours(net):
    net.add_mean.weight.data[2, 2] = 0.5


def negate(net):
    net.sub_mean.weight.data *= -1


def undo_less(net):
    net.add_mean.bias.data *= 0.5


def undo_twice(net):
    net.add_mean.weight.data *= 2


def strange_range(net):
    for shift in (net.sub_mean, net.add_mean):
        shift.bias.data *= 65535 / 255


def negative_mean(net):
    for shift in (net.sub_mean, net.add_mean):
        shift.bias.data *= -1


@pytest.mark.parametrize('make', [original_edsr, original_rcan])
@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (mix_colours, r'sub_mean\.weight is no scaled identity'),
        (weigh_colours, r'add_mean\.weight is no scaled identity'),
        (negate, r'sub_mean\.weight is no scaled identity'),
        (undo_less, 'add_mean does not undo sub_mean'),
        (undo_twice, 'add_mean does not undo sub_mean'),
        (strange_range, 'neither in 0..255 nor in 0..1'),
        (negative_mean, 'neither in 0..255 nor in 0..1'),
        (lambda net: delattr(net, 'add_mean'), r'only sub_mean\.weight, sub_mean\.bias are there'),
    ],
)
def test_an_odd_mean_shift_is_refused_with_its_reason_and_file(tmp_path, make, change, reason):
    net = make()
    change(net)
    torch.save(net.state_dict(), tmp_path / 'odd.pt')
    with pytest.raises(UserError, match=rf'odd\.pt: .*{reason}'):
        read_weights(tmp_path / 'odd.pt')


def test_other_networks_with_a_head_and_a_tail_are_left_alone(tmp_path):
    weights = original_edsr().state_dict() | {'body.0.norm.weight': torch.ones(4)}
    assert layouts.recognise(weights) is None
    twice = original_edsr().state_dict()  # a second convolution after the blocks would have the first one's name
    assert layouts.recognise(twice | {'body.3.weight': twice['body.2.weight']}) is None
    torch.save(weights, tmp_path / 'other.pt')
    assert read_weights(tmp_path / 'other.pt').keys() == weights.keys()


@pytest.mark.parametrize('prefix', ['', 'module.'])
@pytest.mark.parametrize('wrapper', [None, 'params', 'state_dict', 'model', 'net'])
def test_read_weights_returns_basicsr_names(tmp_path, prefix, wrapper):
    original = original_edsr()
    weights = {prefix + name: value for name, value in original.state_dict().items()}
    torch.save({wrapper: weights, 'epoch': 3} if wrapper else weights, tmp_path / 'edsr.pt')
    read = read_weights(tmp_path / 'edsr.pt')
    assert read.param_key == wrapper
    net = build_network(read.layout.network)
    assert load_into(net, read, 'edsr.pt') == []
    assert torch.equal(net.conv_first.weight, original.head[0].weight)


def test_a_network_with_the_names_of_the_file_loads_it_as_it_is(tmp_path):
    original, own = original_rcan(), original_rcan()
    torch.save(original.state_dict(), tmp_path / 'rcan.pt')
    assert load_into(own, read_weights(tmp_path / 'rcan.pt'), 'rcan.pt') == []
    torch.testing.assert_close(own.state_dict(), original.state_dict(), rtol=0, atol=0)


def test_two_wrappers_are_ambiguous(tmp_path):
    torch.save({name: original_edsr().state_dict() for name in ('model', 'net')}, tmp_path / 'x.pt')
    with pytest.raises(UserError, match='under param_key "params"; the file holds "model", "net"'):
        read_weights(tmp_path / 'x.pt')


def test_a_range_that_the_file_contradicts_is_refused(tmp_path):
    torch.save(original_edsr().state_dict(), tmp_path / 'edsr.pt')
    weights = read_weights(tmp_path / 'edsr.pt')
    wrong = build_network({**weights.layout.network, 'img_range': 1.0, 'rgb_mean': [0.5, 0.5, 0.5]})
    with pytest.raises(UserError, match=r'img_range is 255\.0 in the file, 1\.0 in the network; rgb_mean is .*'
                       r'fits network_g: \{type: EDSR.*img_range: 255\.0'):  # fmt: skip
        load_into(wrong, weights, 'edsr.pt')


def test_a_teacher_of_a_foreign_layout(tmp_path):
    original = original_edsr(scale=2)
    opt = train_options(tmp_path)
    torch.save(original.state_dict(), opt['path']['pretrain_network_t'])
    with pytest.raises(UserError, match=r'fits network_t: \{type: EDSR, .*num_feat: 4, num_block: 2') as error:
        build_teacher(opt)
    opt['network_t'] = yaml.safe_load(str(error.value).partition('fits network_t: ')[2].removesuffix('.'))
    teacher, x = build_teacher(opt), torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(teacher(x), original(x * 255) / 255, rtol=0, atol=1e-5)


class Host:
    """As much of a BasicSR model as its load_network needs."""

    def get_bare_model(self, net):
        return getattr(net, 'module', net)


@pytest.fixture
def log():
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(f'{record.levelname} {record.getMessage()}')
    logger = logging.getLogger('basicsr')
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield lines
    logger.removeHandler(handler)
    logger.setLevel(level)


def load_network(*arguments):
    from basicsr.models.base_model import BaseModel

    BaseModel.load_network(Host(), *arguments)


def test_pretrain_network_g_of_a_foreign_layout(tmp_path, log):
    original, path = original_rcan(), str(tmp_path / 'rcan.pt')
    torch.save(original.state_dict(), path)
    net = build_network(layouts.recognise(original.state_dict()).network)
    load_network(net, path)
    assert torch.equal(net.conv_last.weight, original.tail[1].weight)
    assert f'INFO Loading RCAN model from {path}, with param key: [None].' in log
    torch.save({'params': net.state_dict()}, path)
    log.clear()
    load_network(net, path, True, 'params_ema')
    assert log == [
        'INFO Loading: params_ema does not exist, use params.',
        f'INFO Loading RCAN model from {path}, with param key: [params].',
    ]


def test_an_x4_student_starts_from_an_x3_student(tmp_path, log):
    options = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1}
    donor, path = build_network({**options, 'upscale': 3}), str(tmp_path / 'x3.pth')
    torch.save({'params': donor.state_dict()}, path)
    net = build_network({**options, 'upscale': 4})
    fresh = net.upsample[2].weight.clone()
    load_network(net, path, False)
    assert torch.equal(net.body[0].conv1.weight, donor.body[0].conv1.weight)
    assert torch.equal(net.upsample[2].weight, fresh)
    listed = [line.split()[1] for line in log if line.startswith('WARNING   ')]
    assert listed == [f'upsample.{place}.{kind}' for place in (0, 2) for kind in ('weight', 'bias')]
    with pytest.raises(UserError, match=r'does not fit EDSR as configured: upsample\.0\.weight .*upscale: 3'):
        load_network(net, path, True)
