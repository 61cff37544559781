"""The benchmark's numbers as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from dukd_basicsr.evaluation.benchmark.measure import Network
from dukd_basicsr.evaluation.benchmark.protocol import Protocol
from dukd_basicsr.networks.cost import OUTPUT_HEIGHT, OUTPUT_WIDTH

DECIMALS = {'psnr': 3, 'ssim': 4, 'lpips': 4}


@dataclass(frozen=True)
class Row:
    """One network's line."""

    name: str
    kind: str
    """'bicubic', 'student' or 'teacher'."""
    weights: str | None
    params: int | None
    macs: int | None
    """For a 1280x720 output."""
    ms_per_image: float
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    """Test set to metric to mean over the set's images."""
    self_ensemble: bool = False
    memory: int | None = None
    """Bytes of a forward for a 1280x720 output."""


def to_json(protocol: dict[str, Any], rows: Sequence[Row]) -> dict[str, Any]:
    """The content of the JSON file: full precision, and all that is needed to repeat the measurement."""
    return {'protocol': protocol, 'rows': [asdict(row) for row in rows]}


def to_markdown(rows: Sequence[Row]) -> str:
    """The table, with padded cells so that it reads well in a terminal too.

    Args:
        rows (Sequence[Row]): At least one; all with the same test sets and metrics.
    """
    first, with_memory = rows[0].scores, any(row.memory is not None for row in rows)
    header = ['network', 'params', 'MACs', 'ms/image', *(['memory'] if with_memory else [])]
    header += [f'{name} {" / ".join(metric.upper() for metric in metrics)}' for name, metrics in first.items()]
    return aligned([header, *(_cells(row, with_memory) for row in rows)])


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Markdown of padded cells: header, then rows; the first column to the left, the others to the right."""
    header = lines[0]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    rule = ['-' * widths[0], *('-' * (width - 1) + ':' for width in widths[1:])]
    padded = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
    return ''.join(f'| {" | ".join(line)} |\n' for line in [padded[0], rule, *padded[1:]])


def write(out: Path, content: dict[str, Any], rows: Sequence[Row], images: Iterable[dict[str, Any]], note: str) -> None:
    """Write benchmark.md, benchmark.json, benchmark.csv and benchmark_images.csv.

    Args:
        out (Path): Folder, made if it is missing.
        content (dict): From `to_json`.
        rows (Sequence[Row]): The table.
        images (Iterable[dict]): One record a network and image, all with the same keys.
        note (str): The protocol in words, for the Markdown file.
    """
    out.mkdir(parents=True, exist_ok=True)
    (out / 'benchmark.md').write_text(f'{to_markdown(rows)}\n{note}\n', encoding='utf-8')
    (out / 'benchmark.json').write_text(json.dumps(content, indent=2) + '\n', encoding='utf-8')
    _write_csv(out / 'benchmark.csv', [_record(row) for row in rows])
    _write_csv(out / 'benchmark_images.csv', list(images))


def _cells(row: Row, with_memory: bool) -> list[str]:
    scores = [
        ' / '.join(f'{value:.{DECIMALS.get(name, 3)}f}' for name, value in metrics.items())
        for metrics in row.scores.values()
    ]
    memory = ['-' if row.memory is None else f'{_short(row.memory)}B'] if with_memory else []
    size = [_short(row.params), _short(row.macs), f'{row.ms_per_image:.1f}']
    return [row.name.replace('|', r'\|'), *size, *memory, *scores]


def _short(number: int | None) -> str:
    """Three digits and a unit: 778 K, 10.5 G; a dash for what has no such number."""
    if number is None:
        return '-'
    value, units = float(number), ['', ' K', ' M', ' G', ' T']
    while value >= 999.5 and len(units) > 1:
        value, units = value / 1000, units[1:]
    decimals = 0 if value >= 99.95 or value == number else 1 if value >= 9.995 else 2
    return f'{value:.{decimals}f}{units[0]}'


def _record(row: Row) -> dict[str, Any]:
    record = asdict(row)
    scores = record.pop('scores')
    return record | {f'{name}_{metric}': value for name, values in scores.items() for metric, value in values.items()}


def _write_csv(path: Path, records: Sequence[dict[str, Any]]) -> None:
    with path.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, fieldnames=list(records[0]))
        writer.writeheader()
        writer.writerows(records)


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
