"""Memory format and compilation change how a step is computed, and neither what it computes nor what is saved."""

import copy
import shutil
from types import SimpleNamespace

import pytest
import torch
from basicsr.models import build_model

from dukd_basicsr.compat import calculate_mask, stock
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import acceleration as tuning
from dukd_basicsr.networks.weights import build_network
from dukd_basicsr.networks.window_masks import make_window_mask
from tests.toys import SWINIR, TEACHER, batch, save_weights, train_options


def with_options(opt, **train):
    return build_model(copy.deepcopy({**opt, 'train': {**opt['train'], **train}}))


def steps(model, first, last):
    for iteration in range(first, last + 1):
        model.feed_data(batch(samples=3, seed=iteration))
        model.optimize_parameters(iteration)
    return model


def options_of_one_student(folder):
    opt = train_options(folder)
    save_weights(folder / 'student.pth', opt['network_g'])
    opt['path']['pretrain_network_g'] = str(folder / 'student.pth')
    return opt


def is_channels_last(tensor):
    return tensor.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.usefixtures('device')
def test_channels_last_is_the_same_training(tmp_path):
    opt = options_of_one_student(tmp_path)
    plain, model = steps(with_options(opt), 1, 3), steps(with_options(opt, channels_last=True), 1, 3)
    for net in (model.net_g, model.net_g_ema, model.net_t.net):
        assert is_channels_last(net.body[0].conv1.weight)
    moments = model.optimizer_g.state[model.net_g.body[0].conv1.weight]
    assert is_channels_last(model.net_g.body[0].conv1.weight.grad)
    assert is_channels_last(moments['exp_avg'])
    torch.testing.assert_close(dict(model.net_g.state_dict()), dict(plain.net_g.state_dict()), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(
        dict(model.net_g_ema.state_dict()), dict(plain.net_g_ema.state_dict()), rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize(('before', 'after'), [(False, True), (True, False)])
@pytest.mark.usefixtures('real_device')
def test_a_resumed_run_may_change_its_memory_format(tmp_path, before, after):
    opt = options_of_one_student(tmp_path)
    expected = steps(with_options(opt), 1, 4)
    stopped = steps(with_options(opt, channels_last=before), 1, 2)
    stopped.save(0, 2)
    opt['path']['pretrain_network_g'] = str(tmp_path / 'net_g_2.pth')
    resumed = with_options(opt, channels_last=after)
    resumed.resume_training(torch.load(tmp_path / '2.state', weights_only=True))
    steps(resumed, 3, 4)
    torch.testing.assert_close(
        dict(resumed.net_g.state_dict()), dict(expected.net_g.state_dict()), rtol=1e-4, atol=1e-6
    )


@pytest.mark.usefixtures('real_device')
def test_compiled_training_is_the_same_and_so_is_what_it_saves(tmp_path, monkeypatch):
    compiled = []

    def compile_eagerly(graph, inputs):
        compiled.append([tuple(each.shape) for each in inputs if each.dim() == 4 and each.shape[1] == 3])
        return graph

    stock_compile = torch.compile
    monkeypatch.setattr(torch, 'compile', lambda f, **named: stock_compile(f, backend=compile_eagerly, **named))
    torch._dynamo.reset()
    opt = options_of_one_student(tmp_path)
    plain, model = steps(with_options(opt), 1, 2), steps(with_options(opt, compile=True), 1, 2)
    # Two sizes each for student and teacher, whose batches of three are 2 + 1 on the CPU.
    graphs = 4 + (model.device.type == 'cpu')
    assert len(compiled) == graphs
    torch.testing.assert_close(dict(model.net_g.state_dict()), dict(plain.net_g.state_dict()), rtol=1e-4, atol=1e-6)
    assert list(model.net_t.net.state_dict()) == list(build_network(TEACHER).state_dict())
    del model.net_g_ema
    for size in (5, 6, 7):  # a test image of every size would be another compilation
        model.feed_data(batch(1, size=size))
        model.test()
    assert len(compiled) == graphs
    assert model.output.shape == (1, 3, 14, 14)


def test_without_a_compiler_a_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv('CXX', 'no-such-compiler')
    with pytest.raises(UserError, match=r'train\.compile: compiling for the CPU needs a C\+\+ compiler and there is no '
                                        'no-such-compiler; install it, name another'):  # fmt: skip
        build_model(train_options(tmp_path, compile=True))
    monkeypatch.setattr(tuning.importlib.util, 'find_spec', lambda name: None)
    assert tuning.find_missing_compiler(torch.device('cuda')).startswith('compiling for a GPU needs the package triton')
    monkeypatch.setenv('CXX', shutil.which('python3') or 'python3')
    assert tuning.find_missing_compiler(torch.device('cpu')) is None


def test_one_process_for_several_gpus_cannot_be_compiled(tmp_path):
    model = build_model(train_options(tmp_path))
    model.net_g = torch.nn.DataParallel(model.net_g)
    with pytest.raises(UserError, match=r'train\.compile: .* add --launcher pytorch'):
        model._compile()


@pytest.mark.parametrize(
    ('height', 'width', 'window', 'shift'), [(16, 24, 8, 4), (8, 8, 8, 4), (8, 16, 8, 0), (12, 8, 4, 1), (7, 14, 7, 3)]
)
def test_masks_are_stocks(height, width, window, shift):
    expected = stock(calculate_mask)(SimpleNamespace(window_size=window, shift_size=shift), (height, width))
    found = make_window_mask(height, width, window, shift, torch.device('cpu'))
    assert found.dtype == expected.dtype
    assert torch.equal(found, expected)
    assert make_window_mask(height, width, window, shift, torch.device('cpu')) is found


def test_swinir_asks_for_masks_of_its_own_and_answers_as_stock(monkeypatch):
    torch.manual_seed(0)
    net = build_network(SWINIR).eval()
    blocks = [module for module in net.modules() if hasattr(module, 'calculate_mask')]
    lq = torch.rand(1, 3, 12, 16)
    with torch.no_grad():
        found = net(lq)
        monkeypatch.setattr(type(blocks[0]), 'calculate_mask', stock(calculate_mask))
        assert torch.equal(found, net(lq))
    assert len({module.attn_mask.data_ptr() for module in blocks if module.attn_mask is not None}) == 1
