"""Forms of int8: what each costs in PSNR on Set5 and Set14, on this CPU and on emulated ones, and in milliseconds here.

    python -m benchmarks.quality.int8 [--data ../shared/data] [--cpu NAME='qemu-x86_64 -cpu Haswell' ...] [--crop 96]
        [--only NAME ...] [--forms NAME ...] [--iterations 1000] [--rounds 9] [--json FILE] [--markdown FILE]

--data holds Set5/, Set14/ and train_HR/ with HR images, and weights/. Networks without weights there are trained here
for --iterations, so that they have the ranges of a trained network, though not its quality. On this CPU whole images
are enlarged; on an emulated one the middle --crop x --crop pixels of each HR image (emulation is a hundred times
slower), and the same pixels here beside them. Emulated milliseconds mean nothing and are not taken. Ranges come from 16
photographs of train_HR, shrunk. Latency is the best of --rounds on one image of 64x64, all forms in turns, one thread.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

# isort: split
import numpy as np
import torch
from basicsr.metrics import calculate_psnr
from torch import nn
from torch.nn import functional

from benchmarks.quality import export
from datasets_prep.images import mod_crop, shrink
from dukd_basicsr.data.images import find_images, read_image
from dukd_basicsr.networks.build import build, load_network
from dukd_basicsr.networks.onnx.graph import INPUT, to_onnx
from dukd_basicsr.networks.onnx.precision import PORTABLE, Int8Form, to_int8
from dukd_basicsr.networks.onnx.session import open_session

CHILD = Path(__file__).with_name('answer_onnx.py')
SETS = ('Set5', 'Set14')
CALIBRATION, CALIBRATION_SIDE, TIMED_SIDE = 16, 64, 64
FORMS = {
    'fp32': None,
    'U8S8, 8-bit weights': Int8Form(weight_range='8 bits'),
    'U8S8, 7-bit weights': Int8Form(weight_range='7 bits'),
    'U8S8, pairs fit': PORTABLE,
    '... QOperator': Int8Form(layout='QOperator'),
    '... one scale a layer': Int8Form(scale_per_channel=False),
    'S8S8': Int8Form(activations='QInt8', weight_range='8 bits'),
    'U8U8': Int8Form(weights='QUInt8', weight_range='8 bits'),
}
NETWORKS: dict[str, tuple[dict[str, Any], str | None]] = {
    'EDSR 64x8, x2': export.NETWORKS['EDSR 64x8, x2'],
    'EDSR 24x4, x2': (export.NETWORKS['EDSR 24x4, x2'][0], None),
    'RCAN 16x2x2, x2': (
        {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 16, 'num_group': 2, 'num_block': 2, 'upscale': 2,
         'squeeze_factor': 4},
        None,
    ),
    'SwinIR 24x4, x2': (
        {'type': 'SwinIR', 'upscale': 2, 'img_size': 24, 'window_size': 8, 'embed_dim': 24, 'depths': [2, 2],
         'num_heads': [3, 3], 'mlp_ratio': 2, 'upsampler': 'pixelshuffledirect'},
        None,
    ),
    **{name: export.NETWORKS[name] for name in ('SRVGGNetCompact 64x16, x4', 'RRDBNet 64x23, x4')},
}  # fmt: skip
WHOLE = ('EDSR', 'RCAN', 'SwinIR', 'SRVGGNetCompact')
"""Types that whole images are not too slow for; of others, the middle 256x256 pixels of each HR image."""
Pair = tuple[np.ndarray, np.ndarray]
"""HR image (H, W, 3) BGR uint8 and LR image (1, 3, h, w) RGB float32 in [0, 1]."""


def planes(image: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(image[..., ::-1].transpose(2, 0, 1)[None] / np.float32(255))


def middle(image: np.ndarray, side: int | None) -> np.ndarray:
    top, left = (max(length - (side or length), 0) // 2 for length in image.shape[:2])
    return image[top:, left:][:side, :side]


def pairs(data: Path, test: str, scale: int, side: int | None) -> dict[str, Pair]:
    """Image name to its pair, cut before it is shrunk."""
    found = {}
    for path in find_images(data / test):
        hr = mod_crop(middle(read_image(path), side), scale)
        found[path.stem] = (hr, planes(shrink(hr, scale)))
    return found


def calibration(data: Path, scale: int) -> list[np.ndarray]:
    paths = find_images(data / 'train_HR')
    chosen = paths[:: max(len(paths) // CALIBRATION, 1)][:CALIBRATION]
    return [planes(middle(shrink(mod_crop(read_image(path), scale), scale), CALIBRATION_SIDE)) for path in chosen]


def trained(opt: Mapping[str, Any], data: Path, iterations: int) -> nn.Module:
    """L1 on batches of eight 24x24 patches, Adam, a cosine from 1e-3 to 0."""
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    scale, side = opt.get('upscale', opt.get('scale')), 24
    net = build(dict(opt))
    photographs = [mod_crop(read_image(path), scale) for path in find_images(data / 'train_HR')[:64]]
    both = [(hr, shrink(hr, scale)) for hr in photographs]
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, iterations)
    for _ in range(iterations):
        lqs, gts = [], []
        for index in generator.integers(len(both), size=8):
            hr, lr = both[index]
            top, left = (int(generator.integers(length - side + 1)) for length in lr.shape[:2])
            lqs.append(planes(lr[top : top + side, left : left + side]))
            area = hr[scale * top :, scale * left :][: scale * side, : scale * side]
            gts.append(planes(area))
        loss = functional.l1_loss(net(torch.from_numpy(np.concatenate(lqs))), torch.from_numpy(np.concatenate(gts)))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net


def answers(cpu: str, models: Sequence[Path], images: Mapping[str, np.ndarray], folder: Path) -> Iterator[dict]:
    """For each model, image name to (H, W, 3) RGB uint8, computed by another process, under `cpu` if it is not ''."""
    np.savez(folder / 'images.npz', **images)
    command = [*shlex.split(cpu), sys.executable, str(CHILD), str(folder / 'images.npz'), str(folder)]
    subprocess.run([*command, *map(str, models)], check=True)
    for model in models:
        with np.load(folder / f'{model.stem}.npz') as file:
            yield dict(file)


def psnr(cpu: str, models: Sequence[Path], shown: Mapping[str, Pair], scale: int) -> list[float]:
    """Mean PSNR on Y of each model, `scale` pixels of border left out."""
    with tempfile.TemporaryDirectory() as folder:
        images = {name: lr for name, (_, lr) in shown.items()}
        return [
            float(np.mean([
                calculate_psnr(found[name][..., ::-1], hr, scale, test_y_channel=True)
                for name, (hr, _) in shown.items()
            ]))
            for found in answers(cpu, models, images, Path(folder))
        ]  # fmt: skip


def latency(models: Sequence[Path], rounds: int) -> list[float]:
    """Milliseconds for one image, the best of all rounds, after one that is not timed."""
    sessions = [open_session(model) for model in models]
    lq = np.random.default_rng(0).random((1, 3, TIMED_SIDE, TIMED_SIDE), np.float32)
    best = [float('inf')] * len(models)
    for turn in range(rounds + 1):
        for index, session in enumerate(sessions):
            start = time.perf_counter()
            session.run(None, {INPUT: lq})
            if turn:
                best[index] = min(best[index], 1000 * (time.perf_counter() - start))
    return best


def measure(name: str, args: argparse.Namespace, folder: Path) -> list[dict]:
    """The table of one network, a row a form."""
    opt, file = NETWORKS[name]
    scale = opt.get('upscale', opt.get('scale'))
    net = load_network(opt, str(args.data / 'weights' / file)) if file else trained(opt, args.data, args.iterations)
    graph = to_onnx(net.eval().requires_grad_(False), scale, 3)
    models = []
    for index, form in enumerate(FORMS[each] for each in args.forms):
        model = graph if form is None else to_int8(graph, calibration(args.data, scale), form)
        models.append(folder / f'{index}.onnx')
        models[-1].write_bytes(model.SerializeToString())
    rows = [
        {'network': name, 'form': form, 'ms': ms, 'mb': path.stat().st_size / 1e6, 'psnr': {}, 'cut': {}}
        for form, path, ms in zip(args.forms, models, latency(models, args.rounds), strict=True)
    ]
    for test in SETS:
        side = None if opt['type'] in WHOLE else 256
        for row, value in zip(rows, psnr('', models, pairs(args.data, test, scale, side), scale), strict=True):
            row['psnr'][test] = value
    for cpu, command in {'here': '', **args.cpu}.items() if args.cpu else ():
        some = [path for form, path in zip(args.forms, models, strict=True) if form in args.emulated]
        shown = {key: pair for test in SETS for key, pair in pairs(args.data, test, scale, args.crop).items()}
        chosen = [row for row in rows if row['form'] in args.emulated]
        for row, value in zip(chosen, psnr(command, some, shown, scale), strict=True):
            row['cut'][cpu] = value
    return rows


def markdown(rows: Sequence[dict], cpus: Sequence[str]) -> str:
    heads = ['network', 'form', 'ms', 'MB', *SETS, *(f'cut: {cpu}' for cpu in cpus)]
    lines = [f'| {" | ".join(heads)} |', '|---|---|' + '---:|' * (len(heads) - 2)]
    for row in rows:
        cells = [row['network'], row['form'], f'{row["ms"]:.1f}', f'{row["mb"]:.2f}']
        cells += [f'{row["psnr"][test]:.3f}' for test in SETS]
        cells += [f'{row["cut"][cpu]:.3f}' if cpu in row['cut'] else '' for cpu in cpus]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=Path(__file__).resolve().parents[3] / 'shared' / 'data')
    parser.add_argument('--cpu', nargs='+', default=[], metavar='NAME=COMMAND')
    parser.add_argument('--crop', type=int, default=96)
    parser.add_argument('--only', nargs='+', choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument('--forms', nargs='+', choices=FORMS, default=list(FORMS))
    parser.add_argument('--emulated', nargs='+', choices=FORMS, default=list(FORMS)[1:4], help='forms on other CPUs')
    parser.add_argument('--iterations', type=int, default=1000)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--json', type=Path)
    parser.add_argument('--markdown', type=Path)
    args = parser.parse_args()
    args.cpu = dict(each.split('=', 1) for each in args.cpu)
    torch.set_num_threads(1)
    rows: list[dict] = []
    for name in args.only:
        with tempfile.TemporaryDirectory() as folder:
            rows += measure(name, args, Path(folder))
        table = markdown(rows, ['here', *args.cpu] if args.cpu else [])
        print(table, flush=True)
        if args.json:  # after every network: the later ones take minutes
            args.json.write_text(json.dumps(rows, indent=2) + '\n')
        if args.markdown:
            args.markdown.write_text(table)


if __name__ == '__main__':
    main()
