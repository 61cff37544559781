"""Toy networks and options that several test modules build on."""

from __future__ import annotations

import copy
import gc
import os
from pathlib import Path

import dukd_basicsr.plugin  # noqa: F401  makes basicsr importable, in a spawned process too

# isort: split
import torch
import torch.distributed as dist
from basicsr.models import build_model
from torch import nn

from dukd_basicsr.networks.weights import build_network

NUM_GPU = 0
"""Of `train_options`; the fixture `device` makes it 1 while it yields CUDA."""
REPOSITORY = Path(__file__).resolve().parents[1]
STUDENT = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1, 'upscale': 2}
TEACHER = {**STUDENT, 'num_feat': 8, 'num_block': 2}
L1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
SWINIR = {'type': 'SwinIR', 'img_size': 8, 'window_size': 4, 'embed_dim': 4, 'depths': [2], 'num_heads': [2],
          'mlp_ratio': 1, 'upscale': 2, 'upsampler': 'pixelshuffledirect'}  # fmt: skip
EXPORTED = {
    'EDSR': (STUDENT, 2),
    'RCAN': ({'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_group': 1, 'num_block': 1,
              'squeeze_factor': 2, 'upscale': 3}, 3),
    'SwinIR': (SWINIR, 2),
    'SRVGGNetCompact': ({'type': 'SRVGGNetCompact', 'num_feat': 4, 'num_conv': 1, 'upscale': 4}, 4),
    'RRDBNet': ({'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1, 'num_grow_ch': 2,
                 'scale': 4}, 4),
}  # fmt: skip
"""Name to options and scale of the networks that `basicsr export` knows."""


class IdentityUp(nn.Module):
    """A teacher that repeats pixels: an exact, equivariant super-resolver."""

    def __init__(self, scale=2):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        return x.repeat_interleave(self.scale, -1).repeat_interleave(self.scale, -2)


class Exploding(nn.Module):
    """A teacher that must not be asked."""

    def forward(self, x):
        raise AssertionError('the teacher was asked')


def save_weights(path, network, key='params'):
    """A checkpoint of a freshly drawn network of these options; returns the network."""

    net = build_network(network)
    torch.save({key: net.state_dict()}, path)
    return net


def save_vgg(path):
    """Random weights of VGG19's features under torchvision's names; returns the path as text."""
    from torchvision.models.vgg import cfgs, make_layers

    layers = make_layers(cfgs['E'])[:30]
    for name, weight in layers.named_parameters():  # as VGG is drawn: features of a size in every layer
        nn.init.kaiming_normal_(weight) if name.endswith('weight') else nn.init.zeros_(weight)
    torch.save({f'features.{name}': tensor for name, tensor in layers.state_dict().items()}, path)
    return str(path)


def train_options(folder, model_type='DUKDModel', **train):
    """Options as BasicSR's parse_options leaves them, with a teacher's checkpoint in `folder`."""
    if not (folder / 'teacher.pth').exists():
        save_weights(folder / 'teacher.pth', TEACHER)
    losses = {'pixel_opt': L1, 'kd_opt': L1}
    if model_type == 'DUKDModel':
        losses['dukd_opt'] = L1
    return copy.deepcopy({
        'name': 'toy', 'model_type': model_type, 'scale': 2, 'num_gpu': NUM_GPU, 'manual_seed': 10, 'is_train': True,
        'dist': False, 'rank': 0, 'world_size': 1, 'datasets': {},
        'network_g': STUDENT, 'network_t': TEACHER,
        'path': {'pretrain_network_g': None, 'pretrain_network_t': str(folder / 'teacher.pth'),
                 'models': str(folder), 'training_states': str(folder)},
        'train': {
            'ema_decay': 0.9,
            'optim_g': {'type': 'Adam', 'lr': 1e-3, 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [100], 'gamma': 0.5},
            'total_iter': 10, **losses, **train,
        },
    })  # fmt: skip


def join_ranks(rank, folder, world):
    """Make this process, of one thread, a rank of those that meet in `folder`."""
    torch.set_num_threads(1)
    dist.init_process_group('gloo', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=world)


def leave_ranks():
    """Call it when no variable holds a model any more.

    A DDP module that outlives its group joins gloo's thread while it holds the lock that this thread waits for.
    """
    gc.collect()
    dist.destroy_process_group()


def batch(samples=2, size=8, scale=2, seed=0, dtype=torch.float32):
    """A training batch of random images."""
    generator = torch.Generator().manual_seed(seed)
    gt = torch.rand(samples, 3, scale * size, scale * size, generator=generator, dtype=torch.float64)
    lq = torch.rand(samples, 3, size, size, generator=generator, dtype=torch.float64)
    return {'lq': lq.to(dtype), 'gt': gt.to(dtype)}


def trained_model(folder):
    """A toy DUKDModel after its first step."""

    model = build_model(train_options(folder))
    model.feed_data(batch())
    model.optimize_parameters(1)
    return model


DELETE = object()
"""Takes a key away, see `changed`."""


def changed(opt, changes):
    """A copy of options with values by their dotted keys; nothing is shared with what was given."""
    opt = copy.deepcopy(opt)
    for path, value in changes.items():
        *parents, last = path.split('.')
        node = opt
        for parent in parents:
            node = node[parent]
        if value is DELETE:
            del node[last]
        else:
            node[last] = copy.deepcopy(value)
    return opt


def forget_logger():
    """BasicSR keeps the first run's logger and its file for the life of the process."""
    from dukd_basicsr.training import run_log

    run_log.close()


TINY_SWINIR = {
    'type': 'SwinIR', 'upscale': 2, 'img_size': 16, 'window_size': 8, 'depths': [1], 'embed_dim': 8, 'num_heads': [2],
    'mlp_ratio': 2, 'upsampler': 'pixelshuffle', 'in_chans': 3,
}  # fmt: skip


THIN = {
    'EDSR': {'num_feat': 8, 'num_block': 2},
    'RCAN': {'num_feat': 16, 'num_group': 1, 'num_block': 1},
    'SwinIR': {'depths': [2], 'embed_dim': 12, 'num_heads': [2]},
    'RRDBNet': {'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4},
    'SRVGGNetCompact': {'num_feat': 8, 'num_conv': 2},
    'ECBSR': {'num_block': 1, 'num_channel': 8},
    'SPAN': {'feature_channels': 8},
    'UNetDiscriminatorSN': {'num_feat': 4},
}


class AsksForValues(nn.Module):
    """A convolution that cannot run on the meta device."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 12, 3, padding=1)

    def forward(self, x):
        return nn.functional.pixel_shuffle(self.conv(x) * float(x.mean() >= 0), 2)


class Malicious:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return os.mkdir, (self.target,)


SWINIR = {
    'type': 'SwinIR', 'upscale': 2, 'in_chans': 3, 'img_size': 8, 'window_size': 4, 'img_range': 1.0, 'depths': [2],
    'embed_dim': 8, 'num_heads': [2], 'mlp_ratio': 2, 'upsampler': 'pixelshuffle', 'resi_connection': '1conv',
}  # fmt: skip
