"""What each option of a step does to its time, its memory and the teacher's labels, on this machine.

    python -m benchmarks.speed.levers [--pair edsr] [--levers bf16_teacher ...] [--rounds 3] [--device cuda]
        [--data DIR] [--images 10] [--json FILE]

Steps: benchmarks/speed/jobs.py's `ours` with one option of `train` at a time, each in a process of its own, in turns.
Labels: a real x2 teacher (weights/EDSR_Mx2_f64b8_DIV2K.pth below --data) on the middles of Set5's and Set14's images:
PSNR between the labels and those of plain fp32, and by how much the PSNR of the labels against ground truth changes,
all channels of unrounded values in [0, 1]. Without --data the steps alone.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

from benchmarks.common import REPOSITORY, write_json
from benchmarks.speed import jobs, measure

LEVERS = {
    'default': {},
    'bf16_teacher': {'teacher_opt': {'precision': 'bf16'}},
    'bf16_all': {'teacher_opt': {'precision': 'bf16'}, 'amp': 'bf16'},
    'channels_last': {'channels_last': True},
    'compile': {'compile': True},
    'accumulate_2': {'accumulate': 2},
    'everything': {'teacher_opt': {'precision': 'bf16'}, 'amp': 'bf16', 'channels_last': True, 'compile': True},
}
CUDA_LEVERS = {
    'tf32': {'tf32': True},
    'fp16_teacher': {'teacher_opt': {'precision': 'fp16'}},
    'fp16_all': {'teacher_opt': {'precision': 'fp16'}, 'amp': 'fp16'},
}
SIDE = 96
"""Of the LR crop that labels are compared on."""
WEIGHTS, OPTIONS = 'EDSR_Mx2_f64b8_DIV2K.pth', 'test_edsr_f64b8_x2.yml'


def steps(levers: dict[str, dict], args: argparse.Namespace) -> dict:
    """Every lever in turns."""
    common = {'mode': 'ours', 'pair': args.pair, 'device': args.device, 'iterations': args.iterations,
              'batch': args.batch or jobs.PAIRS[args.pair][1], 'thin': args.thin,
              'patch': jobs.PATCH // 2 if args.thin else jobs.PATCH}  # fmt: skip
    rows = measure.in_turns({name: {**common, 'train': train} for name, train in levers.items()}, args.rounds)
    for row in rows.values():
        row['time'] = row['best_s'] / rows['default']['best_s']
        row['memory'] = row['memory_bytes'] / rows['default']['memory_bytes']
    return rows


def labels(levers: dict[str, dict], args: argparse.Namespace) -> dict:
    """PSNR of each lever's labels, on the same crops."""
    import torch

    pairs = images(args.data, args.images)
    found: dict[str, list] = {}
    for name, train in levers.items():
        if name not in ('accumulate_2', 'everything', 'bf16_all', 'fp16_all'):  # these ask no other teacher
            teacher = teacher_of(train, args).to(args.device)
            found[name] = [teacher(lq.to(args.device)).cpu() for lq, _ in pairs]
    exact, truth, rows = found['default'], [gt for _, gt in pairs], {}

    def with_truth(answers: list) -> list:
        return list(zip(answers, truth, strict=True))

    for name, answers in found.items():
        change = [psnr(*one) - psnr(*other) for one, other in zip(with_truth(answers), with_truth(exact), strict=True)]
        close = [psnr(answer, label) for answer, label in zip(answers, exact, strict=True)]
        largest = max((answer - label).abs().max().item() for answer, label in zip(answers, exact, strict=True))
        rows[name] = {'psnr_to_fp32': sum(close) / len(close) if largest else None, 'largest_error': largest,
                      'psnr_change': sum(change) / len(change)}  # fmt: skip
    torch.set_float32_matmul_precision('highest')
    return rows


def teacher_of(train: dict, args: argparse.Namespace):  # noqa: ANN201
    """The real teacher as `build_teacher` makes it of these options."""
    import dukd_basicsr.plugin  # noqa: F401

    # isort: split
    import torch

    from dukd_basicsr import options
    from dukd_basicsr.distillation.teacher import build_teacher
    from dukd_basicsr.networks.acceleration import compile_in_place, find_dtype, set_tf32

    network = options.load(REPOSITORY / 'options' / OPTIONS)['network_g']
    weights = args.data / 'weights' / WEIGHTS
    opt = {'scale': 2, 'network_g': network, 'network_t': network, 'train': train,
           'path': {'pretrain_network_t': str(weights)}}  # fmt: skip
    device = torch.device(args.device)
    set_tf32(train.get('tf32', False))
    teacher = build_teacher(opt)
    teacher.dtype = find_dtype(train.get('teacher_opt', {}).get('precision'), device, 'precision')
    if train.get('compile'):
        compile_in_place([teacher.net], device)
    return teacher


def images(data: Path, count: int) -> list:
    """(LR, HR) middles of test images, the LR one as `basicsr prepare` makes it: MATLAB's bicubic, 8 bits."""
    import cv2
    import torch

    from dukd_basicsr.resize import imresize

    paths = [path for name in ('Set5', 'Set14') for path in sorted((data / name).glob('*.png'))][:count]
    pairs = []
    for path in paths:
        image = torch.from_numpy(cv2.imread(str(path))[..., ::-1].copy()).permute(2, 0, 1)[None].float() / 255
        side = min(2 * SIDE, *(length // 16 * 16 for length in image.shape[-2:]))
        top, left = ((length - side) // 2 for length in image.shape[-2:])
        gt = image[..., top : top + side, left : left + side]
        pairs.append(((imresize(gt, 0.5).clamp(0, 1) * 255).round() / 255, gt))
    return pairs


def psnr(image, other) -> float:  # noqa: ANN001
    error = (image.double() - other.double()).square().mean().item()
    return -10 * math.log10(error) if error else math.inf


def report(result: dict) -> str:
    place = next(iter(result['steps'].values()))['environment']
    lines = [f'{result["pair"]}, batch {result["batch"]}: torch {place["torch"]}, {place["threads"]} threads, '
             f'{place["device"]}', '',
             '| | best s | time | peak MiB | memory | labels to fp32, dB | labels to truth, dB | largest error |',
             '|---|---|---|---|---|---|---|---|']  # fmt: skip
    for name, row in result['steps'].items():
        label = result['labels'].get(name)
        fidelity = ['', '', '']
        if label is not None:
            close = 'equal' if label['psnr_to_fp32'] is None else f'{label["psnr_to_fp32"]:.1f}'
            fidelity = [close, f'{label["psnr_change"]:+.4f}', f'{label["largest_error"]:.1e}']
        lines.append(f'| {name} | {row["best_s"]:.3f} | {row["time"]:.2f} | {row["memory_bytes"] / 2**20:.0f} '
                     f'| {row["memory"]:.2f} | {" | ".join(fidelity)} |')  # fmt: skip
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pair', choices=jobs.PAIRS, default='edsr')
    parser.add_argument('--levers', nargs='+', choices=[*LEVERS, *CUDA_LEVERS], help='default: all of the device')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--iterations', type=int, default=3, help='timed iterations a round, after one warm-up')
    parser.add_argument('--batch', type=int, help='default: what two CPU cores do in seconds')
    parser.add_argument('--thin', action='store_true', help='toy networks, to try this out')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--data', type=Path, help='a folder with weights/, Set5/ and Set14/')
    parser.add_argument('--images', type=int, default=10)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    levers = LEVERS | (CUDA_LEVERS if args.device == 'cuda' else {})
    unknown = set(args.levers or ()) - set(levers)
    if unknown:
        sys.exit(f'{", ".join(sorted(unknown))}: these need --device cuda.')
    chosen = {name: levers[name] for name in levers if name in ('default', *(args.levers or levers))}
    result = {'pair': jobs.PAIRS[args.pair][0], 'batch': args.batch or jobs.PAIRS[args.pair][1],
              'labels': labels(chosen, args) if args.data else {}, 'steps': steps(chosen, args)}  # fmt: skip
    print(report(result))
    write_json(args.json, result)


if __name__ == '__main__':
    main()
