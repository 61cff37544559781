"""`basicsr benchmark`: the networks of options files on their test sets, in one table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

# isort: split
import cv2
import torch
from torch.utils.data import Dataset

from dukd_basicsr import options, table
from dukd_basicsr.complexity import OUTPUT_HEIGHT, OUTPUT_WIDTH, count_macs, count_parameters, lr_size
from dukd_basicsr.entrants import load_networks
from dukd_basicsr.evaluate import ImageResult, Network, build_dataset, evaluate
from dukd_basicsr.pictures import CROP, Panel, comparison, most_different_crop
from dukd_basicsr.protocol import SECTIONS, Options, Protocol, common_protocol


def run(option_files: Sequence[Path], out: Path | None, pictures: bool = False) -> dict[str, Any]:
    """Measure bicubic enlargement, the student of every options file and their teachers; print the table.

    Args:
        option_files (Sequence[Path]): Train or test options of BasicSR. All name the same test sets and metrics.
        out (Path | None): Folder for benchmark.md, .json, .csv and benchmark_images.csv; None writes nothing.
        pictures (bool): A comparison picture an image too, in out/pictures/<set>/.

    Returns:
        dict: The content of benchmark.json: 'protocol' and 'rows', see `table.Row`.

    Raises:
        UserError: Options that cannot be read or are wrong, different protocols, missing or unfitting weights,
            missing images. Everything that can be known before is said before the first image.
    """
    files = _load(option_files)
    protocol = common_protocol(files)
    _check_images(files)
    device = choose_device(files.values())
    networks = load_networks(files, device)
    sets = {name: build_dataset(opt) for name, opt in protocol.sets.items()}

    records: list[dict[str, Any]] = []
    for name, dataset in sets.items():
        for image in evaluate(networks, dataset, protocol.metrics, device, name):
            records += _records(name, image)
            if pictures and out is not None:
                _write_picture(image, protocol, out / 'pictures' / name)
    rows = [_row(network, records, protocol) for network in networks]
    description = _describe(protocol, sets, device)
    content = table.to_json(description, rows)
    if out is not None:
        table.write(out, content, rows, records, description['text'])
    sys.stdout.write(f'\n{table.to_markdown(rows)}\n{description["text"]}\n')
    return content


def choose_device(opts: Iterable[Options]) -> torch.device:
    """CUDA where there is one, unless every file says num_gpu: 0; one device for all, so that times compare."""
    wanted = any(opt.get('num_gpu', 0) != 0 for opt in opts)
    return torch.device('cuda' if wanted and torch.cuda.is_available() else 'cpu')


def _load(option_files: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """Every file once, in the given order, checked; warnings go to stderr."""
    files = {}
    for file in option_files:
        files[file] = opt = options.load(file)
        for warning in options.check(opt, file, is_train='train' in opt):
            sys.stderr.write(f'basicsr benchmark: warning: {warning}\n')
    return files


def _check_images(files: Mapping[Path, Options]) -> None:
    """Are the test images there? Those of the first file, since all name the same; its training data may be gone."""
    opt = next(iter(files.values()))
    tests = {name: section for name, section in opt['datasets'].items() if name.startswith(SECTIONS)}
    options.check_files({**opt, 'datasets': tests, 'path': {}}, Path.cwd(), is_train=False)


def _records(set_name: str, image: ImageResult) -> list[dict[str, Any]]:
    """One line of benchmark_images.csv a network."""
    return [
        {'set': set_name, 'image': image.name, 'network': each.network.name, 'ms': 1000 * each.seconds, **each.scores}
        for each in image.measurements
    ]


def _row(network: Network, records: Sequence[Mapping[str, Any]], protocol: Protocol) -> table.Row:
    """Means over images; the time is that of the first set, so that rows of several sets compare."""
    own = [record for record in records if record['network'] == network.name]
    by_set = {name: [record for record in own if record['set'] == name] for name in protocol.sets}
    is_network = network.kind != 'bicubic'
    return table.Row(
        name=network.name,
        kind=network.kind,
        weights=network.weights,
        params=count_parameters(network.net) if is_network else None,
        macs=count_macs(network.net, *lr_size(protocol.scale), network.channels) if is_network else None,
        ms_per_image=_mean(record['ms'] for record in next(iter(by_set.values()))),
        scores={
            name: {metric: _mean(record[metric] for record in those) for metric in protocol.metrics}
            for name, those in by_set.items()
        },
    )


def _mean(values: Iterable[float]) -> float:
    values = list(values)
    return sum(values) / len(values)


def _describe(protocol: Protocol, sets: Mapping[str, Dataset], device: torch.device) -> dict[str, Any]:
    """What the numbers were measured on, for JSON, and as one line of text."""
    counts = {name: len(dataset) for name, dataset in sets.items()}  # type: ignore[arg-type]
    first, timed = next(iter(counts.items()))
    threads = torch.get_num_threads()
    cpu = f'CPU, {threads} thread{"s" if threads > 1 else ""}'
    hardware = torch.cuda.get_device_name(device) if device.type == 'cuda' else cpu
    images = ', '.join(f'{name} {count}' for name, count in counts.items())
    text = (
        f'Protocol: x{protocol.scale}; {protocol.describe_metrics()}; mean over images ({images}), LR as given, '
        f'SR rounded to 8 bits. MACs for {OUTPUT_WIDTH}x{OUTPUT_HEIGHT} output. ms/image: mean over the {timed} images '
        f'of {first} after one warm-up, torch {torch.__version__}, {hardware}.'
    )
    return {**asdict(protocol), 'images': counts, 'torch': torch.__version__, 'device': hardware, 'text': text}


def _write_picture(image: ImageResult, protocol: Protocol, folder: Path) -> None:
    """LR (bicubic) | students | teachers | GT, cropped where the students differ most."""
    psnr = next((name for name, opt in protocol.metrics.items() if opt['type'] == 'calculate_psnr'), '')
    panels = [Panel(_title(each.network), each.sr, each.scores.get(psnr)) for each in image.measurements]
    students = [each.sr for each in image.measurements if each.network.kind == 'student']
    compared = students if len(students) > 1 else [each.sr for each in image.measurements]
    size = min(CROP, *image.gt.shape[:2])
    picture = comparison([*panels, Panel('GT', image.gt)], most_different_crop(compared, size), size)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f'{image.name}.png').write_bytes(cv2.imencode('.png', picture)[1].tobytes())


def _title(network: Network) -> str:
    return 'LR (bicubic)' if network.kind == 'bicubic' else network.name
