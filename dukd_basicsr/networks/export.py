"""`basicsr export`: from a checkpoint to a checked ONNX file that says what it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

import dukd_basicsr
from dukd_basicsr.data.atomic import refuse_unwritable, write_result
from dukd_basicsr.data.cache.manifest import hash_file
from dukd_basicsr.data.locks import hold
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.cost import count_macs, count_parameters, find_lr_size
from dukd_basicsr.networks.deploy import Deployed, deploy_checked
from dukd_basicsr.networks.onnx.check import LOOSE_TOLERANCE, Difference, compare, draw_images, require_equal
from dukd_basicsr.networks.onnx.fold import fold_constants
from dukd_basicsr.networks.onnx.graph import OPSET, to_onnx
from dukd_basicsr.networks.onnx.kernels import Kept, keep
from dukd_basicsr.networks.onnx.precision import find_calibration, read_calibration, to_fp16, to_int8
from dukd_basicsr.networks.onnx.ranges import Ranges, find_ranges
from dukd_basicsr.networks.onnx.session import SUFFIX, ExportedNetwork, Metadata, open_session, require_packages
from dukd_basicsr.networks.open_network import Opened, open_network

PRECISIONS = ('fp32', 'fp16', 'int8')
_COLOURS = {1: 'grey', 3: 'RGB'}


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares with torch."""

    metadata: Metadata
    size: int
    """Of the file, in bytes."""
    nodes: int
    """Of its graph."""
    trained_params: int | None
    """Of the network as it was trained, where blocks have been folded since (`networks.deploy`)."""
    differences: dict[str, list[Difference]]
    """Of the float32 graph on random images and, where it is another, of the file; int8's on the images of `kept`."""
    kept: Kept | None
    """How near int8 stays to float32 on calibration images, on smooth random ones where there are none; None for other
    precisions."""


def export_network(
    weights: Path, out: Path, opt: Path | None = None, precision: str = 'fp32', calibrate: Path | None = None
) -> Exported:
    """Export, check, convert, write, print.

    Args:
        weights (Path): The checkpoint.
        out (Path): The new file, .onnx.
        opt (Path | None): Options file with the network_g that `weights` belong to, where they do not say it.
        precision (str): 'fp32', 'fp16' or 'int8'.
        calibrate (Path | None): Folder of images, for int8.

    Returns:
        Exported: What was printed.

    Raises:
        UserError: A mistake in what was asked for; said before the work starts.
        RunError: The graph does not compute what torch computes, or the file cannot be written; nothing is left.
    """
    _check(weights, out, precision, calibrate)
    with hold(out):
        _refuse_existing(out)  # another process may have written it while the lock was waited for
        return _export(weights, out, opt, precision, calibrate)


def _export(weights: Path, out: Path, opt: Path | None, precision: str, calibrate: Path | None) -> Exported:
    opened = open_network(weights, opt)
    if opened.channels not in _COLOURS:
        raise UserError(f'{weights}: a network of {opened.channels} channels; only those of 1 or 3 are exported.')
    net, deployed = opened.net, deploy_checked(opened.net, opened.channels)
    notes = [*opened.notes, *([deployed.note] if deployed.note else [])]
    sys.stderr.write(''.join(f'basicsr export: {note}\n' for note in notes))

    graph = fold_constants(to_onnx(deployed.net, opened.scale, opened.channels))
    metadata = _make_metadata(opened, deployed, precision)
    exported = _start_session(graph, out, metadata)
    images: Sequence[Tensor] = draw_images(net, opened.channels)
    differences = {'fp32': compare(net, exported, images)}
    require_equal(differences['fp32'])
    if precision != 'fp32':
        ranges = find_ranges(weights) if precision == 'int8' else None
        graph, images = _convert(graph, precision, calibrate, ranges, images)
        exported = _start_session(graph, out, metadata)
        differences[precision] = compare(net, exported, images)
        require_equal(differences[precision], LOOSE_TOLERANCE)
    kept = None
    if precision == 'int8':
        exact = ExportedNetwork(open_session(_stamp(graph, metadata), as_written=True), out, metadata)
        kept = keep(net, exact, exported, images)
    content = _stamp(graph, metadata)
    write_result(out, content)
    trained = None if deployed.trained is None else count_parameters(deployed.trained)
    found = Exported(metadata, len(content), len(graph.graph.node), trained, differences, kept)
    sys.stdout.write(_format(found, out, 'calibration images' if calibrate else 'smooth random images'))
    if kept is not None and kept.worse_than_promised:
        sys.stderr.write(
            f'basicsr export: int8 on this machine is worse than its calibration promised: {kept.here:.1f} dB to '
            f'float32 instead of {kept.promised:.1f}, because its integer arithmetic saturates; {out} is right '
            'elsewhere, but use fp32 or fp16 on machines like this one.\n'
        )
    return found


def _refuse_existing(out: Path) -> None:
    if out.exists():
        raise UserError(f'{out} exists already; give another name or delete it.')


def _check(weights: Path, out: Path, precision: str, calibrate: Path | None) -> None:
    """Everything that can be known before a network is opened."""
    if weights.suffix.lower() == SUFFIX:
        raise UserError(f'{weights} is exported already; give the checkpoint that it was exported from.')
    if out.suffix != SUFFIX:
        raise UserError(f'{out}: the name of the new file must end in {SUFFIX}.')
    _refuse_existing(out)
    refuse_unwritable(out.parent, '-o FILE.onnx')
    if precision == 'int8' and calibrate is None and find_ranges(weights) is None:
        raise UserError(
            '--precision int8 needs images to take ranges from: add --calibrate FOLDER, with some 16 to 100 images as '
            'the network will see them (LR images, not test images).'
        )
    if calibrate is not None:
        if precision != 'int8':
            raise UserError(f'--calibrate is for --precision int8, not {precision}; leave it out, or add that.')
        find_calibration(calibrate)
    require_packages('basicsr export')


def _make_metadata(opened: Opened, deployed: Deployed, precision: str) -> Metadata:
    return Metadata(
        dukd_version=dukd_basicsr.__version__,
        network=_name_type(opened),
        scale=opened.scale,
        channels=opened.channels,
        colours=_COLOURS[opened.channels],
        value_range='[0, 1]',
        precision=precision,
        opset=OPSET,
        params=count_parameters(deployed.net),
        macs=count_macs(deployed.net, *find_lr_size(opened.scale), opened.channels),
        weights=opened.weights.name,
        weights_sha256=hash_file(opened.weights),
    )


def _name_type(opened: Opened) -> str:
    """As an options file calls it, or as spandrel does."""
    name = opened.network['type'] if opened.network else getattr(opened.net, 'architecture', type(opened.net).__name__)
    return str(name)


def _start_session(graph: Any, out: Path, metadata: Metadata) -> ExportedNetwork:
    return ExportedNetwork(open_session(_stamp(graph, metadata)), out, metadata)


def _convert(
    graph: Any, precision: str, calibrate: Path | None, ranges: Ranges | None, images: Sequence[Tensor]
) -> tuple[Any, Sequence[Tensor]]:
    """The graph in fewer bits, and what to compare it on: 8 bits have no room for noise that no photograph has."""
    if precision == 'fp16':
        return to_fp16(graph), images
    if calibrate is None:  # the network was trained with its ranges
        smooth = [functional.interpolate(image[..., ::8, ::8], image.shape[-2:], mode='bilinear') for image in images]
        return to_int8(graph, [smooth[0].numpy()], ranges=ranges), smooth
    paths, channels = find_calibration(calibrate), images[0].shape[1]
    shown = [torch.from_numpy(image) for image in read_calibration(paths[: len(images)], channels)]
    return to_int8(graph, read_calibration(paths, channels), ranges=ranges), shown


def _stamp(graph: Any, metadata: Metadata) -> bytes:
    """The file's content: the graph with its metadata."""
    import onnx

    graph.producer_name, graph.producer_version = 'dukd_basicsr', metadata.dukd_version
    onnx.helper.set_model_props(graph, metadata.to_text())
    return graph.SerializeToString()


def _format(exported: Exported, out: Path, shown: str) -> str:
    """What is printed."""
    about = exported.metadata
    lines = [
        f'{out}: {about.network} x{about.scale}, {about.precision}, opset {about.opset}, {exported.size / 1e6:.2f} MB, '
        f'{exported.nodes:,d} nodes, {about.params:,d} parameters'
        + ('' if exported.trained_params is None else f' (folded from {exported.trained_params:,d} of training)')
    ]
    for name, differences in exported.differences.items():
        each = ', '.join(f'{found.largest:.1e} on {found.size}' for found in differences)
        lines.append(f'largest difference to torch, {name}: {each}')
    if exported.kept is not None:
        lines.append(
            f'int8 beside float32 on {shown}: {exported.kept.here:.2f} dB on this machine, '
            f'{exported.kept.promised:.2f} dB promised by calibration'
        )
    return '\n'.join(lines) + '\n'
