"""Numbers of one trained cell, or of the teacher and bicubic, in a process of its own.

    python -m benchmarks.study.evaluate -opt options/CELL.yml --sets Set5 Set14 [--references] -o FILE

(In the working folder.) The teacher's pictures are made once, with --references, into DIR/teacher/; a cell's are
compared with them and with ground truth. All pictures are rounded to 8 bits first, as BasicSR saves them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dukd_basicsr.plugin

# isort: split
import basicsr
import cv2
import numpy as np
import torch
from basicsr.metrics import calculate_metric
from basicsr.utils.img_util import imwrite

import dukd_basicsr
from benchmarks.study import logs
from benchmarks.study.records import rounded
from dukd_basicsr import options
from dukd_basicsr.evaluation.benchmark.measure import Bicubic, ImageResult, Network, build_dataset, evaluate
from dukd_basicsr.networks.open_network import open_network

TEACHER = Path('teacher')
"""Its pictures, in the working folder."""


def sets(names: Sequence[str], scale: int) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name in names:
        roots = {'dataroot_gt': f'datasets/{name}/GTmod{scale}', 'dataroot_lq': f'datasets/{name}/LRbicx{scale}'}
        yield (
            name,
            {'type': 'PairedImageDataset', 'phase': 'val', 'scale': scale, **roots, 'io_backend': {'type': 'disk'}},
        )


def measure_references(opt: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Scores of bicubic and teacher, the images' names and a digest of each set; the teacher's pictures are written.

    Args:
        opt (Mapping): Options with a teacher.
        names (Sequence[str]): The sets.
    """
    from dukd_basicsr.distillation.teacher import build_teacher

    networks = [Network('bicubic', 'bicubic', Bicubic(opt['scale'])), Network('teacher', 'teacher', build_teacher(opt))]
    metrics = opt['val']['metrics']
    scores: dict[str, dict[str, dict[str, list[float]]]] = {network.name: {} for network in networks}
    images: dict[str, list[str]] = {}
    digests = {name: hashlib.sha256() for name in names}
    for name, dataset in sets(names, opt['scale']):
        for image in evaluate(networks, build_dataset(dataset), metrics, torch.device('cpu'), f'references: {name}'):
            imwrite(image.measurements[1].sr, str(TEACHER / name / f'{image.name}.png'))
            images.setdefault(name, []).append(image.name)
            digests[name].update(image.gt.tobytes())
            for each in image.measurements:
                found = scores[each.network.name].setdefault(name, {})
                for metric, value in each.scores.items():
                    found.setdefault(metric, []).append(value)
                teacher = image.measurements[1].sr
                found.setdefault('to_teacher', []).append(_to_teacher(each.sr, teacher, metrics))
    for found in scores['teacher'].values():
        del found['to_teacher']  # infinite
    return {
        'scores': {name: rounded(found) for name, found in scores.items()},
        'images': images,
        'digests': {name: digest.hexdigest() for name, digest in digests.items()},
    }


def measure(opt: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """All numbers of a trained cell.

    Args:
        opt (Mapping): The cell's options.
        names (Sequence[str]): The sets.

    Returns:
        dict: 'scores' [set][metric] a list over images; 'curve' [iteration][set][metric]; 'wall_seconds' of training,
            of a machine that other things may have used too; 'parameters' of the student; 'versions'.
    """
    folder = Path('experiments', opt['name'])
    weights = folder / 'models' / 'net_g_latest.pth'
    key = 'params_ema' if opt['train'].get('ema_decay', 0) else 'params'
    opened = open_network(weights, Path('options', f'{opt["name"]}.yml'), key)
    network, metrics = Network(opt['name'], 'student', opened.net.eval()), opt['val']['metrics']
    scores: dict[str, dict[str, list[float]]] = {}
    for name, dataset in sets(names, opt['scale']):
        for image in evaluate(
            [network], build_dataset(dataset), metrics, torch.device('cpu'), f'{opt["name"]}: {name}'
        ):
            found = scores.setdefault(name, {})
            for metric, value in _scores(image, name, metrics).items():
                found.setdefault(metric, []).append(value)
    return {
        'scores': rounded(scores),
        'curve': {str(iteration): found for iteration, found in logs.validations(folder).items()},
        'wall_seconds': round(logs.wall_seconds(folder)),
        'parameters': sum(parameter.numel() for parameter in opened.net.parameters()),
        'versions': versions(),
    }


def _scores(image: ImageResult, name: str, metrics: Mapping[str, Any]) -> dict[str, float]:
    (own,) = image.measurements
    teacher = cv2.imread(str(TEACHER / name / f'{image.name}.png'))
    return own.scores | {'to_teacher': _to_teacher(own.sr, teacher, metrics)}


def _to_teacher(sr: np.ndarray, teacher: np.ndarray, metrics: Mapping[str, Any]) -> float:
    """PSNR between two 8-bit pictures, as the protocol measures it against ground truth."""
    return float(calculate_metric({'img': sr, 'img2': teacher}, dict(metrics['psnr'])))


def versions() -> dict[str, str]:
    """What a record was made with."""
    return {
        'dukd_basicsr': dukd_basicsr.__version__,
        'torch': torch.__version__,
        'basicsr': basicsr.__version__,
        'numpy': np.__version__,
        'python': platform.python_version(),
        'machine': platform.machine(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('-opt', type=Path, required=True)
    parser.add_argument('--sets', nargs='+', required=True)
    parser.add_argument('--references', action='store_true', help='teacher and bicubic instead of the cell')
    parser.add_argument('-o', '--out', type=Path, required=True, help='the JSON file to write')
    args = parser.parse_args()
    opt = options.load(args.opt)
    found = measure_references(opt, args.sets) if args.references else measure(opt, args.sets)
    args.out.write_text(json.dumps(found), encoding='utf-8')


if __name__ == '__main__':
    sys.exit(main())
