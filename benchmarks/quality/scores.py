"""What an exported file costs in PSNR, beside the torch network that it came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluation.benchmark.measure import Network, build_dataset, evaluate
from dukd_basicsr.evaluation.benchmark.report import Row
from dukd_basicsr.networks.onnx.session import Metadata

Sets = Mapping[str, Mapping[str, Any]]


def find_sets(folders: Sequence[Path], scale: int, channels: int) -> Sets:
    """Test sets as `basicsr prepare --preset benchmark` leaves them.

    Args:
        folders (Sequence[Path]): Each with GTmod<scale> and LRbicx<scale> in it; a set is named as its folder.
        scale (int): Of the network.
        channels (int): Of its input.

    Returns:
        Mapping: Name to the options of BasicSR's data set.

    Raises:
        UserError: A folder is not there, or two sets have one name.
    """
    sets: dict[str, Mapping[str, Any]] = {}
    for folder in folders:
        name = folder.resolve().name
        gt, lq = folder / f'GTmod{scale}', folder / f'LRbicx{scale}'
        missing = next((path for path in (gt, lq) if not path.is_dir()), None)
        if missing is not None:
            raise UserError(
                f'{folder}: there is no {missing.name} in it; make it from HR images: basicsr prepare IMAGES '
                f'--preset benchmark --name {name} --scale {scale}'
            )
        if name in sets:
            raise UserError(f'{folder}: two test sets are named {name}; give each once.')
        sets[name] = {
            'name': name, 'type': 'PairedImageDataset', 'dataroot_gt': str(gt), 'dataroot_lq': str(lq),
            'io_backend': {'type': 'disk'}, 'phase': 'test', 'scale': scale,
            **({'color': 'y'} if channels == 1 else {}),
        }  # fmt: skip
    return sets


def score(networks: Sequence[Network], sets: Sets, metadata: Metadata) -> list[Row]:
    """PSNR on Y, borders of `scale` pixels left out, the SR rounded to 8 bits: a row a network.

    Args:
        networks (Sequence[Network]): On the CPU.
        sets (Mapping): From `find_sets`; at least one.
        metadata (Metadata): Size and cost, the same for all.

    Raises:
        UserError: An image whose ground truth is not `scale` times as large.
    """
    metrics = {
        'psnr': {'type': 'calculate_psnr', 'crop_border': metadata.scale, 'test_y_channel': metadata.channels == 3}
    }
    scores: dict[str, dict[str, dict[str, float]]] = {network.name: {} for network in networks}
    seconds: dict[str, float] = {}
    for name, opt in sets.items():
        images = list(evaluate(networks, build_dataset(opt), metrics, torch.device('cpu'), name))
        for index, network in enumerate(networks):
            own = [image.measurements[index] for image in images]
            scores[network.name][name] = {'psnr': sum(each.scores['psnr'] for each in own) / len(own)}
            seconds.setdefault(network.name, sum(each.seconds for each in own) / len(own))
    return [
        Row(network.name, network.kind, network.weights, metadata.params, metadata.macs,
            1000 * seconds[network.name], scores[network.name])
        for network in networks
    ]  # fmt: skip
