"""The real-world options file at the size of a CPU: metrics of the student before and after a short training.

    python -m benchmarks.quality.real --images FOLDER --test FOLDER --teacher RealESRGAN_x4plus.pth -o DIR
        [--student FILE] [--iterations 200] [--force_yml ...]

In DIR: `basicsr prepare --preset real` of --images, `--preset real-test --seed 0` of --test, then `basicsr train` of
options/train_dukd_real_rrdb_to_compact_x4.yml with the small settings at its head. The student starts from --student,
or from weights drawn with seed 0. Each row is a network on the degraded test images: NIQE (lower is better) and PSNR,
SSIM (LPIPS where pyiqa is installed) against ground truth, and against the teacher's answers. On Y, 4 pixels cut from
each edge, answers rounded to 8 bits. A finished training in DIR is measured again, not repeated.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import time
from collections.abc import Callable
from pathlib import Path

import dukd_basicsr.plugin  # noqa: F401  makes basicsr importable
from benchmarks.common import REPOSITORY, run_basicsr

# isort: split
import numpy as np
import torch
from basicsr.metrics import calculate_metric
from basicsr.utils import tensor2img
from torch import nn
from tqdm import tqdm

from dukd_basicsr import options
from dukd_basicsr.evaluation.benchmark.measure import Bicubic, build_dataset
from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.networks.weights import build_network, load_into, read_weights

FILE = REPOSITORY / 'options' / 'train_dukd_real_rrdb_to_compact_x4.yml'
NAME, TEST = 'RealCPU', 'datasets/Test/real_x4_seed0'
PAIRED = {
    'psnr': {'type': 'calculate_psnr', 'crop_border': 4, 'test_y_channel': True},
    'ssim': {'type': 'calculate_ssim', 'crop_border': 4, 'test_y_channel': True},
}
HEADS = {'niqe': 'NIQE', 'psnr': 'PSNR', 'ssim': 'SSIM', 'lpips': 'LPIPS', 'teacher_psnr': 'PSNR to teacher',
         'teacher_ssim': 'SSIM to teacher', 'teacher_lpips': 'LPIPS to teacher'}  # fmt: skip
DECIMALS = {'niqe': 2, 'psnr': 2, 'teacher_psnr': 2}
Distance = Callable[[np.ndarray, np.ndarray], float]


def small_settings() -> list[str]:
    """The overrides at the head of the options file."""
    head = FILE.read_text(encoding='ascii').partition('# general settings')[0]
    return re.findall(r'[a-z_:]+=\S+', head)


def network(network_opt: dict, file: Path | None) -> nn.Module:
    torch.manual_seed(0)
    net = build_network(network_opt)
    if file is not None:
        load_into(net, read_weights(file), str(file))
    return net.eval()


def train(args: argparse.Namespace, start: Path) -> float | None:
    """Train in DIR; returns the seconds, None where that is done already."""
    if (args.out / 'experiments' / NAME / 'models' / 'net_g_latest.pth').is_file():
        return None
    root = 'datasets/Train/Train_multiscale_sub'
    forced = {
        'name': NAME, 'train:total_iter': args.iterations, 'val:val_freq': args.iterations,
        'logger:use_tb_logger': 'false',
        'datasets:train:dataroot_gt': root, 'datasets:train:meta_info': f'{root}/meta_info.txt',
        'datasets:val:dataroot_gt': f'{TEST}/GT', 'datasets:val:dataroot_lq': f'{TEST}/LR',
        'path:pretrain_network_g': start, 'path:pretrain_network_t': args.teacher, 'path:param_key_t': 'params',
    }  # fmt: skip
    started = time.perf_counter()
    settings = [*small_settings(), *(f'{key}={value}' for key, value in forced.items()), *args.force_yml]
    run_basicsr(args.out, 'train', '-opt', str(FILE), '--force_yml', *settings)
    return time.perf_counter() - started


def perceptual() -> Distance | None:
    """LPIPS of two images, where pyiqa is installed."""
    if importlib.util.find_spec('pyiqa') is None:
        return None
    import pyiqa

    metric = pyiqa.create_metric('lpips')

    def distance(image: np.ndarray, other: np.ndarray) -> float:
        tensors = [torch.from_numpy(each[None, ..., ::-1] / np.float32(255)).permute(0, 3, 1, 2)
                   for each in (image, other)]  # fmt: skip
        return float(metric(*tensors))

    return distance


def compared(image: np.ndarray, other: np.ndarray, lpips: Distance | None, prefix: str) -> dict[str, float]:
    scores = {name: float(calculate_metric({'img': image, 'img2': other}, dict(opt))) for name, opt in PAIRED.items()}
    if lpips:
        scores['lpips'] = lpips(image, other)
    return {prefix + name: value for name, value in scores.items()}


def measure(networks: dict[str, nn.Module], folder: Path) -> dict[str, dict[str, float]]:
    """Means over the test images; the teacher is the last network."""
    backend = {'type': 'disk'}
    dataset = build_dataset({'name': 'Test', 'type': 'PairedImageDataset', 'dataroot_gt': str(folder / 'GT'),
                             'dataroot_lq': str(folder / 'LR'), 'io_backend': backend, 'phase': 'test',
                             'scale': 4})  # fmt: skip
    lpips = perceptual()
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in networks}
    for index in tqdm(range(len(dataset)), desc='measure', unit='image'):
        pair = dataset[index]
        gt = tensor2img([pair['gt']])
        answers = {name: tensor2img([super_resolve(net, pair['lq'][None])]) for name, net in networks.items()}
        *_, teacher = answers.values()
        for name, image in answers.items():
            scores = {'niqe': float(calculate_metric({'img': image}, {'type': 'calculate_niqe', 'crop_border': 4}))}
            scores |= compared(image, gt, lpips, '')
            if image is not teacher:
                scores |= compared(image, teacher, lpips, 'teacher_')
            rows[name].append(scores)
    return {name: {key: float(np.mean([each[key] for each in scores])) for key in scores[0]}
            for name, scores in rows.items()}  # fmt: skip


def table(rows: dict[str, dict[str, float]]) -> str:
    keys = [key for key in HEADS if any(key in scores for scores in rows.values())]
    lines = [f'| network | {" | ".join(HEADS[key] for key in keys)} |', f'|---|{"---:|" * len(keys)}']
    for name, scores in rows.items():
        cells = [f'{scores[key]:.{DECIMALS.get(key, 4)}f}' if key in scores else '-' for key in keys]
        lines.append(f'| {name} | {" | ".join(cells)} |')
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ('images', 'test', 'teacher'):
        parser.add_argument(f'--{name}', type=lambda text: Path(text).resolve(), required=True)
    parser.add_argument('-o', '--out', type=Path, required=True)
    parser.add_argument('--student', type=lambda text: Path(text).resolve())
    parser.add_argument('--iterations', type=int, default=200)
    parser.add_argument('--force_yml', nargs='+', default=[])
    args = parser.parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    run_basicsr(args.out, 'prepare', str(args.images), '--preset', 'real', '--name', 'Train')
    run_basicsr(args.out, 'prepare', str(args.test), '--preset', 'real-test', '--name', 'Test', '--seed', '0')
    opt = options.load(FILE)
    before = network(opt['network_g'], args.student)
    start = args.out / 'start.pth'
    torch.save({'params': before.state_dict()}, start)
    seconds = train(args, start)
    latest = args.out / 'experiments' / NAME / 'models' / 'net_g_latest.pth'
    networks = {
        'bicubic': Bicubic(4),
        'student before': before,
        f'student after {args.iterations} iterations': network(opt['network_g'], latest),
        'teacher': network(opt['network_t'], args.teacher),
    }
    rows = measure(networks, args.out / TEST)
    (args.out / 'real.json').write_text(json.dumps({'rows': rows, 'training_seconds': seconds}, indent=1) + '\n')
    print(table(rows))
    if seconds:
        print(f'{seconds:.0f} s for {args.iterations} iterations, validation included')


if __name__ == '__main__':
    main()
