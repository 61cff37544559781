"""The lines under a benchmark's table: what its numbers were measured on and how."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch
from torch.utils.data import Dataset

from dukd_basicsr.complexity import OUTPUT_HEIGHT, OUTPUT_WIDTH
from dukd_basicsr.evaluate import Network
from dukd_basicsr.protocol import Protocol

_COST = f'{OUTPUT_WIDTH}x{OUTPUT_HEIGHT} output'
_MEMORY = {'cuda': "measured by torch's CUDA allocator", 'cpu': 'counted as bytes of living tensors'}
_WARM_UP = {'cuda': 'a warm-up of each', 'cpu': 'one warm-up'}
_ENSEMBLE = {True: 'x8 geometric self-ensemble in the rows with a +, none in the others', False: 'no self-ensemble'}


def describe(protocol: Protocol, sets: Mapping[str, Dataset], records: Iterable[Mapping[str, Any]],
             networks: Sequence[Network], device: torch.device) -> dict[str, Any]:  # fmt: skip
    """The protocol for benchmark.json, its 'text' for the eye.

    Args:
        protocol (Protocol): Sets and metrics.
        sets (Mapping[str, Dataset]): Their images.
        records (Iterable[Mapping]): Lines of benchmark_images.csv.
        networks (Sequence[Network]): The rows.
        device (torch.device): Where the networks were.
    """
    counts = {name: len(dataset) for name, dataset in sets.items()}  # type: ignore[arg-type]
    first, timed = next(iter(counts.items()))
    threads = torch.get_num_threads()
    cpu = f'CPU, {threads} thread{"s" if threads > 1 else ""}'
    hardware = torch.cuda.get_device_name(device) if device.type == 'cuda' else cpu
    images = ', '.join(f'{name} {count}' for name, count in counts.items())
    self_ensemble = any(network.self_ensemble for network in networks)
    notes = list(dict.fromkeys(note for network in networks for note in network.notes))
    tiled = Counter((record['network'], record['set']) for record in records if record['tiled'])
    text = (
        f'Protocol: x{protocol.scale}; {protocol.describe_metrics()}; mean over images ({images}), LR as given, '
        f'SR rounded to 8 bits, {_ENSEMBLE[self_ensemble]}. MACs and memory for {_COST}; memory: weights and the peak '
        f'of one forward, {_MEMORY[device.type]}. ms/image: mean over the {timed} images of {first} after '
        f'{_WARM_UP[device.type]}, torch {torch.__version__}, {hardware}.'
    )
    if tiled:
        parts = ', '.join(f'{network} {count} of {counts[name]} of {name}' for (network, name), count in tiled.items())
        text += f' Computed in tiles, with the result of the whole image: {parts}.'
    text += ''.join(f' {note}' for note in notes)
    return {**asdict(protocol), 'images': counts, 'torch': torch.__version__, 'device': hardware,
            'self_ensemble': self_ensemble, 'text': text}  # fmt: skip
