import csv
import json
import re

import cv2
import numpy as np
import pytest
import torch
import yaml
from skimage.metrics import peak_signal_noise_ratio
from test_padding import TINY_SWINIR
from toys import STUDENT, TEACHER, save_weights

from dukd_basicsr import benchmark
from dukd_basicsr.complexity import count_macs, count_parameters
from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluate import super_resolve
from dukd_basicsr.table import Row, to_markdown

PSNR = {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True}
SSIM = {'type': 'calculate_ssim', 'crop_border': 2, 'test_y_channel': True}


def write_options(folder, name, teacher=None, **changes):
    """A test options file whose student has its own weights; the set has two images of odd sizes."""
    save_weights(folder / f'{name}.pth', STUDENT)
    rng = np.random.default_rng(1)
    for number, (height, width) in enumerate([(21, 34), (26, 19)]):
        for kind, scale in (('lq', 1), ('gt', 2)):
            (folder / kind).mkdir(exist_ok=True)
            image = cv2.GaussianBlur(rng.integers(0, 256, (scale * height, scale * width, 3), np.uint8), (5, 5), 2)
            cv2.imwrite(str(folder / kind / f'{number}.png'), image)
    opt = {
        'name': name, 'model_type': 'SRModel', 'scale': 2, 'num_gpu': 0, 'network_g': STUDENT,
        'datasets': {'test': {'name': 'odd', 'type': 'PairedImageDataset', 'dataroot_gt': str(folder / 'gt'),
                              'dataroot_lq': str(folder / 'lq'), 'io_backend': {'type': 'disk'}}},
        'path': {'pretrain_network_g': str(folder / f'{name}.pth')},
        'val': {'save_img': False, 'metrics': {'psnr': PSNR, 'ssim': SSIM}},
    }  # fmt: skip
    if teacher is not None:
        save_weights(folder / 'teacher.pth', teacher)
        opt |= {'network_t': teacher, 'model_type': 'DUKDModel'}
        opt['path']['pretrain_network_t'] = str(folder / 'teacher.pth')
    file = folder / f'{name}.yml'
    file.write_text(yaml.safe_dump(opt | changes), encoding='utf-8')
    return file


def luma(image):
    """ITU-R BT.601 for 8-bit BGR, as MATLAB's rgb2ycbcr, unrounded."""
    blue, green, red = (image[..., channel].astype(np.float64) for channel in range(3))
    return 16 + (65.481 * red + 128.553 * green + 24.966 * blue) / 255


def test_rows_order_and_numbers_against_scikit_image(tmp_path, capsys):
    files = [write_options(tmp_path, 'first', teacher=TEACHER), write_options(tmp_path, 'second', teacher=TEACHER)]
    content = benchmark.run(files, tmp_path / 'out', pictures=True)
    names = [row['name'] for row in content['rows']]
    assert names == ['bicubic', 'first', 'second', 'teacher (teacher)']
    assert [row['kind'] for row in content['rows']] == ['bicubic', 'student', 'student', 'teacher']

    from dukd_basicsr.checkpoint import build_network

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
    row = benchmark.run([file], None)['rows'][1]
    assert np.isfinite(row['scores']['odd']['psnr'])


def test_protocols_are_never_mixed(tmp_path):
    first = write_options(tmp_path, 'first')
    other = {'save_img': False, 'metrics': {'psnr': PSNR | {'crop_border': 4}, 'ssim': SSIM}}
    second = write_options(tmp_path, 'second', val=other)
    with pytest.raises(UserError, match=re.escape('val.metrics.psnr.crop_border is 4, not 2')):
        benchmark.run([first, second], None)


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
        benchmark.run([file], None)


def test_complexity_equals_the_formula():
    from dukd_basicsr.checkpoint import build_network

    feat, block = 8, 3
    net = build_network({**STUDENT, 'num_feat': feat, 'num_block': block})
    conv = 9 * feat * feat
    weights = 9 * 3 * feat + (2 * block + 1) * conv + 4 * conv + 9 * feat * 3
    biases = feat * (1 + 2 * block + 1 + 4) + 3
    assert count_parameters(net) == weights + biases
    pixels = 640 * 360  # LR of 1280 x 720 at x2
    on_lr = 9 * 3 * feat + (2 * block + 1) * conv + 4 * conv
    assert count_macs(net, 2) == pixels * (on_lr + 4 * 9 * feat * 3)


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
