"""`basicsr benchmark`: the networks of options files on their test sets, in one table."""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from dukd_basicsr import options
from dukd_basicsr.data.atomic import refuse_unwritable, write_result
from dukd_basicsr.data.checks.files import check_files
from dukd_basicsr.errors import RunError
from dukd_basicsr.evaluation.benchmark import report
from dukd_basicsr.evaluation.benchmark.measure import ImageResult, Network, build_dataset, evaluate
from dukd_basicsr.evaluation.benchmark.ntire import format_costs, measure_costs, to_json
from dukd_basicsr.evaluation.benchmark.protocol import SECTIONS, Protocol, find_common_protocol
from dukd_basicsr.evaluation.benchmark.rows import load_networks
from dukd_basicsr.evaluation.benchmark.significance import check_rows, compare_rows, format_comparison
from dukd_basicsr.evaluation.metrics import load_perceptual_metrics
from dukd_basicsr.evaluation.pictures import CROP, Panel, draw_side_by_side, encode_png, find_most_different_crop
from dukd_basicsr.networks.acceleration import find_device
from dukd_basicsr.networks.cost import count_macs, count_parameters, find_lr_size, measure_peak_memory
from dukd_basicsr.networks.tiling import Tiler


def tabulate_networks(
    option_files: Sequence[Path],
    out: Path | None,
    pictures: bool = False,
    *,
    weights: Sequence[Path] = (),
    self_ensemble: bool = False,
    pyiqa: Sequence[str] = (),
    compare: tuple[str, str] | None = None,
    tile: int | None = None,
    ntire: bool = False,
) -> dict[str, Any]:
    """Measure bicubic enlargement, the student of every options file, their teachers, checkpoints; print the table.

    Args:
        option_files (Sequence[Path]): Train or test options of BasicSR. All name the same test sets and metrics.
        out (Path | None): Folder for benchmark.md, .json, .csv and benchmark_images.csv; None writes nothing.
        pictures (bool): Whether to draw a comparison picture of each image too, in out/pictures/<set>/.
        weights (Sequence[Path]): Checkpoints and exported files, a row each. Options files without trained weights
            then give the protocol only.
        self_ensemble (bool): Whether every network has a second row 'NAME+', see `SelfEnsemble`.
        pyiqa (Sequence[str]): Metrics of pyiqa, e.g. 'lpips', beside those of the options files.
        compare (tuple[str, str] | None): Names of two rows, for the significance of their difference.
        ntire (bool): Whether to add NTIRE's columns, see `ntire`.
        tile (int | None): Images with a longer LR side are computed in tiles of this side, where that is exact.

    Returns:
        dict: The content of benchmark.json: 'protocol' and 'rows', see `report.Row`; 'comparison' if asked for.

    Raises:
        UserError: Options that cannot be read or are wrong, different protocols, missing or unfitting weights,
            missing images, a network of another scale, an `out` that cannot be written to. Everything that can be
            known before is said before the first image.
        RunError: The results could not be written after all; the table has been printed.
    """
    if out is not None:
        refuse_unwritable(out)
    files = _load(option_files)
    protocol = find_common_protocol(files)
    _check_images(files)
    device = choose_device(files.values())
    if pyiqa:
        protocol = protocol.with_metrics(load_perceptual_metrics(pyiqa, device))
    networks = load_networks(files, device, weights, self_ensemble)
    if compare is not None:
        check_rows(compare, networks)
    sets = {name: build_dataset(opt) for name, opt in protocol.sets.items()}

    tilers = {network.name: Tiler(network.net, network.channels, device, tile, exact=True) for network in networks}
    records: list[dict[str, Any]] = []
    failures: list[RunError] = []
    for name, dataset in sets.items():
        for image in evaluate(networks, dataset, protocol.metrics, device, name, partial(_ask, tilers)):
            records += _make_records(name, image)
            if pictures and out is not None and not failures:
                failures += _try(write_result, out / 'pictures' / name / f'{image.name}.png', _draw(image, protocol))
    rows = [_make_row(network, records, protocol, device) for network in networks]
    description = report.describe_protocol(protocol, sets, records, networks, device)
    content, note = report.to_json(description, rows), description['text']
    note += _compare(content, compare, records, protocol)
    if ntire:
        costs = measure_costs(networks, device)
        content['ntire'] = to_json(costs)
        note += f'\n\n{format_costs(costs)}'
    sys.stdout.write(f'\n{report.to_markdown(rows)}\n{note}\n')
    if out is not None:
        failures += _try(report.write, out, content, rows, records, note)
    if failures:
        raise failures[0]
    return content


def _compare(
    content: dict[str, Any], rows: tuple[str, str] | None, records: Sequence[Mapping[str, Any]], protocol: Protocol
) -> str:
    """Put the significance of two rows' difference into the content; returns it in words."""
    if rows is None:
        return ''
    results = compare_rows(records, rows, protocol.sets, protocol.metrics)
    content['comparison'] = {'rows': list(rows), 'results': results}
    return f'\n\n{format_comparison(results, rows)}'


def choose_device(opts: Iterable[Mapping[str, Any]]) -> torch.device:
    """CUDA where there is one, unless every file says num_gpu: 0; one device for all, so that times compare."""
    wanted = any(opt.get('num_gpu', 0) != 0 for opt in opts)
    return find_device(None if wanted else 'cpu')


def _load(option_files: Sequence[Path]) -> dict[Path, dict[str, Any]]:
    """Every file once, in the given order, checked; warnings go to stderr."""
    files = {}
    for file in option_files:
        files[file] = opt = options.load(file)
        for warning in options.check(opt, file, is_train='train' in opt):
            sys.stderr.write(f'basicsr benchmark: warning: {warning}\n')
    return files


def _check_images(files: Mapping[Path, Mapping[str, Any]]) -> None:
    """Look for the test images: those of the first file, since all name the same; its training data may be gone."""
    opt = next(iter(files.values()))
    tests = {name: section for name, section in opt['datasets'].items() if name.startswith(SECTIONS)}
    check_files({**opt, 'datasets': tests, 'path': {}}, Path.cwd(), is_train=False)


def _ask(tilers: Mapping[str, Tiler], network: Network, lq: Tensor) -> tuple[Tensor, bool]:
    """A network's output, and whether it was computed in tiles.

    Raises:
        RunError: The GPU has not enough memory, and tiles would not help or would change the result.
    """
    try:
        return tilers[network.name](lq)
    except torch.cuda.OutOfMemoryError:
        raise RunError(
            f'{network.name}: the GPU has not enough memory for an LR image of {lq.shape[-1]}x{lq.shape[-2]}, and '
            'tiles cannot give the same result with less; write num_gpu: 0 to measure on the CPU.'
        ) from None


def _try(write: Callable[..., object], *arguments: object) -> list[RunError]:
    """Write something, and return what went wrong: hours of measurements are not lost to a full disk."""
    try:
        write(*arguments)
    except RunError as error:
        return [error]
    return []


def _make_records(set_name: str, image: ImageResult) -> list[dict[str, Any]]:
    """One line of benchmark_images.csv for each network."""
    where = {'set': set_name, 'image': image.name}
    return [
        {**where, 'network': each.network.name, 'ms': 1000 * each.seconds, 'tiled': int(each.tiled), **each.scores}
        for each in image.measurements
    ]


def _make_row(
    network: Network, records: Sequence[Mapping[str, Any]], protocol: Protocol, device: torch.device
) -> report.Row:
    """Means over images; the time is that of the first set, so that rows of several sets compare."""
    own = [record for record in records if record['network'] == network.name]
    by_set = {name: [record for record in own if record['set'] == name] for name in protocol.sets}
    params, size = count_parameters(network.net), (*find_lr_size(protocol.scale), network.channels)
    trained = copy.deepcopy(network.trained).train() if network.trained is not None else None
    source = getattr(network.net, 'metadata', None)  # an exported file says what it was made from
    scores = {
        name: {metric: _average(record[metric] for record in those) for metric in protocol.metrics}
        for name, those in by_set.items()
    }
    return report.Row(
        name=network.name,
        kind=network.kind,
        weights=network.weights,
        params=source.params if source else params or None,
        macs=source.macs if source else count_macs(network.net, *size) if params else None,
        ms_per_image=_average(record['ms'] for record in next(iter(by_set.values()))) or 0.0,
        scores=scores,
        self_ensemble=network.self_ensemble,
        memory=measure_peak_memory(network.net, *size, device) if params else None,
        trained_params=count_parameters(trained) if trained is not None else None,
        trained_macs=count_macs(trained, *size) if trained is not None else None,
    )


def _average(values: Iterable[float]) -> float | None:
    """The mean; None if one of the values is no number."""
    values = list(values)
    mean = sum(values) / len(values)
    return None if math.isnan(mean) else mean


def _draw(image: ImageResult, protocol: Protocol) -> bytes:
    """LR (bicubic) | students | teachers | GT, cropped where the students differ most, as a PNG."""
    psnr = next((name for name, opt in protocol.metrics.items() if opt['type'] == 'calculate_psnr'), '')
    panels = [Panel(_choose_title(each.network), each.sr, each.scores.get(psnr)) for each in image.measurements]
    students = [each.sr for each in image.measurements if each.network.kind == 'student']
    compared = students if len(students) > 1 else [each.sr for each in image.measurements]
    size = min(CROP, *image.gt.shape[:2])
    corner = find_most_different_crop(compared, size)
    return encode_png(draw_side_by_side([*panels, Panel('GT', image.gt)], corner, size))


def _choose_title(network: Network) -> str:
    return 'LR (bicubic)' if network.kind == 'bicubic' else network.name
