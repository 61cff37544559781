"""int8 by calibration alone against int8 that the student was trained for: PSNR and milliseconds.

    python -m benchmarks.quality.int8_training --student FILE [--data ../shared/data] [--only NAME ...]
        [--iterations 400] [--rounds 9] [--json FILE] [--markdown FILE]

--data holds Set5/, Set14/ and train_HR/ with HR images, and weights/; --student is an EDSR 24x4 x2 trained with one of
options/*_edsr_f24b4_x2.yml. Each student is refined by `basicsr train` for --iterations on crops of train_HR, by its
teacher alone (kd_opt): EDSR 24x4 by EDSR 64x8; SRVGGNetCompact, whose teacher is not known, by its own float32 form,
so that its pictures stay what they were. The row 'longer' is the same training in float32, calibrated then: it tells
what rounding in training gives from what more training gives; a student that is its own teacher has nothing to learn
in float32, and no such row. All files are written by `basicsr export`; ranges come
from the same 16 photographs of train_HR, shrunk. Latency is the best of --rounds on one image of 64x64, in turns, one
thread.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

# isort: split
import cv2
import torch
import yaml

from benchmarks.common import REPOSITORY, describe_machine, run_basicsr, write_json
from benchmarks.quality import export, int8
from datasets_prep.images import mod_crop, shrink
from dukd_basicsr.data.images import find_images, read_image

PATCH, PHOTOGRAPHS, CROPS = 32, 124, 2
"""LR patches of a batch of 8; photographs, and crops of each, that they come from."""
SIDE = 128
"""Of an LR crop on the disk, and of the images that ranges come from."""
TEACHERS = {'EDSR 24x4, x2': 'EDSR 64x8, x2', 'SRVGGNetCompact 64x16, x4': 'SRVGGNetCompact 64x16, x4'}
RATES = {'EDSR 24x4, x2': 5e-4, 'SRVGGNetCompact 64x16, x4': 1e-4}
FORMS = ('fp32', 'int8, calibrated', 'int8, trained for', 'int8, longer, calibrated')


def write_images(data: Path, folder: Path, scale: int) -> None:
    """HR/ and LR/ to train on, and calibrate/: the middle of 16 LR photographs."""
    for name in ('HR', 'LR', 'calibrate'):
        (folder / name).mkdir()
    paths = find_images(data / 'train_HR')
    for path in paths[:: max(len(paths) // PHOTOGRAPHS, 1)]:
        hr = mod_crop(read_image(path), scale)
        lr = shrink(hr, scale)
        if min(lr.shape[:2]) < PATCH:
            continue
        for number in range(CROPS):
            top, left = (number * max(side - SIDE, 0) // max(CROPS - 1, 1) for side in lr.shape[:2])
            cv2.imwrite(str(folder / 'LR' / f'{path.stem}_{number}.png'), lr[top : top + SIDE, left : left + SIDE])
            area = hr[scale * top :, scale * left :][: scale * SIDE, : scale * SIDE]
            cv2.imwrite(str(folder / 'HR' / f'{path.stem}_{number}.png'), area)
    for path in paths[:: max(len(paths) // int8.CALIBRATION, 1)][: int8.CALIBRATION]:
        lr = shrink(mod_crop(read_image(path), scale), scale)
        cv2.imwrite(str(folder / 'calibrate' / f'{path.stem}.png'), int8.middle(lr, SIDE))


def write_options(name: str, weights: dict[str, Path], folder: Path, iterations: int, trained_for: bool) -> Path:
    """The options of one training; the run is named 'int8' or 'longer'."""
    network, scale = dict(export.NETWORKS[name][0]), export.NETWORKS[name][0]['upscale']
    opt: dict[str, Any] = {
        'name': 'int8' if trained_for else 'longer', 'model_type': 'DistillModel', 'scale': scale, 'num_gpu': 0,
        'manual_seed': 10, 'network_g': network, 'network_t': dict(export.NETWORKS[TEACHERS[name]][0]),
        'datasets': {'train': {
            'name': 'Photos', 'type': 'PairedImageDataset', 'dataroot_gt': 'HR', 'dataroot_lq': 'LR',
            'io_backend': {'type': 'disk'}, 'gt_size': PATCH * scale, 'use_hflip': True, 'use_rot': True,
            'num_worker_per_gpu': 0, 'batch_size_per_gpu': 8, 'dataset_enlarge_ratio': 100,
        }},
        'path': {'pretrain_network_g': str(weights['student']), 'param_key_g': 'params_ema',
                 'pretrain_network_t': str(weights['teacher'])},
        'train': {
            'ema_decay': 0.99, 'total_iter': iterations, 'kd_opt': {'type': 'L1Loss'},
            'optim_g': {'type': 'Adam', 'lr': RATES[name], 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'CosineAnnealingRestartLR', 'periods': [iterations], 'eta_min': 1e-7},
            'teacher_opt': {'val_images': 0},
        },
        'logger': {'print_freq': 50, 'save_checkpoint_freq': 100000, 'use_tb_logger': False},
    }  # fmt: skip
    if trained_for:
        opt['train']['int8_opt'] = {'calibrate': 'calibrate'}
    file = folder / f'{opt["name"]}.yml'
    file.write_text(yaml.safe_dump(opt))
    return file


def make_files(name: str, weights: dict[str, Path], folder: Path, args: argparse.Namespace) -> list[Path]:
    """The forms, as `basicsr export` writes them."""
    for trained_for in (True, False):
        file = write_options(name, weights, folder, args.iterations, trained_for)
        if trained_for or TEACHERS[name] != name:
            run_basicsr(folder, 'train', '-opt', file.name)
    calibrated = ['--precision', 'int8', '--calibrate', 'calibrate']
    jobs = {
        'fp32': (weights['student'], []),
        'calibrated': (weights['student'], calibrated),
        'trained': (folder / 'experiments' / 'int8' / 'models' / 'net_g_latest.pth', ['--precision', 'int8']),
        'longer': (folder / 'experiments' / 'longer' / 'models' / 'net_g_latest.pth', calibrated),
    }
    files = []
    for form, (source, options) in jobs.items():
        if not source.is_file():
            continue
        files.append(folder / f'{form}.onnx')
        run_basicsr(folder, 'export', str(source), '-opt', 'longer.yml', '-o', files[-1].name, *options)
    return files


def measure(name: str, args: argparse.Namespace, folder: Path) -> list[dict[str, Any]]:
    """The rows of one network."""
    scale = export.NETWORKS[name][0]['upscale']
    found = {}
    for role, each in (('student', name), ('teacher', TEACHERS[name])):
        file = export.NETWORKS[each][1]
        found[role] = args.student if file == 'student' else args.data / 'weights' / file
    write_images(args.data, folder, scale)
    files = make_files(name, {role: path.resolve() for role, path in found.items()}, folder, args)
    rows = [
        {'network': name, 'form': form, 'ms': ms, 'mb': file.stat().st_size / 1e6, 'psnr': {}}
        for form, file, ms in zip(FORMS, files, int8.latency(files, args.rounds), strict=False)
    ]
    for test in int8.SETS:
        for row, value in zip(rows, int8.psnr('', files, int8.pairs(args.data, test, scale, None), scale), strict=True):
            row['psnr'][test] = value
    return rows


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    lines = [f'| network | form | ms | MB | {" | ".join(int8.SETS)} |', '|---|---|---:|---:|---:|---:|']
    for row in rows:
        cells = [row['network'], row['form'], f'{row["ms"]:.1f}', f'{row["mb"]:.2f}']
        cells += [f'{row["psnr"][test]:.3f}' for test in int8.SETS]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--student', type=Path, required=True)
    parser.add_argument('--data', type=Path, default=REPOSITORY.parent / 'shared' / 'data')
    parser.add_argument('--only', nargs='+', choices=TEACHERS, default=list(TEACHERS))
    parser.add_argument('--iterations', type=int, default=400)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--markdown', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name in args.only:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(name, args, Path(folder))
        print(markdown(rows), flush=True)
        write_json(args.json, {'machine': describe_machine(), 'iterations': args.iterations, 'rows': rows})
        if args.markdown:
            args.markdown.write_text(markdown(rows))


if __name__ == '__main__':
    main()
