"""The options file of a DUKDRealModel: what is Real-ESRGAN's, and what is said of mistakes."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from datasets_prep.prepare import prepare_training
from dukd_basicsr import options
from dukd_basicsr.data.checks.files import check_files
from dukd_basicsr.data.degradation.settings import DEGRADATION, KERNELS
from tests.toys import DELETE, REPOSITORY, changed

FILE = REPOSITORY / 'options' / 'train_dukd_real_rrdb_to_compact_x4.yml'
SHIPPED = options.load(FILE)


def said(opt):
    try:
        return options.check(opt, Path('x.yml'), True)
    except options.OptionsError as error:
        return [message.removeprefix('x.yml: ') for message in error.messages]


def test_the_shipped_file_has_the_settings_of_real_esrgan():
    assert {name: SHIPPED[name] for name in DEGRADATION} == DEGRADATION
    assert {name: SHIPPED['datasets']['train'][name] for name in KERNELS} == KERNELS
    assert SHIPPED['zoom_in_degraded'] is True
    assert said(SHIPPED) == []


def test_the_small_settings_at_its_head_are_accepted():
    head = FILE.read_text().partition('# general settings')[0]
    opt = options.apply_overrides(SHIPPED, re.findall(r' ([a-z_:]+=\S+)', head))
    assert said(opt) == []
    assert (opt['num_gpu'], opt['gt_size'], opt['datasets']['train']['gt_size']) == (0, 80, 80)


MISTAKES = [
    ({'resize_prob2': DELETE}, 'resize_prob2: missing key: of the second resize: up, down, keep'),
    ({'queue_sice': 180}, 'queue_sice: unknown key. Did you mean "queue_size"?'),
    ({'zoom_in_degraded': 1}, 'zoom_in_degraded: 1 is not true or false.'),
    ({'datasets.train.blur_sigm': 1}, 'datasets.train.blur_sigm: unknown key. Did you mean "blur_sigma"?'),
    ({'datasets.train.dataroot_lq': 'x'}, 'datasets.train.dataroot_lq: "x" is not possible; LR images are made'),
    ({'datasets.train.type': 'PairedImageDataset'}, 'datasets.train.type: "PairedImageDataset" is unknown. Allowed'),
    ({'jpeg_range': [30, 100]}, 'jpeg_range[1]: 100 is too large; it must be below 100.'),
    ({'noise_range': [30, 1]}, 'noise_range: [30, 1] is no range; write two numbers, the smaller one first.'),
    ({'noise_range': [1]}, 'noise_range: [1] is no range'),
    ({'resize_range': [0.2, 0.9]}, 'resize_range: [0.2, 0.9] has no 1 between its numbers; write e.g. [0.5, 1.5].'),
    ({'datasets.train.blur_sigma2': [2, 2]}, 'datasets.train.blur_sigma2: [2, 2] is no range'),
    ({'resize_prob': [0.5, 0.5]}, 'resize_prob: [0.5, 0.5] has not three numbers: of up, down and keep.'),
    ({'resize_prob': [0, 0, 0]}, 'resize_prob: [0, 0, 0] has no number above 0.'),
    ({'datasets.train.kernel_prob2': [1]}, 'datasets.train.kernel_prob2: 1 probabilities for 6 shapes of kernel_list2'),
    ({'datasets.train.kernel_list': ['isso'] * 6}, 'datasets.train.kernel_list[0]: "isso" is unknown. Did you mean'),
    ({'gt_size': 128}, 'gt_size: 128, but datasets.train.gt_size: 256; write the same number twice.'),
    ({'gt_size': 512, 'datasets.train.gt_size': 512}, 'gt_size: 512 is too large; the most is 400.'),
    ({'queue_size': 100}, 'queue_size: 100 is not a multiple of batch_size_per_gpu: 12; write e.g. 96.'),
    ({'gt_size': 64, 'datasets.train.gt_size': 64}, 'zoom_in_degraded: a patch of 64 shrinks to 9 pixels by'),
    ({'gt_size': 16, 'datasets.train.gt_size': 16, 'zoom_in_degraded': False}, 'gt_usm: a patch of 16 is too small'),
    ({'datasets.train.meta_info': None}, 'datasets.train.meta_info: missing key: a file that lists the images'),
    ({'train.dukd_opt.zoom_out': {}}, 'train.dukd_opt.zoom_out.gt: true teaches the student to answer with the noise'),
    ({'train.dukd_opt': None}, 'train.dukd_opt: missing key'),
    ({'network_t': None}, 'network_t: missing key'),
    ({'network_g.num_in_ch': 1}, 'network_g.num_in_ch: 1, but the images of datasets.train have 3'),
]  # fmt: skip


@pytest.mark.parametrize(('changes', 'sentence'), MISTAKES, ids=range(len(MISTAKES)))
def test_mistakes(changes, sentence):
    messages = [message.removeprefix('x.yml: ') for message in said(changed(SHIPPED, changes))]
    assert any(message.startswith(sentence) for message in messages), messages


def test_enough_is_named_where_a_patch_is_too_small():
    for side, accepted in ((73, False), (74, True)):
        side *= 4
        changes = {'resize_range': [0.15 / 4, 1.5], 'gt_size': side, 'datasets.train.gt_size': side}
        assert (said(changed(SHIPPED, changes | {'train.dukd_opt.zoom_out': None})) == []) is accepted


def test_other_models_do_not_know_the_keys():
    messages = said(changed(SHIPPED, {'model_type': 'DUKDModel'}))
    assert messages == [
        'datasets.train.type: RealESRGANDataset has no LR images, which DUKDModel trains on; write model_type: '
        'DUKDRealModel, or type: PairedImageDataset.'
    ]


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / 'hr'
    folder.mkdir()
    for name in ('a', 'b'):
        cv2.imwrite(str(folder / f'{name}.png'), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / 'meta.txt').write_text('a.png (64,64,3)\nb.png (64,64,3)\n')
    return tmp_path


def files_said(root, **changes):
    data = {'dataroot_gt': 'hr', 'meta_info': 'meta.txt', 'batch_size_per_gpu': 2}
    opt = changed(SHIPPED, {f'datasets.train.{name}': value for name, value in (data | changes).items()})
    opt['num_gpu'], opt['path']['pretrain_network_t'] = 0, None
    del opt['datasets']['val']
    try:
        check_files(opt, root, True)
    except options.OptionsError as error:
        return error.messages[0]
    return None


def test_files_that_are_missing_or_damaged_are_named(images):
    assert files_said(images) is None
    assert files_said(images, dataroot_gt='hrr').startswith(
        f'datasets.train.dataroot_gt: there is no hrr in {images}; make it with: basicsr prepare FOLDER --preset real.'
    )
    assert 'meta_info: there is no file metta.txt' in files_said(images, meta_info='metta.txt')
    assert '2 images times dataset_enlarge_ratio: 1 do not fill a batch of 3' in files_said(
        images, batch_size_per_gpu=3
    )
    (images / 'hr' / 'b.png').write_bytes(b'')
    assert 'line 2 of' in files_said(images)
    assert 'hr/b.png is empty' in files_said(images)
    (images / 'meta.txt').write_text('')
    assert 'names no images' in files_said(images)


def test_an_lmdb_needs_no_list(images):
    prepare_training(images / 'hr', images, 'P', [2], 32, 32, 32, 1)
    lmdb = {'dataroot_gt': 'P/P_HR_sub.lmdb', 'meta_info': None, 'io_backend': {'type': 'lmdb'}}
    assert files_said(images, **lmdb) is None
    assert 'do not fill a batch' in files_said(images, **lmdb, batch_size_per_gpu=12)
    (images / 'P' / 'P_HR_sub.lmdb' / 'data.mdb').unlink()
    assert 'has no data.mdb' in files_said(images, **lmdb)


def test_a_missing_test_set_is_made_by_its_own_command(images):
    opt = changed(SHIPPED, {'datasets.train.dataroot_gt': 'hr', 'datasets.train.meta_info': 'meta.txt'})
    with pytest.raises(options.OptionsError) as caught:
        check_files(opt, images, True)
    assert 'basicsr prepare DIR --preset real-test --name Set14 --scale 4 --seed 0' in str(caught.value)
