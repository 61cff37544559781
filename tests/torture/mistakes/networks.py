"""Networks and losses that do not do what they are for."""

from __future__ import annotations

from tests.torture.mistakes.case import Case
from tests.torture.mistakes.values import SR
from tests.toys import TEACHER, save_weights

RIDNET = {'type': 'RIDNet', 'in_channels': 3, 'mid_channels': 16, 'out_channels': 3, 'num_block': 1}

NETWORKS = [
    Case('`upscale` that is not `scale`',
         'x.yml: network_g.upscale: 4, but scale: 2; write upscale: 2.',
         {'network_g.upscale': 4}),
    Case('a teacher of another scale',
         'x.yml: network_t.upscale: 4, but scale: 2; write upscale: 2.',
         {'network_t': {**TEACHER, 'upscale': 4}}),
    Case('a teacher of other channels',
         'x.yml: network_t.num_in_ch: 1, but network_g.num_in_ch: 3; teacher and student need the same channels.',
         {'network_t': {**TEACHER, 'num_in_ch': 1}}),
    Case('a student of other channels than the images',
         ['x.yml: network_g.num_in_ch: 1, but the images of datasets.train have 3; write num_in_ch: 3.',
          'x.yml: network_g.num_out_ch: 1, but the images of datasets.train have 3; write num_out_ch: 3.'],
         {'network_g.num_in_ch': 1, 'network_g.num_out_ch': 1, **{
             f'network_t.{name}': 1 for name in ('num_in_ch', 'num_out_ch')}}),
    Case('a grey EDSR',
         [f'x.yml: network_{role}.num_in_ch: 1, but EDSR subtracts a mean of 3 channels; write another type, e.g. '
          'MSRResNet.' for role in 'gt'],
         {'datasets.train.color': 'y', 'datasets.val.color': 'y', **{
             f'network_{role}.{name}': 1 for role in 'gt' for name in ('num_in_ch', 'num_out_ch')}}),
    Case('a number in quotes',
         'x.yml: network_g.num_feat: "8" is text, and a number is due; write one, e.g. num_feat: 64.',
         {'network_g.num_feat': '8'}),
    Case('an image range of nothing',
         'x.yml: network_g.img_range: 0 is too small; it must be above 0.',
         {'network_g.img_range': 0}),
    Case('an image range that is no number',
         'x.yml: network_g.img_range: nan is not a finite number.',
         {'network_g.img_range': float('nan')}),
    Case('`scale: true`',
         'x.yml: scale: true is not a whole number.',
         {'scale': True}),
    Case('a student without upscaling',
         'network_g: RIDNet turns (1, 3, 16, 16) into (1, 3, 16, 16), but scale: 2 needs (1, 3, 32, 32); write a '
         'network of that scale.',
         {'network_g': RIDNET}),
    Case('a teacher without upscaling',
         'network_t: the teacher turns (1, 3, 16, 16) into (1, 3, 16, 16), but scale: 2 needs (1, 3, 32, 32); use a '
         'teacher of that scale or change scale and network_g.',
         {'network_t': RIDNET},
         disk=lambda folder: save_weights(folder / 'teacher.pth', RIDNET)),
    Case('a registered network that is none for images',
         'network_g: VGGStyleDiscriminator does not take 3-channel images (<reason>); write a network for '
         'super-resolution.',
         {**SR, 'network_g': {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 4}}),
    Case('arguments that make no network',
         'network_g: EDSR cannot be built from these arguments (<reason>).',
         {'network_g.num_feat': -3}),
    Case('a registered loss that does not compare images',
         'train.kd_opt: GANLoss does not compare two images (<reason>); write e.g. type: L1Loss.',
         {'train.kd_opt': {'type': 'GANLoss',
                                                                                'gan_type': 'vanilla'}}),
]  # fmt: skip
