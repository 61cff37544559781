"""The teacher's own metrics before the first iteration: a right number proves that the right teacher was loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from basicsr.data import build_dataset
from basicsr.metrics import calculate_metric
from basicsr.utils import get_root_logger, tensor2img
from torch import Tensor, nn
from torch.utils.data import Dataset


def log_teacher_metrics(teachers: Sequence[nn.Module], opt: Mapping[str, Any], device: torch.device) -> None:
    """Log the teacher's `val.metrics` on every validation set, as BasicSR logs the student's.

    Each process takes every world_size-th image, so that no rank waits long for another. A run without validation
    or without metrics logs nothing.

    Args:
        teachers (Sequence[nn.Module]): Each maps (1, C, H, W) to (1, C, s * H, s * W), values in [0, 1].
        opt (Mapping): The run's BasicSR options.
        device (torch.device): Where the teachers are.
    """
    metrics = (opt.get('val') or {}).get('metrics')
    if not metrics:
        return
    for phase, dataset_opt in opt.get('datasets', {}).items():
        if not phase.startswith('val'):
            continue
        dataset = build_dataset(dataset_opt)
        for number, teacher in enumerate(teachers, 1):
            which = f'Teacher {number}' if len(teachers) > 1 else 'Teacher'
            lines = [f'{which} on {dataset_opt["name"]} (iteration 0)']
            values = _set_metrics(teacher, dataset, opt, metrics, device)
            lines += [f'\t # {name}: {value:.4f}' for name, value in zip(metrics, values, strict=True)]
            get_root_logger().info('\n'.join(lines))


def _set_metrics(
    teacher: nn.Module, dataset: Dataset, opt: Mapping[str, Any], metrics: Mapping[str, Any], device: torch.device
) -> list[float]:
    """Means over the images of all processes."""
    count = len(dataset)  # type: ignore[arg-type]
    sums = torch.zeros(len(metrics), dtype=torch.float64, device=device)
    for index in range(opt.get('rank', 0), count, opt.get('world_size', 1)):
        sums += torch.tensor(_image_metrics(teacher, dataset, index, metrics, device), device=device)
    if opt.get('dist'):
        torch.distributed.all_reduce(sums)
    return (sums / count).tolist()


def _image_metrics(
    teacher: nn.Module, dataset: Dataset, index: int, metrics: Mapping[str, Any], device: torch.device
) -> list[float]:
    """The metrics of the teacher's 8-bit output for one validation image."""
    pair: dict[str, Tensor] = dataset[index]
    output = teacher(pair['lq'].unsqueeze(0).to(device))
    images = {'img': tensor2img([output.cpu()]), 'img2': tensor2img([pair['gt'].unsqueeze(0)])}
    return [float(calculate_metric(images, deepcopy(metric))) for metric in metrics.values()]
