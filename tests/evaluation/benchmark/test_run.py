import copy
import csv
import json
import os
import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from skimage.metrics import peak_signal_noise_ratio

from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluation.benchmark.measure import build_dataset
from dukd_basicsr.evaluation.benchmark.protocol import Protocol, find_common_protocol
from dukd_basicsr.evaluation.benchmark.report import Row, to_markdown
from dukd_basicsr.evaluation.benchmark.rows import load_networks
from dukd_basicsr.evaluation.benchmark.tabulate import tabulate_networks
from dukd_basicsr.networks.cost import count_macs, count_parameters, find_lr_size
from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.networks.weights import build_network
from tests.evaluation.benchmark.option_files import PSNR, SSIM, write_options
from tests.toys import STUDENT, TEACHER, TINY_SWINIR, AsksForValues, save_weights


def luma(image):
    """ITU-R BT.601 for 8-bit BGR, as MATLAB's rgb2ycbcr, unrounded."""
    blue, green, red = (image[..., channel].astype(np.float64) for channel in range(3))
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def test_rows_order_and_numbers_against_scikit_image(tmp_path, capsys):
    files = [write_options(tmp_path, 'first', teacher=TEACHER), write_options(tmp_path, 'second', teacher=TEACHER)]
    content = tabulate_networks(files, tmp_path / 'out', pictures=True)
    names = [row['name'] for row in content['rows']]
    assert names == ['bicubic', 'first', 'second', 'teacher (teacher)']
    assert [row['kind'] for row in content['rows']] == ['bicubic', 'student', 'student', 'teacher']

    net = build_network(STUDENT).eval()
    net.load_state_dict(torch.load(tmp_path / 'second.pth', weights_only=True)['params'])
    expected = []
    for number in range(2):
        lq, gt = (cv2.imread(str(tmp_path / kind / f'{number}.png')) for kind in ('lq', 'gt'))
        tensor = torch.from_numpy(lq[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
        sr = (super_resolve(net, tensor)[0].clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()[..., ::-1]
        cropped = [luma(image)[2:-2, 2:-2] for image in (gt, sr)]
        expected.append(peak_signal_noise_ratio(*cropped, data_range=255))
    second = content['rows'][2]
    assert second['scores']['odd']['psnr'] == pytest.approx(np.mean(expected), abs=0.01)

    out = tmp_path / 'out'
    assert json.loads((out / 'benchmark.json').read_text()) == content
    with (out / 'benchmark_images.csv').open() as file:
        own = [float(row['psnr']) for row in csv.DictReader(file) if row['network'] == 'second']
    assert own == pytest.approx(expected, abs=0.01)
    assert sorted(path.name for path in (out / 'pictures' / 'odd').iterdir()) == ['0.png', '1.png']
    printed = capsys.readouterr().out
    assert 'Protocol: x2; PSNR, SSIM on Y with crop_border 2; mean over images (odd 2)' in printed
    assert (out / 'benchmark.md').read_text() in printed


def test_networks_with_windows_are_measured_on_any_size(tmp_path):
    save_weights(tmp_path / 'swinir.pth', TINY_SWINIR)
    path = {'pretrain_network_g': str(tmp_path / 'swinir.pth')}
    file = write_options(tmp_path, 'windows', network_g=TINY_SWINIR, path=path)
    row = tabulate_networks([file], None)['rows'][1]
    assert np.isfinite(row['scores']['odd']['psnr'])


def test_protocols_are_never_mixed(tmp_path):
    first = write_options(tmp_path, 'first')
    other = {'save_img': False, 'metrics': {'psnr': PSNR | {'crop_border': 4}, 'ssim': SSIM}}
    second = write_options(tmp_path, 'second', val=other)
    with pytest.raises(UserError, match=re.escape('val.metrics.psnr.crop_border is 4, not 2')):
        tabulate_networks([first, second], None)


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'scale': 4}, 'scale is 4, not 2'),
        ({'dataroot_gt': '/elsewhere'}, 'test set odd, dataroot_gt is /elsewhere, not '),
        ({'name': 'even'}, 'test set even, dataroot_gt is '),
    ],
)
def test_a_protocol_is_scale_and_images_too(tmp_path, changes, sentence):
    opt = yaml.safe_load(write_options(tmp_path, 'first').read_text())
    other = copy.deepcopy(opt)
    (other if 'scale' in changes else other['datasets']['test']).update(changes)
    with pytest.raises(UserError, match=re.escape(sentence)):
        find_common_protocol({Path('a.yml'): opt, Path('b.yml'): other})


def test_nothing_to_measure_is_said(tmp_path):
    opt = yaml.safe_load(write_options(tmp_path, 'first').read_text())
    with pytest.raises(UserError, match='val has no metrics'):
        find_common_protocol({Path('a.yml'): {**opt, 'val': {'save_img': False}}})
    with pytest.raises(UserError, match='names no val or test set'):
        find_common_protocol({Path('a.yml'): {**opt, 'datasets': {'train': {}}}})


def test_metrics_measured_differently_are_named_apart():
    metrics = {'psnr': PSNR, 'ssim': SSIM | {'crop_border': 0}, 'rgb': {'type': 'calculate_psnr', 'crop_border': 2}}
    assert Protocol(2, {}, metrics).describe_metrics() == (
        'PSNR on Y with crop_border 2; SSIM on Y with crop_border 0; RGB on RGB with crop_border 2'
    )


def test_two_rows_of_one_name_are_refused(tmp_path):
    first = write_options(tmp_path, 'first')
    second = tmp_path / 'copy.yml'
    second.write_text(first.read_text())
    with pytest.raises(UserError, match='two networks are named first'):
        tabulate_networks([first, second], None)


def test_missing_images_are_said_before_anything_is_written(tmp_path):
    file = write_options(tmp_path, 'first')
    shutil.rmtree(tmp_path / 'lq')
    with pytest.raises(UserError, match='dataroot_lq: there is no '):
        tabulate_networks([file], tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_images_of_another_scale_are_said(tmp_path):
    file = write_options(tmp_path, 'first')
    shutil.copyfile(tmp_path / 'gt' / '0.png', tmp_path / 'lq' / '0.png')
    with pytest.raises(UserError, match=r'0\.png 42x68, which is not scale: 2; name the folder of that scale'):
        tabulate_networks([file], None)


def test_a_trained_student_is_its_newest_ema(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / 'experiments' / 'run' / 'models'
    folder.mkdir(parents=True)
    opt = {'name': 'run', 'scale': 2, 'network_g': STUDENT, 'train': {}}
    for iteration in (900, 1000):
        save_weights(folder / f'net_g_{iteration}.pth', STUDENT)
    student = load_networks({Path('a.yml'): opt}, torch.device('cpu'))[1]
    assert student.weights == 'experiments/run/models/net_g_1000.pth'
    ema = build_network(STUDENT).state_dict()
    torch.save({'params': build_network(STUDENT).state_dict(), 'params_ema': ema}, folder / 'net_g_latest.pth')
    student = load_networks({Path('a.yml'): opt}, torch.device('cpu'))[1]
    assert student.weights == 'experiments/run/models/net_g_latest.pth'
    assert torch.equal(student.net.conv_first.weight, ema['conv_first.weight'])


def test_images_come_by_name_whatever_the_file_system_says(tmp_path, monkeypatch):
    opt = yaml.safe_load(write_options(tmp_path, 'first').read_text())
    listed = os.scandir
    monkeypatch.setattr(os, 'scandir', lambda path: iter(sorted(listed(path), key=lambda e: e.name, reverse=True)))
    dataset = build_dataset({**opt['datasets']['test'], 'phase': 'test', 'scale': 2})
    assert [Path(dataset[index]['lq_path']).name for index in range(2)] == ['0.png', '1.png']


def test_untrained_student_says_how_to_train(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = {
        'total_iter': 1, 'optim_g': {'type': 'Adam', 'lr': 1e-4}, 'pixel_opt': {'type': 'L1Loss'},
        'scheduler': {'type': 'MultiStepLR', 'milestones': [1]},
    }  # fmt: skip
    test = yaml.safe_load(write_options(tmp_path, 'student').read_text())
    sets = {'val': test['datasets']['test'], 'train': {
        **test['datasets']['test'], 'gt_size': 8, 'use_hflip': False, 'use_rot': False, 'num_worker_per_gpu': 0,
        'batch_size_per_gpu': 1}}  # fmt: skip
    logger = {'print_freq': 1, 'save_checkpoint_freq': 1, 'use_tb_logger': False}
    val = test['val'] | {'val_freq': 1}
    file = write_options(tmp_path, 'student', train=train, datasets=sets, logger=logger, val=val, path={})
    with pytest.raises(UserError, match=re.escape(f'train them first: basicsr train -opt {file}')):
        tabulate_networks([file], None)


def test_complexity_equals_the_formula():
    feat, block = 8, 3
    net = build_network({**STUDENT, 'num_feat': feat, 'num_block': block})
    conv = 9 * feat * feat
    weights = 9 * 3 * feat + (2 * block + 1) * conv + 4 * conv + 9 * feat * 3
    biases = feat * (1 + 2 * block + 1 + 4) + 3
    assert count_parameters(net) == weights + biases
    pixels = 640 * 360  # LR of 1280 x 720 at x2
    on_lr = 9 * 3 * feat + (2 * block + 1) * conv + 4 * conv
    assert count_macs(net, *find_lr_size(2)) == pixels * (on_lr + 4 * 9 * feat * 3)


def test_macs_without_the_meta_device_are_scaled_by_the_area():
    net = AsksForValues()
    with pytest.raises(RuntimeError):
        copy.deepcopy(net).to('meta')(torch.zeros(1, 3, 8, 8, device='meta'))
    assert count_macs(net, *find_lr_size(2)) == 640 * 360 * 9 * 3 * 12


def test_table_text():
    scores = {'Set5': {'psnr': 33.6821, 'ssim': 0.93052}}
    rows = [
        Row('bicubic', 'bicubic', None, None, None, 2.94, scores),
        Row('EDSR', 'student', 'x.pth', 778_819, 179_712_000_000, 537.51, scores),
    ]
    assert to_markdown(rows) == (
        '| network | params |  MACs | ms/image | Set5 PSNR / SSIM |\n'
        '| ------- | -----: | ----: | -------: | ---------------: |\n'
        '| bicubic |      - |     - |      2.9 |  33.682 / 0.9305 |\n'
        '| EDSR    |  779 K | 180 G |    537.5 |  33.682 / 0.9305 |\n'
    )
