"""The gradient of each distillation loss on the student's body, as a multiple of the pixel loss's.

    python -m benchmarks.quality.gradients --images FOLDER --teacher EDSR_Mx2_f64b8_DIV2K.pth [--img_range 255 2]
        [--iterations 120] [--batch 4] [--patch 24] [--json FILE]

An EDSR student of 24 channels and 4 blocks is trained on ground truth alone (x2, Adam at 5e-4, seed 0), and the
adapters of each loss on that loss. At the first iteration and at 1/12, 1/4, 1/2 and all of them, the norm of each
loss's gradient on the student's body at loss_weight 1 is divided by the norm of the pixel loss's; a row has the least
and the largest of these ratios. The weight at which a loss counts as much as ground truth is one over that. The
teacher, of 64 channels and 8 blocks, has an img_range of 2. CSDLoss is left out, since it needs the weights of VGG19.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterable
from pathlib import Path

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
from benchmarks.common import describe_machine, write_json

# isort: split
import cv2
import numpy as np
import torch
from torch import Tensor, nn

from dukd_basicsr.distillation.features import FeatureTerms
from dukd_basicsr.networks.build import build, load_network
from dukd_basicsr.resize import imresize

SCALE = 2
EDSR = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'upscale': SCALE, 'rgb_mean': [0.4488, 0.4371, 0.4040]}
TEACHER = {**EDSR, 'num_feat': 64, 'num_block': 8, 'res_scale': 1, 'img_range': 2.0}
STUDENT = {**EDSR, 'num_feat': 24, 'num_block': 4, 'res_scale': 1}
LOSSES = {
    'FitNet': {'type': 'FitNetLoss'},
    'AT': {'type': 'ATLoss'},
    'FAKD spatial': {'type': 'FAKDLoss', 'affinities': ['spatial']},
    'FAKD channel': {'type': 'FAKDLoss', 'affinities': ['channel']},
    'FAKD instance': {'type': 'FAKDLoss', 'affinities': ['instance']},
    'FSP': {'type': 'FSPLoss'},
    'wavelet': {'type': 'WaveletLoss'},
    'RKD distance': {'type': 'RKDLoss', 'distance_weight': 1.0, 'angle_weight': 0.0},
    'RKD angle': {'type': 'RKDLoss', 'distance_weight': 0.0, 'angle_weight': 1.0},
    'RKD 1 : 2': {'type': 'RKDLoss'},
    'CrossKD': {'type': 'CrossKDLoss'},
    'MiPKD feature prior': {'type': 'MiPKDLoss', 'block_weight': 0.0, 'reconstruction_weight': 0.0},
    'MiPKD block prior': {
        'type': 'MiPKDLoss',
        'feature_weight': 0.0,
        'block_weight': 1.0,
        'reconstruction_weight': 0.0,
    },
}


def read_images(folder: Path) -> list[np.ndarray]:
    """All PNGs of a folder in the order of their names, (H, W, 3) uint8 RGB."""
    return [cv2.imread(str(file))[..., ::-1] for file in sorted(folder.glob('*.png'))]


def draw_batch(images: list[np.ndarray], draws: random.Random, batch: int, patch: int) -> tuple[Tensor, Tensor]:
    """LR and HR patches, (batch, 3, patch, patch) and (batch, 3, 2 * patch, 2 * patch) in [0, 1]."""
    side, patches = SCALE * patch, []
    for image in draws.choices(images, k=batch):
        top, left = (draws.randrange(extent - side + 1) for extent in image.shape[:2])
        patches.append(image[top : top + side, left : left + side])
    gt = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2).float() / 255
    return imresize(gt, 1 / SCALE).mul(255).round().div(255).clamp(0, 1), gt


def measure_norm(loss: Tensor, parameters: Iterable[nn.Parameter]) -> float:
    """The Euclidean norm of a loss's gradient on all parameters together; the graph is kept."""
    gradients = torch.autograd.grad(loss, list(parameters), retain_graph=True, allow_unused=True)
    return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm().item()


def measure(args: argparse.Namespace, images: list[np.ndarray], img_range: float) -> dict[str, list[float]]:
    """The ratios of each loss, one for each measured iteration, for a student of that img_range."""
    torch.manual_seed(0)
    draws = random.Random(0)
    teacher = load_network(TEACHER, str(args.teacher)).requires_grad_(False).eval()
    student = build({**STUDENT, 'img_range': img_range})
    keys = {f'loss{number}': name for number, name in enumerate(LOSSES)}
    terms = FeatureTerms({key: LOSSES[name] for key, name in keys.items()}, student, [teacher], 3, seed=0)
    adapters = list(terms.list_trained().values())
    optimizers = torch.optim.Adam(student.parameters(), 5e-4), torch.optim.Adam(adapters, 5e-4)
    measured = {1, *(-(-args.iterations // divisor) for divisor in (12, 4, 2, 1))}
    ratios: dict[str, list[float]] = {'KD': [], **{name: [] for name in LOSSES}}
    for iteration in range(1, args.iterations + 1):
        lq, gt = draw_batch(images, draws, args.batch, args.patch)
        terms.draw(random.Random(iteration).getrandbits(63), iteration * 10**6)
        with terms.record(args.batch):
            with torch.no_grad():
                label = teacher(lq)
            output = student(lq)
            values = {keys[key.removeprefix('l_')]: value for key, value in terms(lq, output, label, gt).items()}
        pixel = (output - gt).abs().mean()
        if iteration in measured:
            body = list(student.body.parameters())
            unit = measure_norm(pixel, body)
            for name, value in {'KD': (output - label).abs().mean(), **values}.items():
                ratios[name].append(measure_norm(value, body) / unit)
        for optimizer in optimizers:
            optimizer.zero_grad()
        torch.stack(list(values.values())).sum().backward(inputs=adapters, retain_graph=True)
        pixel.backward()
        for optimizer in optimizers:
            optimizer.step()
    return ratios


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--images', type=Path, required=True)
    parser.add_argument('--teacher', type=Path, required=True)
    parser.add_argument('--img_range', type=float, nargs='+', default=[255.0, 2.0])
    for name, default in (('iterations', 120), ('batch', 4), ('patch', 24)):
        parser.add_argument(f'--{name}', type=int, default=default)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    images = read_images(args.images)
    found = {f'{img_range:g}': measure(args, images, img_range) for img_range in args.img_range}
    print('| loss |' + ''.join(f' img_range: {img_range} |' for img_range in found))
    print('|---|' + '---|' * len(found))
    for name in next(iter(found.values())):
        columns = (f' {min(ratios[name]):.2g}-{max(ratios[name]):.2g} |' for ratios in found.values())
        print(f'| {name} |' + ''.join(columns))
    settings = {name: getattr(args, name) for name in ('iterations', 'batch', 'patch')}
    write_json(args.json, {'machine': describe_machine(), 'settings': settings, 'ratios': found})


if __name__ == '__main__':
    main()
