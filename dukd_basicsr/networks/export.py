"""`basicsr export`: from a checkpoint to a checked ONNX file that says what it is."""

from __future__ import annotations

import hashlib
import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import dukd_basicsr
from dukd_basicsr.data.atomic import write_result
from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluation.benchmark.measure import Network
from dukd_basicsr.evaluation.benchmark.report import Row, to_markdown
from dukd_basicsr.networks.cost import count_macs, count_parameters, lr_size
from dukd_basicsr.networks.onnx.check import LOOSE_TOLERANCE, Difference, compare, random_images, require_equal
from dukd_basicsr.networks.onnx.graph import OPSET, to_onnx
from dukd_basicsr.networks.onnx.kernels import Kept, keep
from dukd_basicsr.networks.onnx.precision import find_calibration, read_calibration, to_fp16, to_int8
from dukd_basicsr.networks.onnx.scores import find_sets, score
from dukd_basicsr.networks.onnx.session import MISSING_PACKAGES, SUFFIX, ExportedNetwork, Metadata, open_session
from dukd_basicsr.networks.open_network import Opened, open_network

PRECISIONS = ('fp32', 'fp16', 'int8')
_COLOURS = {1: 'grey', 3: 'RGB'}


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    weights: Path
    out: Path
    opt: Path | None = None
    """Options file with the network_g that `weights` belong to, where they do not say it themselves."""
    precision: str = 'fp32'
    calibrate: Path | None = None
    """Folder of images, for int8."""
    test: Sequence[Path] = ()
    """Folders of test sets, see `scores.find_sets`."""


@dataclass(frozen=True)
class Report:
    """What was written, and how it compares with torch."""

    metadata: Metadata
    size: int
    """Of the file, in bytes."""
    differences: dict[str, list[Difference]]
    """Of the float32 graph on random images and, where it is another, of the file; int8's on calibration images."""
    rows: list[Row]
    """The torch network and the file on the test sets; none without test sets."""
    kept: Kept | None
    """How near int8 stays to float32 on calibration images; None for other precisions."""


def run(request: Request) -> Report:
    """Export, check, convert, measure, write, print.

    Args:
        request (Request): The whole command.

    Returns:
        Report: What was printed.

    Raises:
        UserError: A mistake in what was asked for; said before the work starts.
        RunError: The graph does not compute what torch computes, or the file cannot be written; nothing is left.
    """
    _check(request)
    opened = open_network(request.weights, request.opt)
    sets = find_sets(request.test, opened.scale, opened.channels)
    if opened.channels not in _COLOURS:
        raise UserError(
            f'{request.weights}: a network of {opened.channels} channels; only those of 1 or 3 are exported.'
        )
    sys.stderr.write(''.join(f'basicsr export: {note}\n' for note in opened.notes))

    net = opened.net
    graph = to_onnx(net, opened.scale, opened.channels)
    metadata = _describe(opened, request)
    exported = _session(graph, request.out, metadata)
    images: Sequence[Tensor] = random_images(net, opened.channels)
    differences = {'fp32': compare(net, exported, images)}
    require_equal(differences['fp32'])
    if request.precision != 'fp32':
        graph, images = _convert(graph, request, images)
        exported = _session(graph, request.out, metadata)
        differences[request.precision] = compare(net, exported, images)
        require_equal(differences[request.precision], LOOSE_TOLERANCE)
    kept = None
    if request.precision == 'int8':
        exact = ExportedNetwork(open_session(_stamped(graph, metadata), as_written=True), request.out, metadata)
        kept = keep(net, exact, exported, images)
    networks = [
        Network(f'{opened.name} (torch)', 'student', net, str(request.weights), opened.channels),
        Network(f'{request.out.name} ({request.precision})', 'student', exported, str(request.out), opened.channels),
    ]
    rows = score(networks, sets, metadata) if sets else []
    content = _stamped(graph, metadata)
    write_result(request.out, content)
    report = Report(metadata, len(content), differences, rows, kept)
    sys.stdout.write(_text(report, request.out))
    if kept is not None and kept.worse_than_promised:
        sys.stderr.write(
            f'basicsr export: int8 on this machine is worse than its calibration promised: {kept.here:.1f} dB to '
            f'float32 instead of {kept.promised:.1f}, because its integer arithmetic saturates; {request.out} is right '
            'elsewhere, but use fp32 or fp16 on machines like this one.\n'
        )
    return report


def _check(request: Request) -> None:
    """Everything that can be known before a network is opened."""
    if request.weights.suffix.lower() == SUFFIX:
        raise UserError(f'{request.weights} is exported already; give the checkpoint that it was exported from.')
    if request.out.suffix != SUFFIX:
        raise UserError(f'{request.out}: the name of the new file must end in {SUFFIX}.')
    if request.out.exists():
        raise UserError(f'{request.out} exists already; give another name or delete it.')
    if request.precision == 'int8' and request.calibrate is None:
        raise UserError('--precision int8 needs images to take ranges from: add --calibrate FOLDER, with some 16 to '
                        '100 images as the network will see them (LR images, not test images).')  # fmt: skip
    if request.calibrate is not None:
        if request.precision != 'int8':
            raise UserError(f'--calibrate is for --precision int8, not {request.precision}; leave it out, or add that.')
        find_calibration(request.calibrate)
    for package in ('onnx', 'onnxruntime'):
        try:
            importlib.import_module(package)
        except ImportError:
            raise UserError(f'basicsr export: {MISSING_PACKAGES}') from None


def _describe(opened: Opened, request: Request) -> Metadata:
    return Metadata(
        dukd_version=dukd_basicsr.__version__,
        network=_type(opened),
        scale=opened.scale,
        channels=opened.channels,
        colours=_COLOURS[opened.channels],
        value_range='[0, 1]',
        precision=request.precision,
        opset=OPSET,
        params=count_parameters(opened.net),
        macs=count_macs(opened.net, *lr_size(opened.scale), opened.channels),
        weights=request.weights.name,
        weights_sha256=hashlib.sha256(request.weights.read_bytes()).hexdigest(),
    )


def _type(opened: Opened) -> str:
    """As an options file calls it, or as spandrel does."""
    name = opened.network['type'] if opened.network else getattr(opened.net, 'architecture', type(opened.net).__name__)
    return str(name)


def _session(graph: Any, out: Path, metadata: Metadata) -> ExportedNetwork:
    return ExportedNetwork(open_session(_stamped(graph, metadata)), out, metadata)


def _convert(graph: Any, request: Request, images: Sequence[Tensor]) -> tuple[Any, Sequence[Tensor]]:
    """The graph in fewer bits, and what to compare it on: 8 bits have no room for noise that no photograph has."""
    if request.calibrate is None:
        return to_fp16(graph), images
    paths, channels = find_calibration(request.calibrate), images[0].shape[1]
    shown = [torch.from_numpy(image) for image in read_calibration(paths[: len(images)], channels)]
    return to_int8(graph, read_calibration(paths, channels)), shown


def _stamped(graph: Any, metadata: Metadata) -> bytes:
    """The file's content: the graph with its metadata."""
    import onnx

    graph.producer_name, graph.producer_version = 'dukd_basicsr', metadata.dukd_version
    onnx.helper.set_model_props(graph, metadata.to_text())
    return graph.SerializeToString()


def _text(report: Report, out: Path) -> str:
    """What is printed."""
    about = report.metadata
    lines = [
        f'{out}: {about.network} x{about.scale}, {about.precision}, opset {about.opset}, {report.size / 1e6:.2f} MB'
    ]
    for name, differences in report.differences.items():
        each = ', '.join(f'{found.largest:.1e} on {found.size}' for found in differences)
        lines.append(f'largest difference to torch, {name}: {each}')
    if report.kept is not None:
        lines.append(
            f'int8 beside float32 on calibration images: {report.kept.here:.2f} dB on this machine, '
            f'{report.kept.promised:.2f} dB promised by calibration'
        )
    text = '\n'.join(lines) + '\n'
    return f'{text}\n{to_markdown(report.rows)}' if report.rows else text
