"""The teacher's own metrics before the first iteration: a right number proves that the right teacher was loaded."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from basicsr.data import build_dataset
from basicsr.utils import get_root_logger, tensor2img
from torch import Tensor, nn
from tqdm import tqdm

from dukd_basicsr.evaluation.metrics import score
from dukd_basicsr.evaluation.tensorboard import TeacherImages, is_wanted


def log_teacher_metrics(teachers: Sequence[nn.Module], opt: Mapping[str, Any], device: torch.device) -> TeacherImages:
    """Log the teachers' `val.metrics` on every validation set, as BasicSR logs the student's.

    Each process takes every world_size-th image, so that no rank waits long for another. A run without validation
    or without metrics logs nothing. `train.teacher_opt.val_images` limits how many images of a set it is measured on.

    Args:
        teachers (Sequence[nn.Module]): Each maps (1, C, H, W) to (1, C, s * H, s * W), values in [0, 1].
        opt (Mapping): The run's BasicSR options.
        device (torch.device): Where the teachers are.

    Returns:
        TeacherImages: What they made of this process's images, where TensorBoard will ask for it; else empty.
    """
    images = TeacherImages()
    metrics = (opt.get('val') or {}).get('metrics') or {}
    most = (opt['train'].get('teacher_opt') or {}).get('val_images')
    for phase, dataset_opt in opt.get('datasets', {}).items():
        if not metrics or most == 0 or not phase.startswith('val'):
            continue
        name, dataset = dataset_opt['name'], build_dataset(dataset_opt)
        count = len(dataset) if most is None else min(most, len(dataset))
        of_all = '' if count == len(dataset) else f', the first {count} of {len(dataset)} images'
        keep = partial(images.keep, name) if is_wanted(opt) else None
        table = _measure_set(teachers, dataset, count, opt, device, keep)
        for number, values in enumerate(table, 1):
            which = f'Teacher {number}' if len(teachers) > 1 else 'Teacher'
            lines = [f'{which} on {name} (iteration 0{of_all})']
            lines += [f'\t # {metric}: {value:.4f}' for metric, value in zip(metrics, values, strict=True)]
            get_root_logger().info('\n'.join(lines))
    return images


def _measure_set(
    teachers: Sequence[nn.Module],
    dataset: Any,
    count: int,
    opt: Mapping[str, Any],
    device: torch.device,
    keep: Callable[[str, Sequence[Tensor]], object] | None,
) -> list[list[float]]:
    """Means over the first `count` images, shared by all processes; a list for each teacher."""
    metrics, rank = opt['val']['metrics'], opt.get('rank', 0)
    sums = torch.zeros(len(teachers), len(metrics), dtype=torch.float64, device=device)
    own = range(rank, count, opt.get('world_size', 1))
    for index in tqdm(own, desc='teacher', unit='image', leave=False, disable=True if rank else None):
        pair: dict[str, Any] = dataset[index]
        lq = pair['lq'].unsqueeze(0).to(device)
        outputs = [teacher(lq).cpu() for teacher in teachers]
        gt = tensor2img([pair['gt']])
        scores = [score(tensor2img([output]), gt, metrics) for output in outputs]
        sums += torch.tensor([list(each.values()) for each in scores], device=device)
        if keep:
            keep(pair['lq_path'], outputs)
    if opt.get('dist'):
        torch.distributed.all_reduce(sums)
    return (sums / count).tolist()
