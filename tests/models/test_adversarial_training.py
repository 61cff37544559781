"""A student that a discriminator trains beside its teacher: BasicSR's own steps, and what else a run has."""

from __future__ import annotations

import copy

import pytest
import torch
from basicsr.archs import vgg_arch
from basicsr.models import build_model

from dukd_basicsr.errors import UserError
from tests.toys import L1, batch, train_options

UNET = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
VGG = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 2, 'input_size': 128}
PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv1_2': 0.5, 'conv2_1': 1.0}, 'style_weight': 2.0}
ADAM = {'type': 'Adam', 'lr': 2e-3, 'betas': [0.9, 0.99]}
MULTI = {'type': 'MultiScaleGANLoss', 'gan_type': 'lsgan'}
GAN_TERMS = ('l_g_gan', 'l_d_real', 'out_d_real', 'l_d_fake', 'out_d_fake')


def gan_options(folder, kind='DistillModel', network_d=UNET, gan_type='vanilla', **train):
    gan = {'type': 'GANLoss', 'gan_type': gan_type, 'real_label_val': 1.0, 'fake_label_val': 0.0, 'loss_weight': 0.1}
    opt = train_options(folder, kind, **{'gan_opt': gan, 'optim_d': ADAM, **train})
    opt['network_d'] = network_d
    if kind == 'SRGANModel':
        del opt['train']['kd_opt']
        opt['network_t'] = None
    return copy.deepcopy(opt)


def start_alike(model, other):
    for name in ('net_g', 'net_g_ema', 'net_d'):
        getattr(other, name).load_state_dict(getattr(model, name).state_dict())


def step(model, iteration, side=16, samples=3):
    model.feed_data(batch(samples, size=side // 2, seed=iteration))
    model.optimize_parameters(iteration)
    return dict(model.get_current_log())


@pytest.fixture
def _vgg(tmp_path, monkeypatch):
    """One VGG of random weights for all models, in place of torchvision's."""
    torch.manual_seed(5)
    made = type('Made', (), {'features': vgg_arch.vgg.make_layers(vgg_arch.vgg.cfgs['E'])})
    monkeypatch.setattr(vgg_arch.vgg, 'vgg19', lambda pretrained: copy.deepcopy(made))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures('_vgg')
@pytest.mark.parametrize(
    ('network_d', 'gan_type', 'side', 'train'),
    [
        (UNET, 'vanilla', 16, {'perceptual_opt': PERCEPTUAL}),
        (UNET, 'lsgan', 16, {}),
        (UNET, 'wgan', 16, {'grad_clip': 0.05}),
        (UNET, 'wgan_softplus', 24, {'net_d_iters': 2}),
        (UNET, 'hinge', 16, {'net_d_init_iters': 2, 'perceptual_opt': PERCEPTUAL}),
        (VGG, 'vanilla', 128, {'net_d_iters': 2, 'net_d_init_iters': 2}),
    ],
)
def test_steps_are_srganmodels(tmp_path, network_d, gan_type, side, train):
    ours = build_model(
        gan_options(tmp_path, 'DistillModel', network_d, gan_type, kd_opt={**L1, 'loss_weight': 0.0}, **train)
    )
    stock = build_model(gan_options(tmp_path, 'SRGANModel', network_d, gan_type, **train))
    start_alike(ours, stock)
    before = {name: copy.deepcopy(getattr(ours, name).state_dict()) for name in ('net_g', 'net_d')}
    for iteration in range(1, 6):
        found, expected = step(ours, iteration, side), step(stock, iteration, side)
        expected = {name if name == 'l_g_gan' else name.replace('l_g_', 'l_'): each for name, each in expected.items()}
        assert set(found) - {'l_kd'} == set(expected)
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5, abs=1e-6)
    for name in ('net_g', 'net_g_ema', 'net_d'):
        states = [getattr(model, name).state_dict() for model in (ours, stock)]
        torch.testing.assert_close(*states, rtol=0, atol=1e-6)
    for name, state in before.items():
        assert max(difference(getattr(ours, name).state_dict(), state)) > 1e-3


def difference(state, other):
    return [(value - other[name]).abs().max().item() for name, value in state.items()]


def copy_of(model):
    """All that a step may change."""
    networks = [copy.deepcopy(getattr(model, name).state_dict()) for name in ('net_g', 'net_g_ema', 'net_d')]
    return networks, [copy.deepcopy(each.state_dict()['state']) for each in model.optimizers]


@pytest.mark.parametrize('network_d', [UNET, VGG], ids=['spectral norm', 'batch norm'])
@pytest.mark.parametrize('wrong', ['lq', 'gt', 'label', 'iteration of the discriminator alone'])
def test_a_bad_batch_changes_nothing_in_either_network(tmp_path, monkeypatch, network_d, wrong):
    """Whichever loss or gradient it spoils: no weight, no average, no statistic of a norm."""
    side = network_d.get('input_size', 16)
    model = build_model(gan_options(tmp_path, 'DistillModel', network_d, net_d_init_iters=int('alone' in wrong)))
    step(model, 2, side)
    before = copy_of(model)
    model.guard.after_step(2, {}, model.log_dict, tmp_path)
    bad = batch(3, size=side // 2, seed=1)
    if wrong == 'label':
        monkeypatch.setattr(model.net_t.net, 'forward', lambda lq: torch.full((*lq.shape[:2], side, side), torch.inf))
    else:
        bad['gt' if wrong == 'gt' else 'lq'][0, 0, 0, 0] = torch.nan
    model.feed_data(bad)
    model.optimize_parameters(1)
    torch.testing.assert_close(copy_of(model), before, rtol=0, atol=0)
    model.guard.after_step(1, bad, model.log_dict, tmp_path)
    assert model.guard.skipped == 1
    monkeypatch.undo()
    step(model, 3, side)
    for name, state in zip(('net_g', 'net_g_ema', 'net_d'), before[0], strict=True):
        assert max(difference(getattr(model, name).state_dict(), state)) > 0
        assert all(value.isfinite().all() for value in getattr(model, name).state_dict().values())


@pytest.mark.parametrize('spoiled', ['net_g', 'net_d'])
def test_a_gradient_of_one_network_that_is_not_finite_stops_both(tmp_path, spoiled):
    """The losses are fine: only the gradient overflows."""
    model = build_model(gan_options(tmp_path))
    step(model, 1)
    before = copy_of(model)
    model.guard.after_step(1, {}, model.log_dict, tmp_path)
    next(getattr(model, spoiled).parameters()).register_hook(lambda grad: grad * torch.inf)
    log = step(model, 2)
    assert all(torch.isfinite(torch.tensor(value)) for value in log.values())
    torch.testing.assert_close(copy_of(model), before, rtol=0, atol=0)


def test_while_the_discriminator_trains_alone_the_student_stays_and_the_teacher_is_not_asked(tmp_path, monkeypatch):
    model = build_model(gan_options(tmp_path, net_d_init_iters=2, net_d_iters=2))
    monkeypatch.setattr(model.net_t, 'forward', lambda lq: pytest.fail('asked'))
    student, discriminator = (copy.deepcopy(net.state_dict()) for net in (model.net_g, model.net_d))
    for iteration in (1, 2, 3):
        assert list(step(model, iteration)) == ['l_d_real', 'out_d_real', 'l_d_fake', 'out_d_fake']
        assert all(parameter.grad is None for parameter in model.net_g.parameters())
    assert max(difference(model.net_g.state_dict(), student)) == 0
    assert max(difference(model.net_d.state_dict(), discriminator)) > 0
    monkeypatch.undo()
    assert list(step(model, 4)) == ['l_pix', 'l_kd', *GAN_TERMS]
    assert max(difference(model.net_g.state_dict(), student)) > 0


@pytest.mark.usefixtures('real_device')  # autocast
@pytest.mark.parametrize(
    ('network_d', 'train'),
    [
        (UNET, {'amp': 'bf16', 'teacher_opt': {'precision': 'bf16'}}), (VGG, {'amp': 'bf16'}),
        (UNET, {'channels_last': True, 'grad_clip': 1.0}), (VGG, {'dukd_opt': {**L1, 'in_batch': 0.5}}),
        (UNET, {'optim_d': {'type': 'RMSprop', 'lr': 1e-3}, 'gan_opt': MULTI}),
        (UNET, {'dukd_opt': {**L1, 'consistency': {'prob': 1.0, 'views': ['lq']}}, 'ldl_opt': L1}),
        (UNET, {'feature_opt': {'at': {'type': 'FitNetLoss'}}}),
    ],
    ids=['bf16', 'bf16 and batch norm', 'channels last, clipped', 'in the batch', 'another loss, not fused', 'turned',
         'features'],
)  # fmt: skip
def test_whatever_else_a_dukdmodel_trains_with(tmp_path, network_d, train):
    side = network_d.get('input_size', 16)
    model = build_model(gan_options(tmp_path, 'DUKDModel', network_d, **train))
    networks = model.net_g, model.net_d
    before = [copy.deepcopy(net.state_dict()) for net in networks]
    for iteration in (1, 2):
        log = step(model, iteration, side, samples=4)
    assert set(GAN_TERMS) <= log.keys()
    assert all(torch.isfinite(torch.tensor(value)) for value in log.values())
    for net, state in zip(networks, before, strict=True):
        assert max(difference(net.state_dict(), state)) > 1e-4
    assert all(parameter.requires_grad for parameter in model.net_d.parameters())


def test_what_the_discriminator_is_shown_is_the_answer_turned_back_and_its_ground_truth(tmp_path, monkeypatch):
    consistency = {'ops': ['hflip'], 'prob': 1.0, 'views': ['lq']}
    model = build_model(
        gan_options(tmp_path, 'DUKDModel', dukd_opt={**L1, 'in_batch': 0.5, 'consistency': consistency})
    )
    with torch.no_grad():
        data = batch(4, size=8)
        answers = model.net_g(data['lq'].flip(-1)).flip(-1)
    shown = []
    monkeypatch.setattr(model.adversary, 'show', lambda *images: shown.append(images))
    monkeypatch.setattr(model.adversary, 'learn', lambda scale: {})
    monkeypatch.setattr(model, '_update', lambda loss, *_: None)
    model.feed_data(data)
    model.optimize_parameters(1)
    (real, output), = shown  # fmt: skip
    places = [next(k for k in range(4) if torch.equal(data['gt'][k], each)) for each in real]
    assert len(places) == len(set(places)) == 2
    torch.testing.assert_close(output, answers[places], rtol=0, atol=1e-6)


def test_both_rates_follow_the_one_schedule(tmp_path):
    opt = gan_options(tmp_path, scheduler={'type': 'MultiStepLR', 'milestones': [2], 'gamma': 0.5})
    model = build_model(opt)
    rates = []
    for iteration in (1, 2, 3):
        model.update_learning_rate(iteration, warmup_iter=-1)
        step(model, iteration)
        rates.append([optimizer.param_groups[0]['lr'] for optimizer in model.optimizers])
    assert rates == [[1e-3, 2e-3], [1e-3, 2e-3], [0.5e-3, 1e-3]]


@pytest.mark.parametrize('network_d', [UNET, VGG], ids=['UNet', 'VGG'])
def test_a_state_and_its_networks_are_all_that_the_next_step_depends_on(tmp_path, network_d):
    side = network_d.get('input_size', 16)
    opt = gan_options(tmp_path, 'DUKDModel', network_d, dukd_opt=L1)
    model = build_model(copy.deepcopy(opt))
    for iteration in (1, 2):
        step(model, iteration, side)
    model.save(0, 2)
    expected = [step(model, iteration, side) for iteration in (3, 4)]
    opt['path'] |= {f'pretrain_network_{each}': str(tmp_path / f'net_{each}_2.pth') for each in 'gd'}
    opt['path']['resume_state'] = str(tmp_path / '2.state')
    torch.manual_seed(99)
    other = build_model(opt)
    state = torch.load(tmp_path / '2.state', weights_only=True)
    assert set(state['files']) == {'net_g_2.pth', 'net_d_2.pth'}
    other.resume_training(state)
    assert [step(other, iteration, side) for iteration in (3, 4)] == expected
    torch.testing.assert_close(copy_of(other), copy_of(model), rtol=0, atol=0)


def test_a_state_without_a_discriminator_is_not_taken_for_one_with(tmp_path):
    plain = build_model(train_options(tmp_path, 'DistillModel'))
    plain.save(0, 1)
    model = build_model(gan_options(tmp_path))
    with pytest.raises(UserError, match='has 1 optimizers, but this model has 2'):
        model.resume_training(torch.load(tmp_path / '1.state', weights_only=True))


def test_one_scaler_is_that_of_both_and_a_step_that_overflows_is_made_by_neither(tmp_path):
    """What fp16 trains with, here in float32, where a scale that is a power of two changes no bit."""
    plain, scaled = (build_model(gan_options(tmp_path)) for _ in range(2))
    overflowing = build_model(gan_options(tmp_path, pixel_opt={**L1, 'loss_weight': 1e3}))  # the student's loss alone
    for model, scale in ((scaled, 2.0**10), (overflowing, 2.0**127)):
        start_alike(plain, model)
        model.scaler = torch.amp.GradScaler('cpu', init_scale=scale)
    for iteration in (1, 2):
        assert step(scaled, iteration) == step(plain, iteration)
    torch.testing.assert_close(copy_of(scaled)[0], copy_of(plain)[0], rtol=0, atol=1e-7)
    before = copy_of(overflowing)[0]
    step(overflowing, 1)
    torch.testing.assert_close(copy_of(overflowing)[0], before, rtol=0, atol=0)
    assert all(each['step'] == 0 for optimizer in overflowing.optimizers for each in optimizer.state.values())
    assert overflowing.scaler.get_scale() == 2.0**126
    overflowing.guard.after_step(1, {}, overflowing.log_dict, tmp_path)
    assert overflowing.guard.skipped == 0  # it is how the scaler finds its scale


@pytest.mark.usefixtures('real_device')
def test_a_compiled_student_trains_with_a_discriminator_that_is_not(tmp_path, monkeypatch):
    stock_compile = torch.compile
    monkeypatch.setattr(torch, 'compile', lambda f, **named: stock_compile(f, backend='eager', **named))
    torch._dynamo.reset()
    plain, compiled = (build_model(gan_options(tmp_path, compile=on, net_d_iters=2)) for on in (False, True))
    start_alike(plain, compiled)
    for iteration in (1, 2, 3, 4):
        assert step(compiled, iteration) == pytest.approx(step(plain, iteration), rel=1e-4)
    states = [model.net_g.state_dict() for model in (plain, compiled)]
    torch.testing.assert_close(*states, rtol=1e-4, atol=1e-5)
