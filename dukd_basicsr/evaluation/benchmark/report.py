"""The benchmark's numbers as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from dukd_basicsr.data.atomic import write_result
from dukd_basicsr.errors import format_count
from dukd_basicsr.evaluation.benchmark.measure import Network
from dukd_basicsr.evaluation.benchmark.protocol import Protocol
from dukd_basicsr.networks.cost import OUTPUT_HEIGHT, OUTPUT_WIDTH

DECIMALS = {'psnr': 3, 'ssim': 4, 'lpips': 4}
_COST = f'{OUTPUT_WIDTH}x{OUTPUT_HEIGHT} output'
_MEMORY = {'cuda': "measured by torch's CUDA allocator", 'cpu': 'counted as bytes of living tensors'}
_WARM_UP = {'cuda': 'a warm-up of each', 'cpu': 'one warm-up'}
_ENSEMBLE = {True: 'x8 geometric self-ensemble in the rows with a +, none in the others', False: 'no self-ensemble'}


@dataclass(frozen=True)
class Row:
    """One network's line."""

    name: str
    kind: str
    """'bicubic', 'student' or 'teacher'."""
    weights: str | None
    params: int | None
    macs: int | None
    """For a 1280x720 output; both as it is deployed, its blocks folded."""
    ms_per_image: float
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)
    """Test set to metric to mean over the set's images; None where it is no number."""
    self_ensemble: bool = False
    memory: int | None = None
    """Bytes of a forward for a 1280x720 output."""
    trained_params: int | None = None
    """As it was trained, where blocks have been folded since."""
    trained_macs: int | None = None


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
    return align([header, *(_write_cells(row, with_memory) for row in rows)])


def align(lines: Sequence[Sequence[str]]) -> str:
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

    Raises:
        RunError: One of them cannot be written.
    """
    write_result(out / 'benchmark.md', f'{to_markdown(rows)}\n{note}\n'.encode())
    write_result(out / 'benchmark.json', (json.dumps(content, indent=2) + '\n').encode())
    write_result(out / 'benchmark.csv', _to_csv([_flatten(row) for row in rows]))
    write_result(out / 'benchmark_images.csv', _to_csv(list(images)))


def _write_cells(row: Row, with_memory: bool) -> list[str]:
    scores = [
        ' / '.join('-' if value is None else f'{value:.{DECIMALS.get(name, 3)}f}' for name, value in metrics.items())
        for metrics in row.scores.values()
    ]
    memory = ['-' if row.memory is None else f'{format_count(row.memory)}B'] if with_memory else []
    size = [_write_count(row.params, row.trained_params), _write_count(row.macs, row.trained_macs)]
    size.append(f'{row.ms_per_image:.1f}')
    return [row.name.replace('|', r'\|'), *size, *memory, *scores]


def _write_count(deployed: int | None, trained: int | None) -> str:
    return format_count(deployed) + ('' if trained is None else f' ({format_count(trained)})')


def _flatten(row: Row) -> dict[str, Any]:
    record = asdict(row)
    scores = record.pop('scores')
    return record | {f'{name}_{metric}': value for name, values in scores.items() for metric, value in values.items()}


def _to_csv(records: Sequence[dict[str, Any]]) -> bytes:
    text = io.StringIO(newline='')
    writer = csv.DictWriter(text, fieldnames=list(records[0]))
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue().encode()


def describe_protocol(
    protocol: Protocol,
    sets: Mapping[str, Sized],
    records: Iterable[Mapping[str, Any]],
    networks: Sequence[Network],
    device: torch.device,
) -> dict[str, Any]:
    """The protocol for benchmark.json, its 'text' for the eye.

    Args:
        protocol (Protocol): Sets and metrics.
        sets (Mapping[str, Sized]): Their images.
        records (Iterable[Mapping]): Lines of benchmark_images.csv.
        networks (Sequence[Network]): The rows.
        device (torch.device): Where the networks were.
    """
    counts = {name: len(dataset) for name, dataset in sets.items()}
    first, timed = next(iter(counts.items()))
    threads = torch.get_num_threads()
    cpu = f'CPU, {threads} thread{"s" if threads > 1 else ""}'
    hardware = torch.cuda.get_device_name(device) if device.type == 'cuda' else cpu
    images = ', '.join(f'{name} {count}' for name, count in counts.items())
    self_ensemble = any(network.self_ensemble for network in networks)
    notes = list(dict.fromkeys(note for network in networks for note in network.notes))
    records = list(records)
    tiled = Counter((record['network'], record['set']) for record in records if record['tiled'])
    unscored = Counter(
        (record['network'], record['set'])
        for record in records
        if any(math.isnan(record[metric]) for metric in protocol.metrics)
    )
    text = (
        f'Protocol: x{protocol.scale}; {protocol.describe_metrics()}; mean over images ({images}), LR as given, '
        f'SR rounded to 8 bits, {_ENSEMBLE[self_ensemble]}. MACs and memory for {_COST}; memory: weights and the peak '
        f'of one forward, {_MEMORY[device.type]}. ms/image: mean over the {timed} images of {first} after '
        f'{_WARM_UP[device.type]}, torch {torch.__version__}, {hardware}.'
    )
    folded = [network.name for network in networks if network.trained is not None]
    if folded:
        text += f' Blocks folded, as they are deployed; in brackets as they were trained: {", ".join(folded)}.'
    if tiled:
        parts = ', '.join(f'{network} {count} of {counts[name]} of {name}' for (network, name), count in tiled.items())
        text += f' Computed in tiles, with the result of the whole image: {parts}.'
    if unscored:
        parts = ', '.join(
            f'{network} on {count} of {counts[name]} of {name}' for (network, name), count in unscored.items()
        )
        text += f' No score (-) where an answer or a metric is no number: {parts}.'
    text += ''.join(f' {note}' for note in notes)
    about = {'images': counts, 'torch': torch.__version__, 'device': hardware}
    return {**asdict(protocol), **about, 'self_ensemble': self_ensemble, 'text': text}
