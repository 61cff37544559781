"""Exported networks against torch: differences, latency, and what fp16 and int8 cost on Set5 and Set14.

    python -m benchmarks.quality.export [--data ../shared/data] [--student FILE] [--threads 1] [--rounds 3]
        [--only NAME ...] [--json FILE] [--markdown FILE]

--data holds Set5/, Set14/ and train_HR/ with HR images, and weights/; --student is an EDSR 24x4 x2 trained with one of
options/*_edsr_f24b4_x2.yml. LR images are made here as `basicsr prepare` makes them. RCAN and SwinIR have no trained
weights in --data: they are drawn from a seed, and their fp16 and int8 are measured against torch's float32 output, as
the 'inf' of torch says. The HR images of RRDBNet are cut to 256x256 in their middle (it takes a minute for a
photograph on a core). Latency is the best of --rounds on one image of 64x64, torch and onnxruntime in turns; int8 takes
its ranges from 16 photographs of train_HR, shrunk.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import platform
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
from benchmarks.common import REPOSITORY

# isort: split
import cv2
import numpy as np
import onnxruntime
import torch
from basicsr.utils import tensor2img
from torch import nn

from benchmarks.quality.scores import find_sets, score
from datasets_prep.images import mod_crop, shrink
from datasets_prep.prepare import prepare_benchmark
from dukd_basicsr.data.images import find_images, read_image
from dukd_basicsr.evaluation.benchmark.measure import Network
from dukd_basicsr.networks.build import build, load_network
from dukd_basicsr.networks.cost import count_macs, count_parameters, find_lr_size
from dukd_basicsr.networks.onnx.check import compare, draw_images
from dukd_basicsr.networks.onnx.graph import OPSET, to_onnx
from dukd_basicsr.networks.onnx.precision import CALIBRATION_SIDE, to_fp16, to_int8
from dukd_basicsr.networks.onnx.session import ExportedNetwork, Metadata, open_session
from dukd_basicsr.networks.padding import super_resolve

SETS = ('Set5', 'Set14')
SIDE = 64
"""Of the LR image that is timed."""
CALIBRATION = 16
MEAN = [0.4488, 0.4371, 0.4040]
EDSR = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'upscale': 2, 'res_scale': 1, 'rgb_mean': MEAN}
NETWORKS = {
    'EDSR 64x8, x2': ({**EDSR, 'num_feat': 64, 'num_block': 8, 'img_range': 2.0}, 'EDSR_Mx2_f64b8_DIV2K.pth'),
    'EDSR 24x4, x2': ({**EDSR, 'num_feat': 24, 'num_block': 4, 'img_range': 255.0}, 'student'),
    'RCAN 32x2x4, x2 (random)': (
        {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 32, 'num_group': 2, 'num_block': 4, 'upscale': 2},
        None,
    ),
    'SwinIR 60x8, x2 (random)': (
        {'type': 'SwinIR', 'upscale': 2, 'img_size': 64, 'window_size': 8, 'embed_dim': 60, 'depths': [4, 4],
         'num_heads': [6, 6], 'mlp_ratio': 2, 'upsampler': 'pixelshuffledirect'},
        None,
    ),
    'SRVGGNetCompact 64x16, x4': (
        {'type': 'SRVGGNetCompact', 'num_feat': 64, 'num_conv': 16, 'upscale': 4, 'act_type': 'prelu'},
        'SRVGGNetCompact_x4_f64c16_realesr-animevideov3_fp16.pth',
    ),
    'RRDBNet 64x23, x4': (
        {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'scale': 4, 'num_feat': 64, 'num_block': 23,
         'num_grow_ch': 32},
        'RRDBNet_x4_f64b23_RealESRGAN_x4plus_fp16.pth',
    ),
}  # fmt: skip
HEAVY = 'RRDBNet 64x23, x4'
HEAVY_SIDE = 256


def network(name: str, args: argparse.Namespace) -> nn.Module:
    opt, file = NETWORKS[name]
    torch.manual_seed(0)
    if file is None:
        return build(opt).eval().requires_grad_(False)
    path = args.student if file == 'student' else args.data / 'weights' / file
    return load_network(opt, str(path)).eval().requires_grad_(False)


def prepared(name: str, scale: int, data: Path, folder: Path) -> list[Path]:
    """GTmod<scale> and LRbicx<scale> of both sets."""
    found = []
    for test in SETS:
        source = data / test
        if name == HEAVY:
            source = folder / 'cut' / test
            source.mkdir(parents=True)
            for path in find_images(data / test):
                image = read_image(path)
                top, left = (max(side - HEAVY_SIDE, 0) // 2 for side in image.shape[:2])
                cut = image[top : top + HEAVY_SIDE, left : left + HEAVY_SIDE]
                cv2.imwrite(str(source / f'{path.stem}.png'), cut)
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a section for an options file
            prepare_benchmark(source, folder, test, scales=(scale,))
        found.append(folder / test)
    return found


def planes(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)[None] / np.float32(255))


def answer_as_truth(net: nn.Module, folder: Path, scale: int) -> None:
    """Put what the network makes of a set's LR images in the place of its HR images."""
    for path in find_images(folder / f'LRbicx{scale}'):
        image = torch.from_numpy(planes(read_image(path)))
        cv2.imwrite(str(folder / f'GTmod{scale}' / path.name), tensor2img([super_resolve(net, image)]))


def calibration(name: str, scale: int, data: Path) -> list[np.ndarray]:
    side = SIDE if name == HEAVY else CALIBRATION_SIDE
    paths = find_images(data / 'train_HR')
    images = []
    for path in paths[:: max(len(paths) // CALIBRATION, 1)][:CALIBRATION]:
        image = shrink(mod_crop(read_image(path), scale), scale)[:side, :side]
        images.append(planes(image))
    return images


def latency(nets: Sequence[nn.Module], rounds: int) -> list[float]:
    """Milliseconds for one image, the best of all rounds, after one that is not timed."""
    lq = torch.rand(1, 3, SIDE, SIDE)
    best = [float('inf')] * len(nets)
    for turn in range(rounds + 1):
        for index, net in enumerate(nets):
            start = time.perf_counter()
            super_resolve(net, lq)
            if turn:
                best[index] = min(best[index], 1000 * (time.perf_counter() - start))
    return best


def measure(name: str, args: argparse.Namespace, folder: Path) -> dict:
    """A row of the table."""
    opt, file = NETWORKS[name]
    scale = opt.get('upscale', opt.get('scale'))
    net = network(name, args)
    start = time.perf_counter()
    graph = to_onnx(net, scale, 3)
    seconds = time.perf_counter() - start
    graphs = {'fp32': graph, 'fp16': to_fp16(graph), 'int8': to_int8(graph, calibration(name, scale, args.data))}
    about = Metadata('', opt['type'], scale, 3, 'RGB', '[0, 1]', '', OPSET, count_parameters(net),
                     count_macs(net, *find_lr_size(scale)), '', '')  # fmt: skip
    contents = {key: graph.SerializeToString() for key, graph in graphs.items()}
    nets = {'torch': net} | {
        key: ExportedNetwork(open_session(content), Path(key), about) for key, content in contents.items()
    }
    differences = compare(net, nets['fp32'], draw_images(net, 3))
    folders = prepared(name, scale, args.data, folder)
    if file is None:
        for test in folders:
            answer_as_truth(net, test, scale)
    rows = score([Network(key, 'student', each) for key, each in nets.items()], find_sets(folders, scale, 3), about)
    return {
        'network': name, 'params': about.params, 'macs': about.macs, 'export_s': seconds,
        'differences': {each.size: each.largest for each in differences},
        'ms': dict(zip(nets, latency(list(nets.values()), args.rounds), strict=True)),
        'mb': {key: len(content) / 1e6 for key, content in contents.items()},
        'psnr': {row.name: {test: values['psnr'] for test, values in row.scores.items()} for row in rows},
    }  # fmt: skip


def markdown(rows: Sequence[dict]) -> str:
    lines = [
        '| network | largest differences | torch ms | fp32 ms | fp16 ms | int8 ms | MB fp32 / fp16 / int8 | '
        'Set5 torch / fp32 / fp16 / int8 | Set14 torch / fp32 / fp16 / int8 |',
        '|---|---|---:|---:|---:|---:|---|---|---|',
    ]
    for row in rows:
        cells = [row['network'], ', '.join(f'{value:.1e}' for value in row['differences'].values())]
        cells += [f'{row["ms"][key]:.1f}' for key in ('torch', 'fp32', 'fp16', 'int8')]
        cells.append(' / '.join(f'{value:.2f}' for value in row['mb'].values()))
        cells += [' / '.join(f'{row["psnr"][key][test]:.3f}' for key in row['psnr']) for test in SETS]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=REPOSITORY.parent / 'shared' / 'data')
    parser.add_argument('--student', type=Path)
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--only', nargs='+', choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument('--json', type=Path)
    parser.add_argument('--markdown', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    environment = {'torch': torch.__version__, 'onnxruntime': onnxruntime.__version__, 'threads': args.threads,
                   'cores': os.cpu_count(), 'machine': platform.machine(), 'latency': f'{SIDE}x{SIDE}'}  # fmt: skip
    rows: list[dict] = []
    for name in args.only:
        if NETWORKS[name][1] == 'student' and args.student is None:
            continue
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(name, args, Path(folder)))
        print(markdown(rows[-1:]).splitlines()[-1], flush=True)
        if args.json:  # after every network: the later ones take minutes
            args.json.write_text(json.dumps({'environment': environment, 'rows': rows}, indent=2) + '\n')
        if args.markdown:
            args.markdown.write_text(markdown(rows))
    print(f'\n{markdown(rows)}\n' + ', '.join(f'{key} {value}' for key, value in environment.items()))


if __name__ == '__main__':
    main()
