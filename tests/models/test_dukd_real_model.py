"""DUKD on pairs that are degraded during training."""

from __future__ import annotations

import pickle
import sys

import basicsr.train
import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.data import build_dataset
from basicsr.data.transforms import paired_random_crop
from basicsr.models import build_model
from basicsr.utils import USMSharp
from skimage import data

from dukd_basicsr.data.degradation import Degradation, Kernels, PairPool, degradation_seed, draw_kernels, own_draws
from dukd_basicsr.data.degradation.settings import DEGRADATION, KERNELS
from dukd_basicsr.data.sampling import Draw, SeededDataset
from dukd_basicsr.data.seeds import seed_global_generators
from dukd_basicsr.upcycling import zoom_in
from tests.toys import L1, batch, forget_logger, save_weights, train_options

CPU = torch.device('cpu')
PHOTO = data.astronaut()
DUKD = {**L1, 'zoom_out': {'gt': False}}
REAL = DEGRADATION | {'resize_range': [0.5, 1.5], 'gt_usm': False, 'gt_size': 32, 'queue_size': 4}


def real_options(folder, dukd=DUKD, **changes):
    """Options of a toy, x2; keys at the top are changed."""
    return train_options(folder, 'DUKDRealModel', dukd_opt=dukd) | REAL | changes


def fresh(step, samples=2, side=48):
    """A batch of a RealESRGANDataset, with smaller images: parts of a photograph and their kernels."""
    with own_draws(step, CPU):
        places = np.random.randint(0, 400 - side, (samples, 2))  # noqa: NPY002
        kernels = [draw_kernels(KERNELS) for _ in range(samples)]
    images = np.stack([PHOTO[top : top + side, left : left + side] for top, left in places])
    tensors = (torch.cat(each) for each in zip(*kernels, strict=True))
    return dict(zip(('kernel1', 'kernel2', 'sinc_kernel'), tensors, strict=True)) | {
        'gt': torch.from_numpy(images.astype(np.float32) / np.float32(255)).permute(0, 3, 1, 2)
    }


def train(model, iterations):
    logs = []
    for iteration in iterations:
        model.feed_data(fresh(iteration))
        model.optimize_parameters(iteration)
        logs.append(dict(model.get_current_log()))
    return logs


@pytest.mark.parametrize('sharp', [False, True])
def test_views_are_those_of_the_formula(sharp, tmp_path):
    model = build_model(real_options(tmp_path, gt_usm=sharp, gt_size=40))
    degradation, usm, pool = Degradation(REAL), USMSharp(), PairPool(4)

    def sharpen(images):
        return usm(images.contiguous()) if sharp else images

    for iteration in range(1, 5):
        step = fresh(iteration, side=80)
        model.feed_data(step)
        views = model.build_views(iteration)
        images, kernels = step['gt'], Kernels(step['kernel1'], step['kernel2'], step['sinc_kernel'])
        with own_draws(degradation_seed(10, 0, iteration), CPU):
            lq = degradation(sharpen(images), kernels, 2)
            gt, lq = paired_random_crop(images, lq, 40, 2)
            lq, gt = pool.exchange(lq, gt)
            crops = zoom_in(degradation(sharpen(gt), kernels, 1), 20, 1)
        assert torch.equal(views['lq'].lq, lq)
        assert torch.equal(views['lq'].gt, sharpen(gt))
        assert torch.equal(views['zoom_in'].lq, crops)
        assert views['zoom_in'].gt is None
        assert views['zoom_out'].lq.shape == (2, 3, 10, 10)
        assert views['zoom_out'].gt is None
    assert lq.shape == (2, 3, 20, 20)


def test_a_discriminator_takes_for_real_what_is_not_sharpened_where_it_is_asked_to(tmp_path):
    gan = {'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla'}, 'optim_d': {'type': 'Adam', 'lr': 1e-3}}
    usm = USMSharp()
    for plain in (True, False):
        opt = real_options(tmp_path, gt_usm=True, gt_size=40, gan_gt_usm=not plain)
        opt['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
        opt['train'] |= gan
        model, shown = build_model(opt), []
        show = model.adversary.show
        model.adversary.show = lambda real, output, show=show, shown=shown: (shown.append(real), show(real, output))
        model.feed_data(fresh(1, side=80))
        model.optimize_parameters(1)
        assert torch.equal(usm(shown[0].contiguous()) if plain else shown[0], model.gt)
        assert {'l_g_gan', 'l_d_real', 'l_d_fake'} <= model.get_current_log().keys()
        model.feed_data(batch())  # brings its own pair
        assert model.build_views(2)['lq'].real is None


def test_clean_zoom_in_crops_are_parts_of_the_ground_truth(tmp_path):
    def crops_in_gt(**changes):
        model = build_model(real_options(tmp_path, **changes))
        model.feed_data(fresh(1))
        views = model.build_views(1)
        windows = views['lq'].gt.unfold(2, 16, 1).unfold(3, 16, 1).permute(0, 2, 3, 1, 4, 5)
        crops = views['zoom_in'].lq
        assert crops.shape == (2, 3, 16, 16)
        return [(windows[sample] == crops[sample]).flatten(2).all(2).any().item() for sample in range(2)]

    assert crops_in_gt(zoom_in_degraded=False) == [True, True]
    assert crops_in_gt() == [False, False]


@pytest.mark.usefixtures('real_device')
def test_crops_in_place_of_pairs_and_none_before_they_are_asked_for(tmp_path, monkeypatch):
    model = build_model(real_options(tmp_path, {**DUKD, 'zoom_out': None, 'in_batch': 0.5, 'schedule': {'start': 1}}))
    scales = []
    model.degradation.register_forward_hook(lambda net, args, kwargs, y: scales.append(kwargs.get('scale', args[2:])),
                                            with_kwargs=True)  # fmt: skip
    sizes = []
    for iteration in (1, 2):
        model.feed_data(fresh(iteration))
        sizes.append({name: view.lq.shape[0] for name, view in model.build_views(iteration).items()})
    assert sizes == [{'lq': 2}, {'lq': 1, 'zoom_in': 1}]
    assert scales == [(2,), (2,), 1]  # one degradation in the first step, one more for the crops in the second


def test_several_crops_on_a_grid(tmp_path):
    model = build_model(real_options(tmp_path, {**DUKD, 'zoom_in': {'num': 4, 'crops': 'grid'}}))
    model.feed_data(fresh(1))
    crops = model.build_views(1)['zoom_in'].lq
    assert crops.shape == (8, 3, 16, 16)
    assert len({crop.numpy().tobytes() for crop in crops}) == 8


@pytest.mark.usefixtures('real_device')
def test_a_step_is_a_function_of_seed_rank_and_iteration(tmp_path):
    logs = []
    for surroundings, changes in ((1, {}), (2, {}), (1, {'rank': 1}), (1, {'manual_seed': 11})):
        opt = real_options(tmp_path, **changes)
        torch.manual_seed(0)
        model = build_model(opt)
        seed_global_generators(surroundings)
        logs.append(train(model, range(1, 4)))
    assert logs[0] == logs[1]
    assert len({str(log) for log in logs}) == 3
    assert all(0 < log[name] < 1 for log in logs[0] for name in ('l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd'))
    assert all(log['l_zoom_out_pix'] == 0 for log in logs[0])


def test_batches_that_bring_their_lr_are_taken_as_they_are(tmp_path):
    model, pair = build_model(real_options(tmp_path)), batch()
    model.feed_data(fresh(1))  # and then another that takes its place
    model.feed_data(pair)
    model.optimize_parameters(1)
    assert torch.equal(model.lq, pair['lq'])
    assert torch.equal(model.gt, pair['gt'])
    model.test()
    assert model.output.shape == pair['gt'].shape


@pytest.mark.usefixtures('real_device')
def test_parts_of_a_batch_make_the_same_step(tmp_path):
    students = []
    for parts in (1, 2):
        opt = real_options(tmp_path)
        opt['train']['accumulate'] = parts
        torch.manual_seed(0)
        model = build_model(opt)
        train(model, [1, 2])
        students.append(model.net_g.state_dict())
    torch.testing.assert_close(*students, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures('real_device')
def test_a_pool_of_other_patches_is_left_with_a_warning(tmp_path, caplog):
    model = build_model(real_options(tmp_path))
    train(model, [1])
    state = {'optimizers': [model.optimizer_g.state_dict()], 'schedulers': [model.schedulers[0].state_dict()],
             'pool': model.pool.state()}  # fmt: skip
    other = build_model(real_options(tmp_path, gt_size=40))
    with caplog.at_level('WARNING', logger='basicsr'):
        other.resume_training(state)
    assert 'The state has no pairs of gt_size: 40: the pool is filled anew.' in caplog.text
    train(other, [2])
    assert other.pool.filled == 2


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / 'hr'
    folder.mkdir()
    for name in ('astronaut', 'coffee'):
        cv2.imwrite(str(folder / f'{name}.png'), getattr(data, name)()[:240, :300, ::-1])
    (tmp_path / 'meta_info.txt').write_text('astronaut.png (240,300,3)\ncoffee.png (240,300,3)\n')
    return folder


def dataset_options(folder, **changes):
    return KERNELS | {
        'name': 'toy', 'type': 'RealESRGANDataset', 'phase': 'train', 'scale': 2, 'dataroot_gt': str(folder),
        'meta_info': str(folder.parent / 'meta_info.txt'), 'io_backend': {'type': 'disk'}, 'gt_size': 32,
        'use_hflip': True, 'use_rot': True,
    } | changes  # fmt: skip


def test_basicsrs_dataset_reads_folders_and_lmdbs_with_the_draws_of_each_sample(photographs, tmp_path):
    from basicsr.utils.lmdb_util import make_lmdb_from_imgs

    keys = ['astronaut', 'coffee']
    make_lmdb_from_imgs(str(photographs), str(tmp_path / 'hr.lmdb'), [f'{key}.png' for key in keys], keys)
    disk = SeededDataset(build_dataset(dataset_options(photographs)))
    lmdb = build_dataset(dataset_options(tmp_path / 'hr.lmdb', io_backend={'type': 'lmdb'}))
    lmdb = pickle.loads(pickle.dumps(SeededDataset(lmdb)))  # as for a spawned worker
    for draw in (Draw(0, 5), Draw(1, 6)):
        ours, theirs = disk[draw], lmdb[draw]
        assert ours['gt'].shape == (3, 400, 400)
        for name in ('gt', 'kernel1', 'kernel2', 'sinc_kernel'):
            assert torch.equal(ours[name], theirs[name])
            assert torch.equal(ours[name], disk[draw][name])
    assert not torch.equal(disk[Draw(0, 5)]['kernel1'], disk[Draw(0, 6)]['kernel1'])


def run_options(folder, photographs):
    opt = real_options(folder, queue_size=2)
    for name in ('is_train', 'dist', 'rank', 'world_size'):
        del opt[name]
    train_set = dataset_options(photographs, num_worker_per_gpu=0, batch_size_per_gpu=1, dataset_enlarge_ratio=4)
    for name in ('phase', 'scale'):  # which a run completes itself
        del train_set[name]
    opt['datasets'] = {'train': train_set}
    opt['path'] = {'pretrain_network_t': str(folder / 'teacher.pth'), 'resume_state': None}
    opt['train'] |= {'total_iter': 4, 'warmup_iter': -1}
    opt['logger'] = {'print_freq': 1, 'save_checkpoint_freq': 2, 'use_tb_logger': False}
    return opt


def test_a_resumed_run_ends_with_the_same_bits(photographs, tmp_path, monkeypatch):
    """From a state in which the pool is full: 2 of 4 iterations with a pool of 2."""
    opt = run_options(tmp_path, photographs)
    (tmp_path / 'toy.yml').write_text(yaml.safe_dump(opt))
    networks = []
    for folder, steps in (('whole', [[]]), ('parts', [['--force_yml', 'train:total_iter=2'], ['--auto_resume']])):
        for argv in steps:
            forget_logger()
            monkeypatch.setattr(sys, 'argv', ['basicsr', '-opt', str(tmp_path / 'toy.yml'), *argv])
            basicsr.train.train_pipeline(str(tmp_path / folder))
        run = tmp_path / folder / 'experiments' / 'toy'
        networks.append(torch.load(run / 'models' / 'net_g_4.pth', weights_only=True)['params'])
        state = torch.load(run / 'training_states' / '4.state', weights_only=True)
        assert state['pool']['gt'].shape == (2, 3, 32, 32)
        assert state['pool']['lq'].dtype is torch.uint8
    forget_logger()
    torch.testing.assert_close(*networks, rtol=0, atol=0)


@pytest.mark.usefixtures('real_device')
def test_a_real_pair_of_networks(tmp_path):
    """RRDBNet and SRVGGNetCompact, x4, as the shipped file has them, thinned."""
    opt = real_options(tmp_path, scale=4, gt_size=32, queue_size=2)
    opt['network_t'] = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1,
                        'num_grow_ch': 2}  # fmt: skip
    opt['network_g'] = {'type': 'SRVGGNetCompact', 'num_feat': 4, 'num_conv': 1, 'upscale': 4}
    save_weights(tmp_path / 'teacher.pth', opt['network_t'])
    logs = train(build_model(opt), [1, 2])
    assert logs[0].keys() == {'l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix'}
    assert all(np.isfinite(value) for log in logs for value in log.values())
