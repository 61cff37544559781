"""Keys of a discriminator: all together or none, and what of a run goes with one."""

from __future__ import annotations

import pytest

from dukd_basicsr import options
from dukd_basicsr.errors import UserError
from dukd_basicsr.training.checks.adversary import check_adversary
from tests.toys import DELETE, REPOSITORY, changed, save_weights

DUKD = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')
UNET = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 8, 'skip_connection': True}
VGG = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 8}
GAN = {
    'network_d': UNET, 'path.pretrain_network_d': None, 'path.strict_load_d': True, 'path.param_key_d': 'params',
    'train.gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0,
                      'loss_weight': 0.1},
    'train.optim_d': {'type': 'Adam', 'lr': 1e-4, 'weight_decay': 0, 'betas': [0.9, 0.99]},
    'train.net_d_iters': 1, 'train.net_d_init_iters': 0,
}  # fmt: skip
SIZE = 'datasets.train.gt_size'


def said(changes):
    try:
        return options.check(changed(DUKD, changes), 'x.yml', True)
    except options.OptionsError as error:
        return [message.removeprefix('x.yml: ') for message in error.messages]


@pytest.mark.parametrize(
    'changes',
    [
        {}, {'train.gan_opt': {'type': 'GANLoss', 'gan_type': 'wgan_softplus'}},
        {'network_d': VGG, SIZE: 128}, {'network_d': {**VGG, 'input_size': 256}, SIZE: 256},
        {'train.compile': True, 'train.channels_last': True}, {'train.amp': 'fp16'},
        {'train.dukd_opt.zoom_out': None, 'train.dukd_opt.in_batch': 0.5},
        {'train.optim_d': {'type': 'SGD', 'lr': 0.1}, 'train.net_d_iters': 5, 'train.net_d_init_iters': 1000},
        {'model_type': 'DistillModel', 'train.dukd_opt': None}, {'model_type': 'SRGANModel'},
    ],
)  # fmt: skip
def test_what_goes_together_is_accepted_without_a_word(changes):
    assert said({**GAN, **changes}) == []


def test_all_of_them_may_be_switched_off():
    assert said(dict.fromkeys(('network_d', 'path.pretrain_network_d', 'train.gan_opt', 'train.optim_d'))) == []


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'network_d': None},
         'network_d: missing key: train.gan_opt needs a discriminator, e.g. {type: UNetDiscriminatorSN, num_in_ch: '
         '3}.'),
        ({'train.optim_d': None},
         'train.optim_d: missing key: it trains network_d, e.g. {type: Adam, lr: !!float 1e-4}.'),
        ({'train.gan_opt.gan_type': DELETE}, 'train.gan_opt.gan_type: missing key: how scores become a loss: '
         'cross-entropy, squares, scores themselves, softplus, hinge; e.g. vanilla.'),
        ({'train.gan_opt.weight': 1}, 'train.gan_opt.weight: unknown key. Did you mean "loss_weight"?'),
        ({'train.gan_opt.loss_weight': -1}, 'train.gan_opt.loss_weight: -1 is too small; the least is 0.'),
        ({'train.gan_opt': {'type': 'GANLos', 'gan_type': 'hinge'}},
         'train.gan_opt.type: "GANLos" is not registered. Did you mean "GANLoss"? For one of your own, add --import '
         'FILE.py.'),
        ({'network_d.type': 'UNetDiscriminator'}, 'network_d.type: "UNetDiscriminator" is not registered. Did you mean '
         '"UNetDiscriminatorSN"? For one of your own, add --import FILE.py.'),
        ({'network_d.num_feats': 8}, 'network_d.num_feats: unknown key. Did you mean "num_feat"?'),
        ({SIZE: 100, 'train.dukd_opt.zoom_out': None},
         'network_d: UNetDiscriminatorSN takes patches of a multiple of 8, but datasets.train.gt_size: 100; write e.g. '
         'gt_size: 96.'),
        ({'network_d': VGG, SIZE: 256}, 'network_d.input_size: 128 by default, but datasets.train.gt_size: 256; write '
         'input_size: 256, or take UNetDiscriminatorSN.'),
        ({'network_d': {**VGG, 'input_size': 256}}, 'network_d.input_size: 256, but datasets.train.gt_size: 192; write '
         'gt_size: 256, or take UNetDiscriminatorSN.'),
        ({'network_d': {**VGG, 'input_size': 192}},
         'network_d.input_size: 192 is not possible; VGGStyleDiscriminator takes patches of 128 or 256.'),
        ({'network_d': VGG, SIZE: 128, 'train.channels_last': True}, 'train.channels_last: VGGStyleDiscriminator '
         'flattens its features as they lie in memory; write channels_last: false.'),
        ({'train.net_d_iters': 0}, 'train.net_d_iters: 0 is too small; the least is 1.'),
        ({'train.net_d_init_iters': -1}, 'train.net_d_init_iters: -1 is too small; the least is 0.'),
        ({'train.optim_d.betas': [0.9]}, 'train.optim_d.betas: [0.9] has not two numbers; write e.g. [0.9, 0.99].'),
        ({'train.optim_d': {'type': 'RMSprop', 'lr': 1e-4}, 'train.amp': 'fp16'},
         'train.amp: fp16 finds its scale by steps that are skipped, for which an optimizer must be fused: Adam, '
         'AdamW, SGD without dampening; write bf16, or one of these.'),
        ({'train.gan_opt': None, 'network_d': None},
         'train.optim_d: no loss trains a discriminator; add train.gan_opt: {type: GANLoss, gan_type: vanilla}, or '
         'leave it out.'),
        ({'train.gan_opt': None, 'network_d': None, 'train.optim_d': None, 'path.pretrain_network_d': 'x.pth'},
         'path.pretrain_network_d: no loss trains a discriminator; add train.gan_opt: {type: GANLoss, gan_type: '
         'vanilla}, or leave it out.'),
        ({'train.feature_opt': {'g_gan': {'type': 'FitNetLoss'}}},
         'train.feature_opt.g_gan: l_g_gan is logged already; write another name.'),
    ],
)  # fmt: skip
def test_what_does_not_is_a_sentence(changes, sentence):
    assert said({**GAN, **changes}) == [sentence]


def test_counts_alone_are_a_warning():
    names = ('net_d_iters', 'net_d_init_iters')
    expected = [f'x.yml: train.{name}: nothing reads it: there is no train.gan_opt.' for name in names]
    assert said({'train.net_d_iters': 1, 'train.net_d_init_iters': 0}) == expected


def test_the_discriminator_is_asked_before_the_run(tmp_path):
    opt = changed(DUKD, {**GAN, 'datasets.train.gt_size': 32})
    net = check_adversary(opt)
    assert not any(parameter.grad is not None for parameter in net.parameters())
    saved = save_weights(tmp_path / 'd.pth', UNET)
    opt['path']['pretrain_network_d'] = str(tmp_path / 'd.pth')
    assert (check_adversary(opt).conv0.weight == saved.conv0.weight).all()
    assert check_adversary(changed(DUKD, {})) is None
    assert check_adversary(opt | {'model_type': 'SRGANModel'}) is None
    for changes, sentence in (
        ({'network_d.num_feat': -1}, r'network_d: UNetDiscriminatorSN cannot be built'),
        ({'network_d': {**VGG, 'input_size': 256}, 'path.pretrain_network_d': None},
         r'network_d: VGGStyleDiscriminator does not take patches of 32x32 with 3 channels \(AssertionError'),
        ({'network_d': VGG, 'path.pretrain_network_d': None, SIZE: 128, 'train.channels_last': True},
         r'network_d: VGGStyleDiscriminator does not take patches of 128x128 with 3 channels \(RuntimeError: view'),
        ({'train.gan_opt': {'type': 'L1Loss'}}, r'train\.gan_opt: L1Loss does not judge scores \('),
    ):  # fmt: skip
        with pytest.raises(UserError, match=sentence):
            check_adversary(changed(opt, changes))
