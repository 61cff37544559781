"""Option files: the shipped ones pass, and every kind of mistake gives its sentence."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dukd_basicsr import options
from dukd_basicsr.data.checks.files import check_files
from dukd_basicsr.options import OptionsError, components
from tests.torture.mistakes.workplace import encoded, write_lmdb
from tests.toys import DELETE, REPOSITORY, changed

SHIPPED = sorted((REPOSITORY / 'options').glob('*.yml'))
DUKD = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')
TEST = options.load(REPOSITORY / 'options' / 'test_edsr_x4.yml')
FILE = Path('options/x.yml')


def errors_of(opt, is_train=True):
    with pytest.raises(OptionsError) as caught:
        options.check(opt, FILE, is_train)
    return list(caught.value.messages)


def is_training(opt):
    return 'train' in opt['datasets']


@pytest.mark.parametrize('file', SHIPPED, ids=lambda file: file.name)
def test_shipped_files_pass(file):
    opt = options.load(file)
    assert options.check(opt, file, is_training(opt)) == []
    text = file.read_bytes()
    assert text.isascii()
    assert b'\r' not in text


def test_the_papers_files_differ_only_in_the_method():
    folder = REPOSITORY / 'options'
    for names in ('train_{}edsr_x4.yml', 'train_{}edsr_f24b4_x2.yml'):
        alone, kd, dukd = (options.load(folder / names.format(method)) for method in ('', 'kd_', 'dukd_'))
        del dukd['train']['dukd_opt']
        for opt in (kd, dukd):
            del opt['name'], opt['model_type']
        assert kd == dukd
        del kd['network_t'], kd['train']['kd_opt']
        for name in ('pretrain_network_t', 'param_key_t', 'strict_load_t'):
            del kd['path'][name]
        del alone['name'], alone['model_type']
        assert alone == kd


MISTAKES = [
    ({'train.dukd_opt.zoom_inn': {'num': 1}}, 'train.dukd_opt.zoom_inn: unknown key. Did you mean "zoom_in"?'),
    ({'train.ema_decai': 0.9}, 'train.ema_decai: unknown key. Did you mean "ema_decay"?'),
    ({'datasets.train.use_rott': True}, 'datasets.train.use_rott: unknown key. Did you mean "use_rot"?'),
    ({'datasets.train.use_rot': DELETE},
     'datasets.train.use_rot: missing key: random vertical flips and transposition, true or false.'),
    ({'datasets.train': DELETE}, 'datasets.train: missing key: the images to train on.'),
    ({'datasets.valid': {}}, 'datasets.valid: training knows the datasets train and val, val_1, ....'),
    ({'logger': DELETE}, 'logger: missing key: how to log.'),
    ({'logger.use_tb_logger': 'yes'}, 'logger.use_tb_logger: "yes" is not true or false.'),
    ({'logger.use_tb_logger': False, 'logger.wandb': {'project': 'p'}},
     'logger.wandb.project: wandb needs logger.use_tb_logger: true.'),
    ({'train.total_iter': DELETE}, 'train.total_iter: missing key: how many iterations to train.'),
    ({'train.total_iter': True}, 'train.total_iter: true is not a number.'),
    ({'train.total_iter': 10.5}, 'train.total_iter: 10.5 is not a whole number.'),
    ({'train': None}, 'train: missing key: how to train.'),
    ({'train': 5}, 'train: 5 is not a section of keys.'),
    ({'train.optim_g.lr': float('nan')}, 'train.optim_g.lr: nan is not a finite number.'),
    ({'train.optim_g.lr': 0}, 'train.optim_g.lr: 0 is too small; it must be above 0.'),
    ({'train.optim_g.betas': [0.9]}, 'train.optim_g.betas: [0.9] has not two numbers; write e.g. [0.9, 0.99].'),
    ({'train.optim_g.type': 'AdamX'}, 'train.optim_g.type: "AdamX" is unknown. Did you mean "Adam"?'),
    ({'train.scheduler.type': 'StepLR'}, 'train.scheduler.type: "StepLR" is unknown. Did you mean "MultiStepLR"?'),
    ({'train.scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [1000]}},
     'train.scheduler.periods: their sum 1000 is below total_iter: 250000.'),
    ({'train.scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [200000, 200000]}},
     'train.scheduler.restart_weights: it needs as many numbers as periods.'),
    ({'train.scheduler.restarts': [0, 1000]}, 'train.scheduler.restart_weights: it needs as many numbers as restarts.'),
    ({'train.ema_decay': 1}, 'train.ema_decay: 1 is too large; it must be below 1.'),
    ({'train.pixel_opt.loss_weight': -1}, 'train.pixel_opt.loss_weight: -1 is too small; the least is 0.'),
    ({'train.pixel_opt.reduction': 'none'}, 'train.pixel_opt.reduction: "none" is unknown. Allowed: mean, sum.'),
    ({'train.pixel_opt.type': 'L1Losss'}, 'train.pixel_opt.type: "L1Losss" is not registered. Did you mean "L1Loss"? '
      'For one of your own, add --import FILE.py.'),
    ({'train.pixel_opt.eps': 1}, 'train.pixel_opt.eps: unknown key. Allowed: loss_weight, reduction, type.'),
    ({'train.perceptual_opt': {'type': 'PerceptualLoss', 'layer_weights': {}, 'criterion': 'fro'},
      'train.accumulate': 2},
     'train.perceptual_opt.criterion: fro is a norm of the whole batch, which accumulate: 2 takes apart; write '
     'criterion: l1.'),
    ({'train.ldl_opt': {'type': 'L1Loss'}, 'train.ema_decay': 0},
     'train.ldl_opt: it compares the student with its EMA; write e.g. ema_decay: 0.999.'),
    ({'train.dukd_opt': DELETE},
     'train.dukd_opt: missing key: DUKDModel needs this loss; without it: model_type: DistillModel.'),
    ({'train.dukd_opt.zoom_in': None, 'train.dukd_opt.zoom_out': None},
     'train.dukd_opt.zoom_in: zoom_in and zoom_out are both ~, which leaves nothing; leave one out for its default, '
     'or write model_type: DistillModel.'),
    ({'train.dukd_opt.zoom_in.num': 0}, 'train.dukd_opt.zoom_in.num: 0 is too small; the least is 1.'),
    ({'train.dukd_opt.zoom_out': True},
     'train.dukd_opt.zoom_out: true is not possible; write {gt: true}, or ~ to switch it off.'),
    ({'train.dukd_opt.consistency.ops': ['invert', 'rotate']},
     'train.dukd_opt.consistency.ops[1]: "rotate" is unknown. Allowed: hflip, invert, permute, translate, transpose, '
     'vflip.'),
    ({'train.dukd_opt.zoom_in': {'crops': 'grid'}, 'datasets.train.type': 'UpcycledImageDataset',
      'datasets.train.dataroot_upcycled': 'x.lmdb'},
     'train.dukd_opt.zoom_in.crops: a cache has crops from anywhere; write crops: random, or datasets.train.type: '
     'PairedImageDataset.'),
    ({'train.dukd_opt.consistency.prob': 1.5}, 'train.dukd_opt.consistency.prob: 1.5 is too large; the most is 1.'),
    ({'train.dukd_opt.consistency.views': ['gt']},
     'train.dukd_opt.consistency.views[0]: "gt" is unknown. Allowed: lq, zoom_in, zoom_out.'),
    ({'train.dukd_opt.n_gt_sub': [1]},
     "train.dukd_opt.n_gt_sub: this is the authors' key; write zoom_in: {num: 1}, or zoom_in: ~."),
    ({'train.noisy': {'prob': 0.3}},
     "train.noisy: this is the authors' key; write train.dukd_opt.consistency: {prob: 0.3}, or consistency: ~."),
    ({'model_type': 'DUKD'}, 'model_type: "DUKD" is not registered. Did you mean "DUKDModel"? '
      'For one of your own, add --import FILE.py.'),
    ({'model_type': 'BaseKD'}, 'model_type: "BaseKD" is not registered. Did you mean "DistillModel"? '
      'For one of your own, add --import FILE.py.'),
    ({'model_type': 'DistillModel'}, 'train.dukd_opt: DistillModel does not read it; write model_type: DUKDModel.'),
    ({'model_type': 'DistillModel', 'train.dukd_opt': DELETE, 'train.kd_opt': DELETE},
     'train.kd_opt: missing key: DistillModel needs this loss; without teacher: model_type: SRModel.'),
    ({'model_type': 'SRModel', 'train.dukd_opt': DELETE, 'train.kd_opt': DELETE},
     'network_t: SRModel has no teacher; write model_type: DistillModel.'),
    ({'model_type': 'SRModel', 'train.dukd_opt': DELETE, 'network_t': None},
     'train.kd_opt: SRModel has no teacher; write model_type: DistillModel.'),
    ({'model_type': 'SRModel', 'train.kd_opt': DELETE, 'network_t': None},
     'train.dukd_opt: SRModel has no teacher; write model_type: DUKDModel.'),
    ({'model_type': 'SRModel', 'train.kd_opt': DELETE, 'train.dukd_opt': DELETE, 'network_t': None,
      'train.pixel_opt': None}, 'train.pixel_opt: missing key: SRModel needs this loss (or perceptual_opt).'),
    ({'network_t': DELETE}, 'network_t: missing key: DUKDModel needs a teacher, e.g. {type: EDSR, ...}.'),
    ({'path.pretrain_network_t': None},
     "path.pretrain_network_t: missing key: DUKDModel needs the teacher's weights."),
    ({'path.teacher': 'w.pth'},
     'path.teacher: unknown key. Allowed: experiments_root, ignore_resume_networks, param_key_d, param_key_g, '
     'param_key_t, pretrain_network_d, pretrain_network_g, pretrain_network_t, results_root, resume_state, '
     'strict_load_d, strict_load_g, strict_load_t.'),
    ({'network_g.type': 'EDSRR'}, 'network_g.type: "EDSRR" is not registered. Did you mean "EDSR"? '
      'For one of your own, add --import FILE.py.'),
    ({'network_g.num_fead': 3}, 'network_g.num_fead: unknown key. Did you mean "num_feat"?'),
    ({'network_g.num_in_ch': DELETE}, 'network_g.num_in_ch: missing key: EDSR needs this argument.'),
    ({'network_g.upscale': 2}, 'network_g.upscale: 2, but scale: 4; write upscale: 4.'),
    ({'network_t': {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'upscale': 3}},
     'network_t.upscale: 3, but scale: 4; write upscale: 4.'),
    ({'network_t.num_in_ch': 1},
     'network_t.num_in_ch: 1, but network_g.num_in_ch: 3; teacher and student need the same channels.'),
    ({'network_t.num_out_ch': 1},
     'network_t.num_out_ch: 1, but network_g.num_out_ch: 3; teacher and student need the same channels.'),
    ({'model_type': 'SRModel', 'network_t': DELETE, 'train.kd_opt': DELETE, 'train.dukd_opt': DELETE,
      'network_g': {'type': 'SwinIR', 'upscale': 4, 'window_size': 7}},
     'network_g.window_size: an LR patch of 48 (gt_size: 192) is not a multiple of the window 7; write gt_size: 28 '
     'or a multiple of it.'),
    ({'network_t': [{'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3}] * 2, 'path.pretrain_network_t': ['a.pth']},
     'path.pretrain_network_t: 1 checkpoints for 2 networks of network_t; write two lists of the same length.'),
    ({'network_t': [{'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'upscale': 2}],
      'path.pretrain_network_t': ['a.pth']}, 'network_t[0].upscale: 2, but scale: 4; write upscale: 4.'),
    ({'train.teacher_opt': {'combine': 'mean'}},
     'train.teacher_opt.combine: "mean" is unknown. Allowed: average, random.'),
    ({'network_g': {'type': 'SwinIR', 'upscale': 4, 'window_size': 4, 'embed_dims': 60}},
     'network_g.embed_dims: unknown key. Did you mean "embed_dim"?'),
    ({'datasets.train.gt_size': 190}, 'datasets.train.gt_size: 190 is not a multiple of scale: 4; write e.g. 188.'),
    ({'datasets.train.gt_size': 200},
     'train.dukd_opt.zoom_out: an LR patch of 50 (gt_size: 200) does not shrink by scale: 4; write gt_size: 16 or a '
     'multiple of it, or zoom_out: ~.'),
    ({'datasets.train.num_worker_per_gpu': 0, 'datasets.train.persistent_workers': True},
     'datasets.train.persistent_workers: needs num_worker_per_gpu of at least 1; write persistent_workers: false.'),
    ({'datasets.val.persistent_workers': True},
     'datasets.val.persistent_workers: validation has no workers; write persistent_workers: false.'),
    ({'datasets.train.prefetch_mode': 'cuda'}, 'datasets.train.prefetch_mode: cuda needs pin_memory: true beside it.'),
    ({'datasets.train.prefetch_mode': 'cuda', 'num_gpu': 0},
     'datasets.train.prefetch_mode: cuda needs a GPU, but num_gpu: 0; write prefetch_mode: ~.'),
    ({'datasets.train.dataroot_lq': 'datasets/DIV2K/DIV2K_train_HR_sub.lmdb'},
     'datasets.train.dataroot_lq: datasets/DIV2K/DIV2K_train_HR_sub.lmdb is dataroot_gt too; LR and HR images '
     'differ.'),
    ({'datasets.train.dataroot_gt': 'datasets/HR'},
     'datasets.train.dataroot_gt: datasets/HR does not end in .lmdb, as io_backend.type: lmdb needs it.'),
    ({'datasets.val.dataroot_gt': 'a.lmdb'},
     'datasets.val.dataroot_gt: a.lmdb is an LMDB; write io_backend: {type: lmdb}.'),
    ({'datasets.val.type': 'PairedImgDataset'},
     'datasets.val.type: "PairedImgDataset" is not registered. Did you mean "PairedImageDataset"? '
     'For one of your own, add --import FILE.py.'),
    ({'num_gpu': 'two'}, 'num_gpu: "two" is not a whole number or "auto".'),
    ({'num_gpu': -1}, 'num_gpu: -1 is too small; the least is 0.'),
    ({'name': 'a/b'}, 'name: "a/b" cannot be the name of a folder.'),
    ({'scale': DELETE}, 'scale: missing key: the factor of super-resolution.'),
    ({'val.val_freq': DELETE}, 'val.val_freq: missing key: iterations between validations.'),
    ({'val.save_img': DELETE}, 'val.save_img: missing key: whether to save images, true or false.'),
    ({'val.metrics.psnr.type': 'calculate_psrn'},
     'val.metrics.psnr.type: "calculate_psrn" is not registered. Did you mean "calculate_psnr"? '
     'For one of your own, add --import FILE.py.'),
    ({'val.metrics.psnr.test_y_chanel': True},
     'val.metrics.psnr.test_y_chanel: unknown key. Did you mean "test_y_channel"?'),
    ({'val.metrics.psnr.crop_border': DELETE},
     'val.metrics.psnr.crop_border: missing key: calculate_psnr needs this argument.'),
    ({'dist_params.backend': 'mpi'}, 'dist_params.backend: "mpi" is unknown. Allowed: gloo, nccl.'),
]  # fmt: skip


@pytest.mark.parametrize(('changes', 'message'), MISTAKES, ids=[message.split(':')[0] for _, message in MISTAKES])
def test_each_mistake_has_its_sentence(changes, message):
    assert errors_of(changed(DUKD, changes)) == [f'options/x.yml: {message}']


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'path.pretrain_network_g': None}, 'path.pretrain_network_g: missing key: a test needs the weights to test.'),
        ({'val': None}, 'val: missing key: how to test, e.g. {save_img: false, metrics: ...}.'),
        ({'val.save_img': True, 'val.suffix': DELETE},
         'val.suffix: missing key: save_img needs it; write suffix: ~ for the name of the run.'),
        ({'datasets.train': {}}, 'datasets.train: a test knows the datasets test, test_1, ....'),
        ({'datasets': {}}, 'datasets: there is no dataset to test on; add test.'),
    ],
)  # fmt: skip
def test_each_mistake_of_a_test_has_its_sentence(changes, message):
    assert errors_of(changed(TEST, changes), is_train=False) == [f'options/x.yml: {message}']


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'train.scheduler.milestones': [100, 300000]},
         'train.scheduler.milestones: 300000 is beyond total_iter: 250000.'),
        ({'val.metrics.ssim.crop_border': 0},
         'val.metrics.ssim.crop_border: 0 is not scale: 4; published numbers cut the scale.'),
        ({'train.optim_g.lr': '1e-4'},
         'train.optim_g.lr: 1e-4 is text in YAML 1.1 and is read as the number; other programs need 1.0e-4 or !!float '
         '1e-4.'),
        ({'train.pixel_opt': {'type': 'CharbonnierLoss', 'eps': '1e-6'}},
         'train.pixel_opt.eps: 1e-6 is text in YAML 1.1 and is read as the number; other programs need 1.0e-6 or '
         '!!float 1e-6.'),
        ({'val.self_ensemble': True},
         'val.self_ensemble: BasicSR does not read it; for a table with it: basicsr benchmark --self_ensemble.'),
        ({'datasets.train.use_shuffle': True},
         'datasets.train.use_shuffle: BasicSR does not read it: training images are always shuffled.'),
        ({'datasets.val.task': 'SR'}, 'datasets.val.task: nothing reads this key, and it changes nothing.'),
        ({'train.dis_opt': {'type': 'L1Loss'}},
         'train.dis_opt: nothing reads this key: the run trains without it.'),
        ({'network_h': {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'upscale': 4}},
         'network_h: nothing reads this key, and it changes nothing.'),
        ({'l1_gt_usm': False},
         'l1_gt_usm: RealESRGANModel alone reads it; here ground truth is sharpened for every loss where gt_usm is '
         'true.'),
        ({'name': 'debug_x'},
         'name: "debug_x" contains "debug", so BasicSR logs every iteration and saves every eighth.'),
    ],
)  # fmt: skip
def test_warnings(changes, message):
    assert options.check(changed(DUKD, changes), FILE, True) == [f'options/x.yml: {message}']


def test_all_errors_are_told_at_once():
    opt = changed(DUKD, {'scael': 4, 'scale': DELETE, 'train.optim_g.lr': 'x', 'network_t.type': 'RCNA',
                         'val.metrics.psnr.typ': 'x', 'datasets.train.gt_size': 'big'})  # fmt: skip
    keys = {message.split(': ')[1] for message in errors_of(opt)}
    assert keys == {
        'scael', 'train.optim_g.lr', 'network_t.type', 'val.metrics.psnr.typ', 'datasets.train.gt_size',
    }  # fmt: skip


def test_other_models_keep_their_own_keys_but_make_no_folders():
    discriminator = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 64}
    opt = changed(DUKD, {'model_type': 'SRGANModel', 'network_d': discriminator, 'train.gan_opt': {'type': 'GANLoss'},
                         'path.pretrain_network_d': 'x.pth'})  # fmt: skip
    assert options.check(opt, FILE, True) == []
    opt['path']['teacher'] = 'w.pth'
    assert errors_of(opt) == ['options/x.yml: path.teacher: unknown key; BasicSR would make a folder of its value.']


def _paths(node, path=()):
    """Every key of nested mappings."""
    for name, value in node.items():
        yield (*path, name)
        if isinstance(value, dict):
            yield from _paths(value, (*path, name))


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 300), st.floats(), st.text(max_size=6), st.just('1e-4'), st.just({}),
    st.lists(st.integers(-1, 3), max_size=2), st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    st.dates(), st.sampled_from(['SRModel', 'DistillModel', 'SRGANModel', 'SwinIR', 'L1Loss', 'lmdb']),
)  # fmt: skip


def _sentences(opt, is_train, root):
    """The errors, or None where there are none."""
    try:
        options.check(opt, FILE, is_train)
        check_files(opt, root, is_train)
    except OptionsError as error:
        return list(error.messages)
    return None


@settings(max_examples=400)
@given(st.data())
def test_mutated_files_pass_or_say_why(tmp_path_factory, data):
    opt = copy.deepcopy(options.load(data.draw(st.sampled_from(SHIPPED))))
    is_train = is_training(opt)
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from(list(_paths(opt)) or [('name',)]))
        node = opt
        for parent in parents:
            node = node[parent]
        action = data.draw(st.sampled_from(['delete', 'rename', 'retype']))
        value = node.pop(last, None)
        if action == 'rename':
            node[data.draw(st.one_of(st.text(max_size=5), st.integers(), st.just(f'{last}_1')))] = value
        elif action == 'retype':
            node[last] = data.draw(VALUES)
    sentences = _sentences(opt, is_train, tmp_path_factory.getbasetemp())
    assert sentences != []
    assert all('\n' not in sentence for sentence in sentences or ())


def test_load(tmp_path):
    good = tmp_path / 'train_x.yml'
    good.write_text('﻿name: ü  # BOM and UTF-8\nlr: !!float 1e-4\nscale: 4\n', encoding='utf-8')
    assert options.load(good) == {'name': 'ü', 'lr': 1e-4, 'scale': 4}


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('name: a\ntrain:\n  lr: 1\n  lr: 2\nname: b\n',
         ['line 4, column 3: "lr" stands here again; keep one of the two.',
          'line 5, column 1: "name" stands here again; keep one of the two.']),
        ('name: [a\nscale: 4\n', ["line 2, column 6: not plain YAML: did not find expected ',' or ']'."]),
        ('a: !!python/object/apply:os.getpid []\n',
         ['line 1, column 4: not plain YAML: could not determine a constructor for the tag '
          "'tag:yaml.org,2002:python/object/apply:os.getpid'."]),
        ('- a\n', ['there are no "key: value" lines; an options file starts with "name: ...".']),
        ('', ['there are no "key: value" lines; an options file starts with "name: ...".']),
        ('a: !!float x\n', ["not plain YAML: could not convert string to float: 'x'."]),
        ('? [a]\n: 1\n', ["not plain YAML: unhashable type: 'list'."]),
    ],
)  # fmt: skip
def test_load_says_what_is_wrong_and_where(tmp_path, text, message):
    file = tmp_path / 'x.yml'
    file.write_text(text, encoding='utf-8')
    with pytest.raises(OptionsError) as caught:
        options.load(file)
    assert list(caught.value.messages) == [f'{file}: {line}' for line in message]


def test_load_of_a_missing_file_names_its_neighbour(tmp_path):
    (tmp_path / 'train_x.yml').write_text('a: 1', encoding='utf-8')
    with pytest.raises(OptionsError, match=r'tran_x\.yml: there is no such file\. Did you mean "train_x\.yml"\?'):
        options.load(tmp_path / 'tran_x.yml')
    (tmp_path / 'latin.yml').write_bytes(b'a: \xfc')
    with pytest.raises(OptionsError, match=r'not UTF-8 \(byte 3\); save it as UTF-8\.'):
        options.load(tmp_path / 'latin.yml')
    with pytest.raises(OptionsError, match='cannot be read: Is a directory'):
        options.load(tmp_path)


def test_overrides_are_literals_and_leave_the_options_alone():
    before = copy.deepcopy(DUKD)
    opt = options.apply_overrides(
        DUKD, ['train:total_iter=1000', 'train:optim_g:lr=!!float 1e-3', 'train:ema_decay=1e-1']
    )
    assert before == DUKD
    assert (opt['train']['total_iter'], opt['train']['optim_g']['lr'], opt['train']['ema_decay']) == (1000, 1e-3, 0.1)
    evil = '__import__("os").system("exit 1")'
    assert options.apply_overrides(DUKD, [f'name={evil}'])['name'] == evil
    with pytest.raises(OptionsError) as caught:
        options.apply_overrides(DUKD, ['trian:total_iter=1', 'name'])
    assert len(caught.value.messages) == 2
    assert 'Did you mean "train"?' in caught.value.messages[0]
    new = options.apply_overrides(DUKD, ['train:total_itr=1'])
    assert errors_of(new) == ['options/x.yml: train.total_itr: unknown key. Did you mean "total_iter"?']


def test_dukd_options_read_defaults_and_switches():
    bare = options.dukd_options({'type': 'L1Loss', 'loss_weight': 2.0, 'reduction': 'sum'})
    assert bare.loss == {'type': 'L1Loss', 'loss_weight': 2.0, 'reduction': 'sum'}
    assert (bare.zoom_in.num, bare.zoom_out.gt) == (1, True)
    assert bare.consistency.ops == ('invert', 'hflip', 'vflip', 'transpose')
    assert (bare.consistency.prob, bare.consistency.views) == (0.3, ('zoom_in', 'zoom_out'))
    some = {'type': 'L1Loss', 'zoom_in': {'num': 3}, 'zoom_out': None, 'consistency': {'ops': ['invert'], 'prob': 1}}
    read = options.dukd_options(some)
    assert (read.zoom_in.num, read.zoom_out, read.consistency.ops) == (3, None, ('invert',))
    assert options.dukd_options({'type': 'L1Loss', 'consistency': None}).consistency is None
    with pytest.raises(OptionsError, match=r'train\.dukd_opt\.zoom_in\.nun: unknown key\. Did you mean "num"\?'):
        options.dukd_options({'type': 'L1Loss', 'zoom_in': {'nun': 2}})


@pytest.fixture
def workplace(tmp_path):
    """LMDBs, folders of images and a teacher, as the options below name them."""
    for name, size in (('HR', (64, 68)), ('LR', (16, 17))):
        write_lmdb(tmp_path / f'{name}.lmdb', {str(number): size for number in range(4)})
    for name, size in (('gt', (64, 68)), ('lq', (16, 17))):
        (tmp_path / name).mkdir()
        (tmp_path / name / 'a.png').write_bytes(encoded(*size))
    (tmp_path / 'teacher.pth').touch()
    train = {'datasets.train.' + key: value for key, value in {
        'dataroot_gt': 'HR.lmdb', 'dataroot_lq': 'LR.lmdb', 'gt_size': 32, 'batch_size_per_gpu': 8,
        'dataset_enlarge_ratio': 2}.items()}  # fmt: skip
    val = {'datasets.val.dataroot_gt': 'gt', 'datasets.val.dataroot_lq': 'lq'}
    no_more = {f'datasets.val_{number}': DELETE for number in (1, 2, 3)}
    return tmp_path, changed(DUKD, {**train, **val, **no_more, 'path.pretrain_network_t': 'teacher.pth'})


ZOO = "BasicSR's model zoo (docs/ModelZoo.md of github.com/XPixelGroup/BasicSR)"
FILE_MISTAKES = [
    ({'datasets.train.gt_size': 80},
     'datasets.train.gt_size: 80 is larger than the smallest HR image, 0 with 64x68; write a smaller one.'),
    ({'datasets.train.batch_size_per_gpu': 9},
     'datasets.train.batch_size_per_gpu: 4 images times dataset_enlarge_ratio: 2 do not fill a batch of 9; write '
     'dataset_enlarge_ratio: 3.'),
    ({'scale': 2, 'datasets.val.type': 'SingleImageDataset'},
     'datasets.train.dataroot_lq: 0 is 16x17 in it and 64x68 in {root}/HR.lmdb, which is not scale: 2; name the LMDB '
     'of that scale.'),
    ({'path.pretrain_network_t': 'techer.pth'},
     'path.pretrain_network_t: there is no file techer.pth in {root}; put it there or correct the path. Did you mean '
     '"teacher.pth"?'),
    ({'path.pretrain_network_t': 'experiments/pretrained_models/EDSR_Lx4_f256b32_DIV2K_official-76ee1c8f.pth'},
     'path.pretrain_network_t: there is no file '
     'experiments/pretrained_models/EDSR_Lx4_f256b32_DIV2K_official-76ee1c8f.pth in {root}; download '
     f'EDSR_Lx4_f256b32_DIV2K_official-76ee1c8f.pth from {ZOO} into experiments/pretrained_models.'),
    ({'path.pretrain_network_g': 'experiments/run/models/net_g_5.pth'},
     'path.pretrain_network_g: there is no file experiments/run/models/net_g_5.pth in {root}; it is written by '
     'training run '
     'with basicsr train.'),
    ({'path.resume_state': '1.state'},
     'path.resume_state: there is no file 1.state in {root}; put it there or correct the path.'),
    ({'datasets.val.dataroot_gt': 'datasets/Set5/GTmod4', 'datasets.val.dataroot_lq': 'datasets/Set5/LRbicx4'},
     "datasets.val.dataroot_gt: there is no datasets/Set5/GTmod4 and datasets/Set5/LRbicx4 in {root}; with Set5's "
     "HR images in "
     'a folder DIR, run: basicsr prepare --preset benchmark DIR --name Set5.'),
    ({'datasets.train.dataroot_gt': 'datasets/DIV2K/DIV2K_train_HR_sub.lmdb'},
     'datasets.train.dataroot_gt: there is no datasets/DIV2K/DIV2K_train_HR_sub.lmdb in {root}; download '
     'DIV2K_train_HR.zip and '
     'DIV2K_train_LR_bicubic_X4.zip (data.vision.ee.ethz.ch/cvl/DIV2K), unpack them in a folder DIR, and run: '
     'basicsr prepare --preset div2k DIR.'),
    ({'datasets.train.dataroot_lq': 'datasets/Photos/Photos_LR_bicubic_X4_sub.lmdb'},
     'datasets.train.dataroot_lq: there is no datasets/Photos/Photos_LR_bicubic_X4_sub.lmdb in {root}; with the HR '
     'images in a '
     'folder FOLDER, run: basicsr prepare FOLDER --name Photos.'),
    ({'datasets.val.filename_tmpl': '{}x4'},
     "datasets.val.dataroot_lq: {root}/lq has no ax4.png, the LR image that filename_tmpl: '{{}}x4' gives for one of "
     '{root}/gt (1 are missing).'),
    ({'datasets.val.meta_info_file': 'm.txt'},
     'datasets.val.meta_info_file: there is no file m.txt in {root}; write ~ to use all images of the folders.'),
]  # fmt: skip


@pytest.mark.parametrize(('changes', 'message'), FILE_MISTAKES, ids=[next(iter(change)) for change, _ in FILE_MISTAKES])
def test_what_the_options_point_at(workplace, changes, message):
    root, opt = workplace
    check_files(opt, root, True)
    with pytest.raises(OptionsError) as caught:
        check_files(changed(opt, changes), root, True)
    assert list(caught.value.messages) == [message.format(root=root)]


@pytest.mark.parametrize(
    ('file', 'text', 'message'),
    [
        ('LR.lmdb/data.mdb', None,
         'datasets.train.dataroot_lq: {root}/LR.lmdb has no data.mdb; remove this incomplete LMDB and run basicsr '
         'prepare.'),
        ('HR.lmdb/meta_info.txt', '', 'datasets.train.dataroot_gt: {root}/HR.lmdb has no images; remove it and run '
                                      'basicsr prepare.'),
        ('HR.lmdb/meta_info.txt', 'zero\n',
         'datasets.train.dataroot_gt: line 1 of {root}/HR.lmdb/meta_info.txt is not "name.png (height,width,3) 1"; '
         'remove the LMDB and run basicsr prepare.'),
        ('LR.lmdb/meta_info.txt', '0.png (16,17,3) 1\n',
         'datasets.train.dataroot_lq: the key 1 of {root}/HR.lmdb is not in it (3 are missing); make both with one '
         'basicsr prepare.'),
        ('gt/a.png', None, 'datasets.val.dataroot_gt: there are no images in {root}/gt.'),
        ('lq/b.png', '', 'datasets.val.dataroot_lq: {root}/lq has 2 images, but {root}/gt has 1; remove those without '
                         'pair.'),
    ],
)  # fmt: skip
def test_damaged_data(workplace, file, text, message):
    root, opt = workplace
    if text is None:
        (root / file).unlink()
    else:
        (root / file).write_text(text)
    with pytest.raises(OptionsError) as caught:
        check_files(opt, root, True)
    assert list(caught.value.messages) == [message.format(root=root)]


def test_checking_imports_nothing_heavy_and_is_quick(tmp_path):
    script = (
        'import sys, time\nfrom pathlib import Path\n'
        'from dukd_basicsr import options\nfrom dukd_basicsr.options import components\n'
        'started = time.process_time()\ncomponents.list_components("arch")\nindex = time.process_time() - started\n'
        f'file = Path({str(SHIPPED[-1])!r})\nopt = options.load(file)\noptions.check(opt, file, True)\n'
        'heavy = {"torch", "basicsr", "cv2", "numpy", "lmdb"} & set(sys.modules)\nassert not heavy, heavy\nprint(index)'
    )
    environment = os.environ | {'PYTHONPATH': str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, '-c', script], env=environment, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert float(done.stdout) < 1  # of the processor's time; it is 0.1 s


def test_registered_index_agrees_with_the_registries():
    from basicsr.utils import registry

    components._read_source.cache_clear()
    for kind in ('arch', 'dataset', 'loss', 'metric', 'model'):
        named = iter(getattr(registry, f'{kind.upper()}_REGISTRY'))
        live = {name.removesuffix('_basicsr'): registered_object for name, registered_object in named}
        source = components._read_source()[kind]
        assert source.keys() <= live.keys()
        for name, component in source.items():
            if not component.takes_any:
                assert list(component.parameters) == list(components._inspect(live[name]).parameters), name


def test_architectures_of_the_user_are_known(monkeypatch):
    from basicsr.utils.registry import ARCH_REGISTRY

    class MyArch:
        def __init__(self, num_in_ch, width=4):
            self.width = width

    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'MyArch', MyArch)
    assert options.check(changed(DUKD, {'network_g': {'type': 'MyArch', 'num_in_ch': 3}}), FILE, True) == []
    opt = changed(DUKD, {'network_g': {'type': 'MyArch', 'num_in_ch': 3, 'widht': 2}})
    assert errors_of(opt) == ['options/x.yml: network_g.widht: unknown key. Did you mean "width"?']


def test_shipped_files_read_the_same_with_plain_yaml():
    for file in SHIPPED:
        assert options.load(file) == yaml.safe_load(file.read_text(encoding='utf-8'))
