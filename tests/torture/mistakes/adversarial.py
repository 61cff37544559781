"""A discriminator with a part missing, or one that does not go with the rest."""

from __future__ import annotations

from typing import Any

from tests.torture.mistakes.case import Case
from tests.torture.mistakes.values import SR
from tests.toys import save_weights

UNET = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
GAN: dict[str, Any] = {'network_d': UNET, 'train.gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla'},
                       'train.optim_d': {'type': 'Adam', 'lr': 1e-4}}  # fmt: skip

ADVERSARIAL = [
    Case('`gan_opt` without a discriminator and its optimizer',
         ['x.yml: network_d: missing key: train.gan_opt needs a discriminator, e.g. {type: UNetDiscriminatorSN, '
          'num_in_ch: 3}.',
          'x.yml: train.optim_d: missing key: it trains network_d, e.g. {type: Adam, lr: !!float 1e-4}.'],
         {'train.gan_opt': GAN['train.gan_opt']}),
    Case('a discriminator without `gan_opt`',
         'x.yml: network_d: no loss trains a discriminator; add train.gan_opt: {type: GANLoss, gan_type: vanilla}, or '
         'leave it out.',
         {'network_d': UNET}),
    Case('a misspelt `gan_opt`',
         ['x.yml: train.gan_optt: unknown key. Did you mean "gan_opt"?',
          'x.yml: network_d: no loss trains a discriminator; add train.gan_opt: {type: GANLoss, gan_type: vanilla}, or '
          'leave it out.'],
         {'network_d': UNET, 'train.gan_optt': GAN['train.gan_opt']}),
    Case('a misspelt `gan_type`',
         'x.yml: train.gan_opt.gan_type: "vanila" is unknown. Did you mean "vanilla"?',
         {**GAN, 'train.gan_opt': {'type': 'GANLoss', 'gan_type': 'vanila'}}),
    Case('a loss that judges no scores',
         'train.gan_opt: L1Loss does not judge scores (<reason>); write e.g. type: GANLoss, gan_type: vanilla.',
         {**GAN, 'train.gan_opt': {'type': 'L1Loss'}}),
    Case('a discriminator of other channels',
         'x.yml: network_d.num_in_ch: 1, but the images of network_g have 3 channels; write num_in_ch: 3.',
         {**GAN, 'network_d': {**UNET, 'num_in_ch': 1}}),
    Case('a discriminator of other patches',
         'x.yml: network_d.input_size: 128 by default, but datasets.train.gt_size: 16; write gt_size: 128, or take '
         'UNetDiscriminatorSN.',
         {**GAN, 'network_d': {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 4}}),
    Case('a network that is no discriminator',
         'network_d: RIDNet does not take patches of 16x16 with 3 channels (<reason>); write another gt_size, or e.g. '
         'type: UNetDiscriminatorSN.',
         {**GAN, 'network_d': {'type': 'RIDNet', 'in_channels': 1, 'mid_channels': 16, 'out_channels': 1,
                               'num_block': 1}}),
    Case('a discriminator and a batch in parts',
         'x.yml: train.accumulate: norms of a discriminator see a batch as a whole, so that with train.gan_opt parts '
         'of it are another step; write accumulate: 1 and a smaller batch_size_per_gpu.',
         {**GAN, 'train.accumulate': 2}),
    Case("a discriminator's checkpoint of another network",
         'path.pretrain_network_d: critic.pth does not fit UNetDiscriminatorSN as configured: conv0.weight is '
         '(8, 3, 3, 3) in the file, (4, 3, 3, 3) in the network; conv0.bias is (8,) in the file, (4,) in the network; '
         'conv1.weight_orig is (16, 8, 4, 4) in the file, (8, 4, 4, 4) in the network; conv1.weight_u is (16,) in the '
         'file, (8,) in the network; conv1.weight_v is (128,) in the file, (64,) in the network; and 22 more.',
         {**GAN, 'path.pretrain_network_d': 'critic.pth'},
         disk=lambda folder: save_weights(folder / 'critic.pth', {**UNET, 'num_feat': 8})),
    Case('a discriminator for a model that has none',
         [f'x.yml: {key}: SRModel does not read it and trains without a discriminator; DistillModel and DUKDModel read '
          'it, and so does SRGANModel.' for key in ('train.gan_opt', 'network_d', 'train.optim_d')],
         {**SR, **GAN}, warning=True),
]  # fmt: skip
