"""Real-ESRGAN's degradation: bit by bit that of BasicSR's models, each operation against an independent one."""

from __future__ import annotations

import contextlib
import random

import cv2
import numpy as np
import pytest
import torch
from basicsr.data.degradations import add_jpg_compression, add_poisson_noise
from basicsr.data.realesrgan_dataset import RealESRGANDataset
from basicsr.data.transforms import paired_random_crop
from basicsr.models import realesrgan_model, realesrnet_model
from basicsr.utils import DiffJPEG, USMSharp
from basicsr.utils.img_process_util import filter2D, usm_sharp
from skimage import data

from dukd_basicsr.data.degradation import Degradation, Kernels, PairPool, degradation_seed, draw_kernels, own_draws
from dukd_basicsr.data.degradation import second_order as operations
from dukd_basicsr.data.degradation.settings import DEGRADATION, KERNELS
from dukd_basicsr.data.seeds import seed_global_generators, step_seed

CPU = torch.device('cpu')
PHOTO = np.ascontiguousarray(data.astronaut()[:400, :400])
NOTHING = {
    'resize_prob': [0, 0, 1], 'resize_range': [0.5, 1.5], 'gaussian_noise_prob': 1, 'noise_range': [0, 0],
    'poisson_scale_range': [0, 0], 'gray_noise_prob': 0, 'jpeg_range': [95, 95],
}  # fmt: skip
NOTHING |= {f'{name}2': value for name, value in NOTHING.items()} | {'second_blur_prob': 0}


def photo(batch=2, side=80):
    parts = [PHOTO[60 * n : 60 * n + side, 60 * n : 60 * n + side] for n in range(1, batch + 1)]
    return torch.from_numpy(np.stack(parts).astype(np.float32) / np.float32(255)).permute(0, 3, 1, 2).contiguous()


def drawn_kernels(batch=2, seed=0):
    with own_draws(seed, CPU):
        each = [draw_kernels(KERNELS) for _ in range(batch)]
    return Kernels(*(torch.cat(kernels) for kernels in zip(*each, strict=True)))


def pulses(batch=2):
    pulse = torch.zeros(batch, 21, 21)
    pulse[:, 10, 10] = 1
    return Kernels(pulse, pulse, pulse)


def only(monkeypatch=None, mode=None, **changes):
    """A degradation that does nothing but what is changed; JPEG is left out."""
    alone = Degradation(NOTHING | changes)
    alone._compress = lambda image, order: image
    if mode:
        monkeypatch.setattr(operations, '_draw_mode', lambda: mode)
    return alone


def eight_bits(image):
    return (image * 255).round().clip(0, 255) / 255


def stock(model, monkeypatch, **opt):
    """A model of BasicSR as its constructor leaves it, which asks for CUDA."""
    monkeypatch.setattr(torch.Tensor, 'cuda', lambda self: self)
    for module in (realesrnet_model, realesrgan_model):  # cannot take DiffJPEG's channels last in today's torch
        monkeypatch.setattr(module, 'filter2D', lambda image, kernel: filter2D(image.contiguous(), kernel))
    made = object.__new__(model)
    made.is_train, made.device, made.queue_size = True, CPU, 2
    made.opt = DEGRADATION | {'scale': 4, 'gt_size': 64} | opt
    made.jpeger, made.usm_sharpener = DiffJPEG(differentiable=False), USMSharp()
    return made


@pytest.mark.parametrize('sharp', [False, True])
def test_lr_images_are_those_of_basicsrs_model_bit_by_bit(sharp, monkeypatch):
    kernels, ours = drawn_kernels(), Degradation(DEGRADATION)
    batch = dict(zip(('kernel1', 'kernel2', 'sinc_kernel'), kernels, strict=True)) | {'gt': photo()}
    sharpened = USMSharp()(photo()) if sharp else photo()
    seen = set()
    for seed in range(12):
        theirs = stock(realesrnet_model.RealESRNetModel, monkeypatch, gt_usm=sharp, gt_size=80)
        seed_global_generators(seed)
        theirs.feed_data(batch)
        with own_draws(seed, CPU):
            found = ours(sharpened, kernels, 4)
        assert torch.equal(found, theirs.lq)
        seen.add(found.numpy().tobytes())
    assert len(seen) == 12


def test_a_scale_of_1_leaves_the_size():
    kernels = drawn_kernels()
    with own_draws(1, CPU):
        degraded = Degradation(DEGRADATION)(photo(), kernels, 1)
    assert degraded.shape == photo().shape
    assert torch.equal(degraded, eight_bits(degraded))
    assert 0.01 < (degraded - photo()).abs().mean() < 0.3


def test_blur_is_opencvs_filter():
    kernels = drawn_kernels(seed=3)
    for name, change in (('first', {}), ('second', {'second_blur_prob': 1}), ('sinc', {})):
        here = pulses()._replace(**{name: getattr(kernels, name)})
        found = only(**change)(photo(), here, 1)
        for image, kernel, result in zip(photo(), getattr(kernels, name), found, strict=True):
            expected = cv2.filter2D(image.numpy().transpose(1, 2, 0), -1, kernel.numpy())  # mirrors as reflect does
            assert np.abs(result.numpy().transpose(1, 2, 0) - eight_bits(expected)).max() < 1.01 / 255


@pytest.mark.parametrize(
    ('mode', 'theirs'), [('area', cv2.INTER_AREA), ('bilinear', cv2.INTER_LINEAR), ('bicubic', cv2.INTER_CUBIC)]
)
def test_resizing_is_opencvs(mode, theirs, monkeypatch):
    found = only(monkeypatch, mode)(photo(), pulses(), 2)
    for image, result in zip(photo(), found, strict=True):
        expected = cv2.resize(image.numpy().transpose(1, 2, 0), (40, 40), interpolation=theirs)
        assert np.abs(result.numpy().transpose(1, 2, 0) - eight_bits(expected)).max() < 1.01 / 255


def test_factors_are_drawn_from_their_ranges():
    order = operations.Order.read(DEGRADATION, '')
    with own_draws(0, CPU):
        factors = np.array([operations._draw_factor(order) for _ in range(4000)])
        modes = {operations._draw_mode() for _ in range(50)}
    assert modes == {'area', 'bilinear', 'bicubic'}
    up, down, keep = factors > 1, factors < 1, factors == 1
    assert [each.mean() for each in (up, down, keep)] == pytest.approx([0.2, 0.7, 0.1], abs=0.02)
    assert factors[down].min() == pytest.approx(0.15, abs=0.01)
    assert factors[up].max() == pytest.approx(1.5, abs=0.01)
    assert factors[down].mean() == pytest.approx((0.15 + 1) / 2, abs=0.02)


@pytest.mark.parametrize(('gray', 'channels'), [(0, 3), (1, 1)])
def test_gaussian_noise_has_its_strength(gray, channels):
    flat = torch.full((2, 3, 120, 120), 0.5)
    with own_draws(0, CPU):
        noise = only(noise_range=[20, 20], gray_noise_prob=gray)(flat, pulses(), 1) - 0.5
    assert noise.std() * 255 == pytest.approx(20, rel=0.02)
    assert noise.mean().abs() * 255 < 0.7
    found = torch.corrcoef(noise[0].flatten(1))[0, 1]  # red and green
    assert found == pytest.approx(1 if channels == 1 else 0, abs=0.03)


def test_poisson_noise_is_as_strong_as_the_one_of_numpy():
    with own_draws(0, CPU):
        image = photo(batch=2, side=120)
        noise = only(gaussian_noise_prob=0, poisson_scale_range=[2, 2])(image, pulses(), 1) - image
        for here, ours in zip(image, noise, strict=True):
            hwc = here.numpy().transpose(1, 2, 0)
            theirs = eight_bits(add_poisson_noise(hwc, scale=2)) - hwc
            assert ours.std() == pytest.approx(theirs.std(), rel=0.05)


def luma(image):
    return image @ np.array([0.299, 0.587, 0.114], np.float32)


@pytest.mark.parametrize('quality', [30, 60, 95])
def test_jpeg_is_nearly_that_of_opencv(quality):
    """On luma, of the image lying on its side: stock's DiffJPEG has the table of luma transposed.

    Chroma is enlarged by repetition in it, and smoothly in libjpeg.
    """
    alone = Degradation(NOTHING | {'jpeg_range': [quality, quality], 'jpeg_range2': [99.9, 99.9]})
    for image, found in zip(photo(side=128), alone(photo(side=128).mT, pulses(), 1).mT, strict=True):
        plain, ours = (tensor.numpy().transpose(1, 2, 0) for tensor in (image, found))
        theirs = add_jpg_compression(plain[..., ::-1], quality)[..., ::-1]
        error, difference = (np.abs(luma(theirs) - luma(other)).mean() for other in (plain, ours))
        assert difference < 0.5 * error + 0.4 / 255


def test_sharpening_is_basicsrs_of_numpy():
    image = photo(1, 120)
    expected = usm_sharp(image[0].numpy().transpose(1, 2, 0))
    assert np.abs(USMSharp()(image)[0].numpy().transpose(1, 2, 0) - expected).max() < 1e-4


def test_kernels_are_those_of_basicsrs_dataset(tmp_path):
    cv2.imwrite(str(tmp_path / 'a.png'), PHOTO[..., ::-1])
    (tmp_path / 'meta.txt').write_text('a.png (400,400,3)\n')
    opt = {'dataroot_gt': str(tmp_path), 'meta_info': str(tmp_path / 'meta.txt'), 'io_backend': {'type': 'disk'},
           'use_hflip': False, 'use_rot': False, 'gt_size': 64}  # fmt: skip
    dataset, pulses_drawn = RealESRGANDataset(KERNELS | opt), 0
    for seed in range(12):
        seed_global_generators(seed)
        theirs = dataset[0]
        with own_draws(seed, CPU):
            ours = draw_kernels(KERNELS)
        for name, kernel in zip(('kernel1', 'kernel2', 'sinc_kernel'), ours, strict=True):
            assert torch.equal(kernel[0], theirs[name])
        pulses_drawn += theirs['sinc_kernel'][10, 10] == 1
    assert 0 < pulses_drawn < 12  # both of the final kernels were among them


def test_draws_are_functions_of_seed_rank_and_iteration_alone():
    seeds = {degradation_seed(*at) for at in ((0, 0, 1), (1, 0, 1), (0, 1, 1), (0, 0, 2))}
    assert len(seeds | {step_seed(0, 0, 1)}) == 5
    ours, kernels, images = Degradation(DEGRADATION), drawn_kernels(), []
    for surroundings in (1, 2):
        seed_global_generators(surroundings)
        with own_draws(degradation_seed(0, 0, 1), CPU):
            images.append(ours(photo(), kernels, 4))
    assert torch.equal(*images)


def test_other_draws_are_left_alone():
    def draws():
        return random.random(), np.random.rand(), float(torch.rand(()))  # noqa: NPY002

    seed_global_generators(5)
    undisturbed = draws(), draws()
    seed_global_generators(5)
    before = draws()
    with contextlib.suppress(ZeroDivisionError), own_draws(9, CPU):
        draws()
        raise ZeroDivisionError
    assert (before, draws()) == undisturbed


def pair(value, batch=2):
    """A batch whose pixels say which one it is."""
    level = torch.arange(batch * value, batch * (value + 1)).view(-1, 1, 1, 1) / torch.tensor(255.0)
    return level.expand(-1, 3, 4, 4).contiguous(), level.expand(-1, 3, 8, 8).contiguous()


def test_the_pool_gives_the_first_batch_of_stock(monkeypatch):
    theirs, ours = stock(realesrnet_model.RealESRNetModel, monkeypatch), PairPool(6)
    theirs.queue_size = 6
    for step in range(4):
        theirs.lq, theirs.gt = pair(step)
        seed_global_generators(step)
        theirs._dequeue_and_enqueue()
        with own_draws(step, CPU):
            lq, gt = ours.exchange(*pair(step))
        assert torch.equal(lq, theirs.lq)
        assert torch.equal(gt, theirs.gt)


def test_no_pair_is_lost_or_doubled_and_none_comes_apart():
    pool, given = PairPool(6), []
    for step in range(40):
        with own_draws(step, CPU):
            lq, gt = pool.exchange(*pair(step))
        assert torch.equal(lq[:, 0, 0, 0], gt[:, 0, 0, 0])
        given += (lq[:, 0, 0, 0] * 255).round().int().tolist() if step >= 3 else []
    inside = pool.pairs[0][:, 0, 0, 0].tolist()
    assert sorted(given + inside) == list(range(80))
    waited = [given.index(number) // 2 + 3 - number // 2 for number in range(40)]
    assert len(set(waited)) > 4  # a batch is of different steps


def test_a_pool_goes_on_from_its_state():
    whole, steps = PairPool(6), []
    for step in range(8):
        if step in (2, 5):  # half full, and full
            resumed = PairPool(6)
            resumed.load(whole.state(), CPU)
            whole = resumed
        with own_draws(step, CPU):
            steps.append(whole.exchange(*pair(step)))
    alone = PairPool(6)
    for step, found in enumerate(steps):
        with own_draws(step, CPU):
            assert all(map(torch.equal, found, alone.exchange(*pair(step))))
    empty = PairPool(6)
    empty.load({}, CPU)
    assert empty.state() == {}


def test_a_pool_of_another_size_takes_what_it_can():
    pool = PairPool(6)
    for step in range(3):
        pool.exchange(*pair(step))
    for size, filled in ((4, 4), (8, 6)):
        other = PairPool(size)
        other.load(pool.state(), CPU)
        assert other.filled == filled
        assert torch.equal(other.state()['lq'], pool.state()['lq'][:filled])
    with pytest.raises(ValueError, match='queue_size 5 is not a multiple of the batch 2'):
        PairPool(5).exchange(*pair(0))


def test_sharpened_targets_are_those_of_basicsrs_gan_model(monkeypatch):
    """The pool keeps plain patches, which are sharpened when they come out."""
    theirs = stock(realesrgan_model.RealESRGANModel, monkeypatch)
    kernels, images = drawn_kernels(), photo()
    seed_global_generators(4)
    theirs.feed_data(dict(zip(('kernel1', 'kernel2', 'sinc_kernel'), kernels, strict=True)) | {'gt': images})
    with own_draws(4, CPU):
        lq = Degradation(DEGRADATION)(USMSharp()(images), kernels, 4)
        gt, lq = paired_random_crop(images, lq, 64, 4)
        lq, gt = PairPool(2).exchange(lq, gt)
    assert torch.equal(lq, theirs.lq)
    assert torch.equal(USMSharp()(gt), theirs.gt_usm)
