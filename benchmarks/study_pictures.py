"""A study's pictures: LR | alone | KD | best rival | DUKD | teacher | GT, where the students differ most."""

from __future__ import annotations

import heapq
import itertools
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from inside import inside
from study_cells import Cell
from study_results import AGAINST, OURS
from study_tables import methods_of

COUNT, CROP = 3, 40
"""Pictures, and the side of their crops in HR pixels."""
LARGEST = 300_000
"""Bytes of a picture."""


def write(results: Mapping[str, Any], cells: Sequence[Cell], work: Path, docs: Path) -> None:
    """pictures/<set>_<image>.png (.jpg where that is too large): the images whose crop differs most.

    Args:
        results (Mapping): From `study_results.collect`.
        cells (Sequence[Cell]): Every cell of the study.
        work (Path): The working folder, with the benchmark's options files.
        docs (Path): Where `pictures/` goes; what was in it is removed.
    """
    shown = _shown(results, cells)
    folder = docs / 'pictures'
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob('*.png'), *folder.glob('*.jpg')):
        old.unlink()
    if len(shown) > 1:
        for name, picture in _pictures(results, shown, work):
            suffix, data = encoded(picture)
            (folder / f'{name}{suffix}').write_bytes(data)


def _shown(results: Mapping[str, Any], cells: Sequence[Cell]) -> list[str]:
    """Cells of the first seed that they all have: alone, KD, the rival with the highest mean PSNR, DUKD."""
    rivals = methods_of(results, 'rival')
    best = sorted(rivals, key=lambda name: -statistics.fmean(
        metrics['psnr']['mean'] for metrics in rivals[name]['final'].values()))[:1]  # fmt: skip
    wanted = [*AGAINST, *best, OURS]
    there = [
        cell
        for cell in cells
        if cell.method.name in wanted and cell.seed in results['methods'][cell.method.name]['seeds']
    ]
    seeds = [cell.seed for cell in there]
    if not there:
        return []
    seed = max(dict.fromkeys(seeds), key=seeds.count)  # the first of those that most have
    by_method = {cell.method.name: cell.name for cell in there if cell.seed == seed}
    return [by_method[name] for name in wanted if name in by_method]


def _pictures(results: Mapping[str, Any], shown: Sequence[str], work: Path) -> Iterator[tuple[str, np.ndarray]]:
    """Every test image once; kept are the few whose most different crop differs most."""
    import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

    # isort: split
    import torch

    from dukd_basicsr import options
    from dukd_basicsr.entrants import load_networks
    from dukd_basicsr.evaluate import build_dataset, evaluate
    from dukd_basicsr.pictures import Panel, comparison
    from dukd_basicsr.protocol import common_protocol

    device = torch.device('cpu')
    kept: list[tuple[float, int, str, Any, tuple[int, int]]] = []
    count = itertools.count()
    with inside(work):
        files = {Path('options', 'benchmark', f'{name}.yml'): None for name in shown}
        files = {file: options.load(file) for file in files}
        networks, protocol = load_networks(files, device), common_protocol(files)
        for name, opt in protocol.sets.items():
            for image in evaluate(networks, build_dataset(opt), protocol.metrics, device, f'pictures of {name}'):
                students = [each.sr for each in image.measurements if each.network.kind == 'student']
                value, corner = most_different(students, min(CROP, *image.gt.shape[:2]))
                heapq.heappush(kept, (value, -next(count), f'{name}_{image.name}', image, corner))
                if len(kept) > COUNT:
                    heapq.heappop(kept)
    for _, _, name, image, corner in sorted(kept, key=lambda each: each[:2], reverse=True):
        panels = [Panel(title(each.network, results), each.sr, each.scores.get('psnr')) for each in image.measurements]
        panels += [Panel('GT', image.gt)]
        yield name, comparison(panels, corner, min(CROP, *image.gt.shape[:2]))


def most_different(images: Sequence[np.ndarray], size: int) -> tuple[float, tuple[int, int]]:
    """The crop in which images differ most, and their mean absolute difference there, over all pairs."""
    from dukd_basicsr.pictures import most_different_crop

    top, left = most_different_crop(images, size)
    crops = [image[top : top + size, left : left + size].astype(np.int64) for image in images]
    return float(np.mean([np.abs(a - b).mean() for a, b in itertools.combinations(crops, 2)])), (top, left)


def title(network: Any, results: Mapping[str, Any]) -> str:  # noqa: ANN401
    """What stands over a panel."""
    if network.kind == 'student':
        return results['methods'][network.name.rpartition('_s')[0]]['title']
    return 'LR (bicubic)' if network.kind == 'bicubic' else 'teacher'


def encoded(picture: np.ndarray) -> tuple[str, bytes]:
    """PNG, or the best JPEG that is small enough."""
    data = cv2.imencode('.png', picture, [cv2.IMWRITE_PNG_COMPRESSION, 9])[1].tobytes()
    for quality in range(95, 30, -5):
        if len(data) <= LARGEST:
            break
        data = cv2.imencode('.jpg', picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()
    return '.png' if data.startswith(b'\x89PNG') else '.jpg', data
