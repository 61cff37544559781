"""Metrics of 8-bit images: BasicSR's, and those of pyiqa (LPIPS, NIQE, ...) for whoever has it installed."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from basicsr.metrics import calculate_metric
from basicsr.utils import img2tensor
from basicsr.utils.registry import METRIC_REGISTRY

from dukd_basicsr.errors import RunError, UserError, did_you_mean
from dukd_basicsr.networks.acceleration import find_device
from dukd_basicsr.networks.build import describe

TYPE = 'calculate_pyiqa'


def score(sr: np.ndarray, gt: np.ndarray | None, metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """All metrics of one image.

    Args:
        sr (np.ndarray): (H, W, 3) BGR or (H, W), uint8, what is measured.
        gt (np.ndarray | None): The ground truth, of the same shape; None for metrics that need none.
        metrics (Mapping): Name to the options of BasicSR's `calculate_metric`.

    Raises:
        UserError: Nothing is left of the image between the borders that a metric leaves out.
    """
    images = {'img': sr} if gt is None else {'img': sr, 'img2': gt}
    for name, opt in metrics.items():
        border, (height, width) = opt.get('crop_border', 0), sr.shape[:2]
        if 2 * border >= min(height, width):
            raise UserError(
                f'val.metrics.{name}: crop_border {border} leaves nothing of an image of {width}x{height}; write a '
                'smaller one.'
            )
    asked = {name: {key: value for key, value in opt.items() if key != 'better'} for name, opt in metrics.items()}
    return {name: float(calculate_metric(images, opt)) for name, opt in asked.items()}


def load_perceptual_metrics(names: Sequence[str], device: torch.device) -> dict[str, dict[str, Any]]:
    """Entries for `val.metrics`, each metric loaded, so that what is missing is said before the first image.

    Args:
        names (Sequence[str]): As pyiqa calls them, e.g. 'lpips', 'niqe'.
        device (torch.device): Where they are computed.

    Returns:
        dict: Name to the options of BasicSR's `calculate_metric`. They see whole images in RGB, as pyiqa wants them.

    Raises:
        UserError: pyiqa is not installed, has no such metric, or cannot load it (it downloads weights).
    """
    metrics = {name: {'type': TYPE, 'name': name, 'device': device.type} for name in names}
    for name in metrics:
        _load(name, device.type)
    return metrics


def check_perceptual_metrics(metrics: Mapping[str, Mapping[str, Any]] | None) -> None:
    """Load every metric of pyiqa that `val.metrics` names, so that what is wrong is said before the first iteration.

    Args:
        metrics (Mapping | None): `val.metrics` of the options.

    Raises:
        UserError: pyiqa is not installed, has no such metric, cannot load it (it downloads weights), or calls another
            way better than the options do.
    """
    for key, opt in (metrics or {}).items():
        if opt['type'] != TYPE:
            continue
        what = f'val.metrics.{key}'
        lower = bool(getattr(_load(opt['name'], 'cpu', what), 'lower_better', False))
        if lower != (opt.get('better', 'higher') == 'lower'):
            way = 'lower' if lower else 'higher'
            raise UserError(f'{what}.better: pyiqa says of {opt["name"]} that {way} is better; write better: {way}.')


@METRIC_REGISTRY.register()
def calculate_pyiqa(img: np.ndarray, img2: np.ndarray, name: str, device: str | None = None) -> float:
    """One metric of one image, an entry of `val.metrics`: {type: calculate_pyiqa, name: lpips, better: lower}.

    Args:
        img (np.ndarray): (H, W, 3) uint8, BGR, what is measured.
        img2 (np.ndarray): The ground truth; a metric without reference is not shown it.
        name (str): As pyiqa calls it.
        device (str | None): 'cuda', 'cuda:1' or 'cpu'; None is CUDA where there is one.

    Raises:
        RunError: The metric cannot be computed of this image, e.g. since it is too small.
    """
    metric = _load(name, str(find_device(device)))
    shown = [img, img2] if metric.metric_mode == 'FR' else [img]
    try:
        tensors = [img2tensor(each.astype(np.float32) / 255)[None].to(device) for each in shown]
        with torch.no_grad():
            return float(metric(*tensors))
    except Exception as error:  # a metric of anyone's, which raises what it likes
        size = f'{img.shape[1]}x{img.shape[0]}'
        raise RunError(
            f'pyiqa {name}: it cannot be computed of an image of {size} ({describe(error)}); leave it out.'
        ) from error


def _load(name: str, device: str, what: str = '') -> Any:
    """The metric; `what` begins the sentence where there is none."""
    try:
        return _create(name, device)
    except UserError as error:
        raise UserError(f'{what or f"--pyiqa {name}"}: {error}') from error.__cause__


@functools.lru_cache
def _create(name: str, device: str) -> Any:
    try:
        pyiqa = importlib.import_module('pyiqa')
    except ImportError:
        raise UserError('pyiqa is not installed; pip install pyiqa, or leave it out.') from None
    known = pyiqa.list_models()
    if name not in known:
        raise UserError(f'pyiqa has no such metric.{did_you_mean(name, known)}')
    try:
        return pyiqa.create_metric(name, device=torch.device(device))
    except Exception as error:  # downloads, files, GPUs
        raise UserError(f'pyiqa cannot load it ({describe(error)}).') from error
