"""Options files in the structure of other repositories are accepted, with their classes and a warning for their keys.

Names and keys are written after the structure of their files; no text is theirs. benchmarks.quality.foreign_options
judges the files themselves.
"""

from __future__ import annotations

import re

import pytest
import yaml
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, MODEL_REGISTRY
from torch import nn

from dukd_basicsr import options
from dukd_basicsr.options.translate import translate
from tests.toys import L1, changed

NETWORK = {'type': 'Theirs', 'dim': 36, 'n_blocks': 8, 'upscaling_factor': 2}
SET = {'name': 'Set', 'type': 'PairedImageDataset', 'dataroot_gt': 'gt', 'dataroot_lq': 'lq',
       'io_backend': {'type': 'disk'}}  # fmt: skip
TRAIN_SET = {**SET, 'name': 'Train', 'gt_size': 96, 'use_hflip': True, 'use_rot': True, 'num_worker_per_gpu': 6,
             'batch_size_per_gpu': 4, 'dataset_enlarge_ratio': 1, 'prefetch_mode': None}  # fmt: skip
TRAIN = {'ema_decay': 0.999, 'optim_g': {'type': 'Adam', 'lr': 2e-4, 'weight_decay': 0, 'betas': [0.9, 0.99]},
         'scheduler': {'type': 'MultiStepLR', 'milestones': [250000], 'gamma': 0.5}, 'total_iter': 500000,
         'warmup_iter': -1, 'pixel_opt': L1}  # fmt: skip
PSNR = {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True, 'better': 'higher'}
WHOLE = {
    'name': 'theirs', 'model_type': 'TheirModel', 'scale': 2, 'num_gpu': 'auto', 'manual_seed': 0,
    'datasets': {'train': TRAIN_SET, 'val': SET}, 'network_g': NETWORK,
    'path': {'pretrain_network_g': None, 'strict_load_g': True, 'resume_state': None}, 'train': TRAIN,
    'val': {'val_freq': 5000, 'save_img': False, 'pbar': False, 'metrics': {'psnr': PSNR}},
    'logger': {'print_freq': 100, 'save_checkpoint_freq': 5000, 'use_tb_logger': True,
               'wandb': {'project': None, 'resume_id': None}},
    'dist_params': {'backend': 'nccl', 'port': 29500},
}  # fmt: skip
GAN = {
    'network_d': {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 64},
    'gt_usm': True,
    'l1_gt_usm': True,
    'percep_gt_usm': True,
    'gan_gt_usm': False,
    'resize_prob': [0.2, 0.7, 0.1],
    'queue_size': 180,
}
PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': 1}, 'vgg_type': 'vgg19', 'perceptual_weight': 1.0,
              'style_weight': 0, 'range_norm': False, 'criterion': 'l1'}  # fmt: skip
TEACHER = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 64, 'num_block': 16, 'upscale': 2}
CASES = {
    'HAT': ({'datasets.train.use_shuffle': True}, ['use_shuffle']),
    'HAT from ImageNet': (
        {'datasets.train': {**SET, 'name': 'Train', 'type': 'TheirDataset', 'meta_info_file': 'm.txt',
                            'use_shuffle': True}}, [],
    ),
    'HAT in tiles': ({'tile': {'tile_size': 512, 'tile_pad': 32}}, []),
    'HAT GAN': (
        {**GAN, 'path.pretrain_network_d': None, 'train.optim_d': TRAIN['optim_g'], 'train.perceptual_opt': PERCEPTUAL,
         'train.gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla'}, 'train.net_d_iters': 1,
         'train.net_d_init_iters': 0}, [],
    ),
    'ESRGAN with a teacher': (
        {'model_type': 'DistillModel', 'network_t': TEACHER, 'path.pretrain_network_t': 't.pth', 'train.kd_opt': L1,
         'network_d': {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 64},
         'path.pretrain_network_d': None,
         'datasets.train.gt_size': 128, 'train.optim_d': TRAIN['optim_g'], 'train.perceptual_opt': PERCEPTUAL,
         'train.gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'real_label_val': 1.0, 'fake_label_val': 0.0,
                           'loss_weight': 5e-3}, 'train.net_d_iters': 1, 'train.net_d_init_iters': 0}, [],
    ),
    'DAT': (
        {'datasets.train.task': 'SR', 'datasets.train.use_shuffle': True, 'datasets.val.task': 'SR',
         'val.use_chop': True}, ['task', 'use_shuffle', 'task'],
    ),
    'SAFMN': (
        {'model_type': 'SRModel', 'datasets.train.use_shuffle': True, 'train.fft_opt': {**L1, 'type': 'FFTLoss'}},
        ['use_shuffle', 'fft_opt'],
    ),
    'SAFMN with notes': ({'model_type': 'SRModel', 'notes': 'x', 'x_idea': 1}, ['notes', 'x_idea']),
    'MTKD': (
        {'tea1_network_g': TEACHER, 'tea1_path': {'pretrain_network_g': 'a.pth', 'strict_load_g': False},
         'Merge_network_g': NETWORK, 'train.dis_opt': L1, 'train.stu_opt': L1, 'train.alpha': 0.1}, [],
    ),
    'BasicSR master': (
        {'model_type': 'SRModel', 'train.optim_g': {'type': 'AdamW', 'lr': '2e-4', 'weight_decay': '1e-2'},
         'train.scheduler': {'type': 'TrueCosineAnnealingLR', 'T_max': 500000, 'eta_min': '1e-7'},
         'path.experiments_root': '/scratch', 'path.results_root': '/scratch', 'logger.wandb.entity': 'team'},
        ['lr', 'weight_decay', 'eta_min'],
    ),
}  # fmt: skip


class Theirs(nn.Module):
    def __init__(self, dim, n_blocks=8, upscaling_factor=4):
        super().__init__()


class TheirModel(SRModel):
    pass


class TheirDataset:
    def __init__(self, opt):
        self.opt = opt


@pytest.fixture(autouse=True)
def _registered():
    """As --import does it."""
    places = ((ARCH_REGISTRY, Theirs), (MODEL_REGISTRY, TheirModel), (DATASET_REGISTRY, TheirDataset))
    for registry, one in places:
        registry.register(one)
    yield
    for registry, one in places:
        del registry._obj_map[one.__name__]


@pytest.mark.parametrize(('changes', 'keys'), CASES.values(), ids=CASES)
def test_it_is_accepted_with_a_warning_for_each_key_of_theirs(changes, keys, tmp_path):
    file = tmp_path / 'x.yml'
    file.write_text(yaml.safe_dump(changed(WHOLE, changes)), encoding='utf-8')
    warnings = options.check(options.load(file), file, True)
    assert [re.split('[.:] ?', warning.removeprefix(f'{file}: ').split(': ')[0])[-1] for warning in warnings] == keys


@pytest.mark.parametrize('slip', ['train.ema_decai', 'datasets.train.use_rott', 'val.metric', 'logger.print_frec'])
def test_a_slip_is_a_mistake_in_files_of_others_too(slip):
    opt = changed(WHOLE, {'model_type': 'SRModel', slip: 1})
    with pytest.raises(options.OptionsError, match=rf'{re.escape(slip)}: unknown key\. Did you mean'):
        options.check(opt, 'x.yml', True)


def test_without_the_import_it_is_said_where_classes_come_from():
    opt = changed(WHOLE, {'model_type': 'TheirOther', 'datasets.train.use_shuffle': True})
    del ARCH_REGISTRY._obj_map['Theirs']
    try:
        with pytest.raises(options.OptionsError) as caught:
            options.check(opt, 'x.yml', True)
    finally:
        ARCH_REGISTRY.register(Theirs)
    assert len(caught.value.messages) == 2
    for message in caught.value.messages:
        assert 'Did you mean' not in message
        assert message.endswith('One of your own, or of another repository, is registered by --import FILE.py.')


def test_the_authors_files_are_translated():
    opt = changed(WHOLE, {'model_type': 'DUKD', 'network_g': TEACHER, 'network_t': {**TEACHER, 'num_feat': 256},
                   'path.pretrain_network_t': 't.pth', 'train.kd_opt': L1, 'train.noisy': {'prob': 0.3},
                   'train.dukd_opt': {'n_gt_sub': [2], 'zoom_out': True}, 'val.self_ensemble': True})  # fmt: skip
    with pytest.raises(options.OptionsError):
        options.check(opt, 'x.yml', True)
    new, sentences = translate(opt)
    assert options.check(new, 'x.yml', True) == []
    assert len(sentences) == 4


def test_the_losses_that_they_name_are_registered():
    assert {'FFTLoss', 'PerceptualLoss', 'GANLoss', 'L1Loss'} <= set(LOSS_REGISTRY.keys())
