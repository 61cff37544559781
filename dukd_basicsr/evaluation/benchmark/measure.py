"""Networks over test images: super-resolved, rounded to 8 bits, measured and timed."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from basicsr.utils import tensor2img
from basicsr.utils.registry import DATASET_REGISTRY
from torch import Tensor, nn
from tqdm import tqdm

from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluation.metrics import score
from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.resize import imresize


@dataclass(frozen=True)
class Network:
    """A network that has a row in the table."""

    name: str
    kind: str
    """'bicubic', 'student' or 'teacher'."""
    net: nn.Module
    """In eval mode, on the device it is measured on, its blocks folded as they are deployed."""
    weights: str | None = None
    """The file its weights came from."""
    channels: int = 3
    """Of its input."""
    self_ensemble: bool = False
    trained: nn.Module | None = None
    """The network before folding, where that has changed it (`networks.deploy`)."""
    notes: tuple[str, ...] = ()
    """What its file did not say and was assumed, a sentence each."""


Forward = Callable[[Network, Tensor], tuple[Tensor, bool]]
"""From (1, C, H, W) to the network's output, and whether it was computed in parts."""


@dataclass(frozen=True)
class Measurement:
    """One network on one image."""

    network: Network
    scores: dict[str, float]
    """Metric name to value; NaN where the output has values that are no numbers."""
    seconds: float
    sr: np.ndarray
    """(H, W, 3) uint8, BGR, as BasicSR saves it."""
    tiled: bool = False
    """Whether it was computed in parts."""


@dataclass(frozen=True)
class ImageResult:
    """One image of a test set and what each network made of it."""

    name: str
    gt: np.ndarray
    """(H, W, 3) uint8, BGR."""
    measurements: list[Measurement]


class Bicubic(nn.Module):
    """MATLAB's bicubic enlargement, the row that every network has to beat."""

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, lq: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, scale * H, scale * W)."""
        return imresize(lq, self.scale)


def build_dataset(dataset_opt: Mapping[str, Any]) -> Any:
    """BasicSR's `build_dataset` without its log line, which would break the progress bar in two.

    Images come by name: BasicSR lists a folder in the order of the file system, which differs between machines.
    """
    opt = copy.deepcopy(dict(dataset_opt))
    dataset = DATASET_REGISTRY.get(opt['type'])(opt)
    if isinstance(getattr(dataset, 'paths', None), list):
        dataset.paths.sort(key=lambda pair: pair['lq_path'])
    return dataset


def evaluate(
    networks: Sequence[Network],
    dataset: Any,
    metrics: Mapping[str, Mapping[str, Any]],
    device: torch.device,
    label: str,
    forward: Forward | None = None,
) -> Iterator[ImageResult]:
    """Measure every network on every image, image by image, so that memory does not grow with the set.

    Args:
        networks (Sequence[Network]): In the order of the table.
        dataset (Dataset): Yields 'lq' and 'gt' (C, H, W) in [0, 1] and 'lq_path', as PairedImageDataset does.
        metrics (Mapping): Name to the options of BasicSR's `calculate_metric`.
        device (torch.device): Where the networks are.
        label (str): Name of the set, for the progress bar on stderr.
        forward (Forward | None): How a network is asked for an image; default: for the whole of it.

    Yields:
        ImageResult: One an image, in the order of the set.

    Raises:
        UserError: A network's output has not the size of the ground truth.
    """
    count = len(dataset)
    forward = forward or _ask_whole
    with tqdm(total=count * len(networks), desc=label, unit='image', dynamic_ncols=True) as bar:
        for index in range(count):
            sample = dataset[index]
            lq, gt = sample['lq'][None].to(device), tensor2img([sample['gt']])
            measurements = []
            for network in networks:
                bar.set_postfix_str(network.name, refresh=False)
                if index == 0 or device.type == 'cuda':
                    forward(network, lq)  # untimed: it pays for allocation and for the kernels of this size
                measurements.append(_measure(network, lq, gt, metrics, f'{label}: {sample["lq_path"]}', forward))
                bar.update()
            yield ImageResult(Path(sample['lq_path']).stem, gt, measurements)


def _ask_whole(network: Network, lq: Tensor) -> tuple[Tensor, bool]:
    return super_resolve(network.net, lq), False


def _measure(
    network: Network, lq: Tensor, gt: np.ndarray, metrics: Mapping[str, Mapping[str, Any]], where: str, forward: Forward
) -> Measurement:
    start = read_clock(lq.device)
    output, tiled = forward(network, lq)
    seconds = read_clock(lq.device) - start
    sr = tensor2img([output])
    if sr.shape != gt.shape:
        raise UserError(
            f'{where}: {network.name} makes it {sr.shape[1]}x{sr.shape[0]}, but the ground truth is '
            f"{gt.shape[1]}x{gt.shape[0]}; make network_g's upscale, scale and the set's dataroot_lq agree."
        )
    # 8 bits turn what is no number into black, which scores like any picture.
    scores = score(sr, gt, metrics) if output.isfinite().all() else dict.fromkeys(metrics, math.nan)
    return Measurement(network, scores, seconds, sr, tiled)


def read_clock(device: torch.device) -> float:
    """Seconds, after everything that was asked of the device is done."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
    return time.perf_counter()
