"""Losses against ground truth beside the teacher: BasicSR's own steps, parts of a batch, and what is said first."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from basicsr.archs import vgg_arch
from basicsr.losses.loss_util import get_refined_artifact_map
from basicsr.models import build_model
from torch import nn

from dukd_basicsr import options
from dukd_basicsr.distillation.ground_truth import GroundTruthTerms
from dukd_basicsr.errors import UserError
from dukd_basicsr.losses.fft_loss import FFTLoss
from dukd_basicsr.training.checks.networks import check_ground_truth
from tests.toys import L1, REPOSITORY, batch, train_options

PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv1_2': 0.5, 'conv2_1': 1.0}, 'style_weight': 2.0}
FFT = {'type': 'FFTLoss', 'loss_weight': 0.05}
LDL = {'type': 'L1Loss', 'loss_weight': 1.5}


@pytest.fixture
def _vgg(tmp_path, monkeypatch):
    """One VGG of random weights for all models, in place of torchvision's."""
    torch.manual_seed(5)
    layers = vgg_arch.vgg.make_layers(vgg_arch.vgg.cfgs['E'])
    made = type('Made', (), {'features': layers})
    monkeypatch.setattr(vgg_arch.vgg, 'vgg19', lambda pretrained: copy.deepcopy(made))
    monkeypatch.chdir(tmp_path)


def model_of(folder, kind='DistillModel', **train):
    torch.manual_seed(3)
    opt = train_options(folder, kind, **train)
    if kind == 'SRModel':
        del opt['train']['kd_opt']
        opt['network_t'] = None
    return build_model(opt)


def step(model, **kwargs):
    for iteration in (1, 2):
        model.feed_data(batch(4, size=16, seed=iteration))
        model.optimize_parameters(iteration)
    return {name: value.clone() for name, value in model.net_g.state_dict().items()}


@pytest.mark.usefixtures('_vgg')
def test_the_perceptual_loss_is_srmodels(tmp_path):
    without_teacher = {'kd_opt': {**L1, 'loss_weight': 0.0}}
    ours = model_of(tmp_path, perceptual_opt=PERCEPTUAL, **without_teacher)
    stock = model_of(tmp_path, 'SRModel', perceptual_opt=PERCEPTUAL)
    stock.net_g.load_state_dict(ours.net_g.state_dict())
    torch.testing.assert_close(step(ours), step(stock), rtol=0, atol=1e-6)
    log, expected = ours.get_current_log(), stock.get_current_log()
    assert {'l_percep', 'l_style'} <= log.keys()
    for name in ('l_pix', 'l_percep', 'l_style'):
        assert log[name] == pytest.approx(float(expected[name]), rel=1e-5)


@pytest.mark.usefixtures('_vgg')
@pytest.mark.parametrize('kind', ['DistillModel', 'DUKDModel'])
def test_parts_of_a_batch_add_up_to_it(tmp_path, kind):
    train = {'perceptual_opt': PERCEPTUAL, 'fft_opt': {**FFT, 'reduction': 'sum'}, 'ldl_opt': LDL}
    whole, parts = model_of(tmp_path, kind, **train), model_of(tmp_path, kind, accumulate=2, **train)
    parts.net_g.load_state_dict(whole.net_g.state_dict())
    parts.net_g_ema.load_state_dict(whole.net_g_ema.state_dict())
    torch.testing.assert_close(step(parts), step(whole), rtol=0, atol=2e-6)
    log, expected = parts.get_current_log(), whole.get_current_log()
    assert list(log) == list(expected)
    assert [name for name in log if name in ('l_percep', 'l_style', 'l_fft', 'l_ldl')] == [
        'l_percep', 'l_style', 'l_fft', 'l_ldl',
    ]  # fmt: skip
    assert all(log[name] == pytest.approx(value, rel=1e-4, abs=1e-7) for name, value in expected.items())


def test_artifacts_are_where_the_student_is_further_off_than_its_ema(tmp_path):
    model = model_of(tmp_path, ldl_opt=LDL)
    with torch.no_grad():
        for parameter in model.net_g_ema.parameters():
            parameter.add_(0.01 * torch.randn_like(parameter))
    data = batch(2, size=16)
    model.feed_data(data)
    with torch.no_grad():
        output, ema = model.net_g(data['lq']), model.net_g_ema(data['lq'])
        weight = get_refined_artifact_map(data['gt'], output.clone(), ema, 7)
        expected = 1.5 * (weight * (output - data['gt'])).abs().mean()
    model.optimize_parameters(1)
    assert model.get_current_log()['l_ldl'] == pytest.approx(expected.item(), rel=1e-5)
    assert all(parameter.grad is None for parameter in model.net_g_ema.parameters())


def test_the_spectrum_is_numpys():
    rng = np.random.default_rng(0)
    x, y = rng.random((2, 2, 3, 9, 12))
    spectrum = np.fft.rfft2(x) - np.fft.rfft2(y)
    total = np.abs(spectrum.real).sum() + np.abs(spectrum.imag).sum()
    images = [torch.from_numpy(each) for each in (x, y)]
    assert FFTLoss(2.0, 'sum')(*images).item() == pytest.approx(2 * total)
    assert FFTLoss(2.0)(*images).item() == pytest.approx(2 * total / (2 * spectrum.size))
    images[0].requires_grad_()
    images[1].requires_grad_()
    assert torch.autograd.gradcheck(lambda a: FFTLoss()(a, images[1]), images[:1], check_batched_grad=False)
    FFTLoss()(*images).backward()
    assert images[1].grad is None
    with pytest.raises(ValueError, match='neither mean nor sum'):
        FFTLoss(reduction='none')


def test_without_them_nothing_is_logged_and_the_ema_is_not_asked(tmp_path, monkeypatch):
    model = model_of(tmp_path)
    assert not model.ground_truth
    monkeypatch.setattr(model.net_g_ema, 'forward', lambda x: pytest.fail('asked'))
    model.feed_data(batch())
    model.optimize_parameters(1)
    assert list(model.get_current_log()) == ['l_pix', 'l_kd']


def test_a_dry_run_needs_no_file_of_vgg(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before, random = vgg_arch.vgg.vgg19, torch.get_rng_state()
    terms = GroundTruthTerms({'perceptual_opt': {**PERCEPTUAL, 'vgg_type': 'vgg19'}}, untrained=True)
    assert vgg_arch.vgg.vgg19 is before
    assert terms(*torch.rand(2, 1, 3, 16, 16)).keys() == {'l_percep', 'l_style'}
    del random


def of_file(**train):
    opt = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')
    opt['train'] |= train
    return opt


def test_what_is_wrong_is_said_before_the_first_iteration(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def offline(pretrained):
        raise OSError('no route to host')

    monkeypatch.setattr(vgg_arch.vgg, 'vgg19', offline)
    with pytest.raises(UserError) as caught:
        check_ground_truth(of_file(perceptual_opt=PERCEPTUAL))
    assert caught.value.messages == (
        "train.perceptual_opt: PerceptualLoss needs VGG's weights, which could not be had (no route to host); put "
        "torchvision's vgg19-dcbb9e9d.pth into experiments/pretrained_models.",
    )


@pytest.mark.usefixtures('_vgg')
@pytest.mark.parametrize('change', [{'layer_weights': {'conv9_9': 1}}, {'layer_weights': {}}, {'criterion': 'l2'}])
def test_arguments_that_make_no_perceptual_loss(change):
    with pytest.raises(UserError, match=r'train\.perceptual_opt: it cannot be built or does not compare two images \('):
        check_ground_truth(of_file(perceptual_opt={**PERCEPTUAL, **change}))
    check_ground_truth(of_file(perceptual_opt=PERCEPTUAL, fft_opt=FFT, ldl_opt=LDL))


def test_what_the_options_say():
    losses = {'perceptual_opt': {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': 1}}, 'fft_opt': FFT}
    assert options.check(of_file(**losses, ldl_opt=LDL), 'x.yml', True) == []
    opt = of_file(**losses, ldl_opt=LDL)
    opt |= {'model_type': 'SRModel', 'network_t': None}
    del opt['train']['kd_opt'], opt['train']['dukd_opt']
    assert options.check(opt, 'x.yml', True) == [
        f'x.yml: train.{name}: SRModel does not read it and trains without this loss; DistillModel and DUKDModel read '
        'it.'
        for name in ('fft_opt', 'ldl_opt')
    ]


@pytest.mark.usefixtures('_vgg')
def test_vgg_stays_as_it_is_and_out_of_the_checkpoint(tmp_path):
    model = model_of(tmp_path, perceptual_opt=PERCEPTUAL)
    vgg = model.ground_truth.losses['perceptual_opt'].vgg
    before = copy.deepcopy(vgg.state_dict())
    step(model)
    torch.testing.assert_close(vgg.state_dict(), before, rtol=0, atol=0)
    assert not any(parameter.requires_grad for parameter in vgg.parameters())
    trained = {id(parameter) for group in model.optimizer_g.param_groups for parameter in group['params']}
    assert trained == {id(parameter) for parameter in model.net_g.parameters()}
    assert isinstance(model.ground_truth, nn.Module)
    assert not any(key.startswith('vgg') for key in model.training_state())
