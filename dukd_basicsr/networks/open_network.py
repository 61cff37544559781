"""Any file with a network in it, opened: a student or a teacher, of ours or of anyone's, exported or not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from dukd_basicsr import options
from dukd_basicsr.errors import UserError, say_where
from dukd_basicsr.networks import layouts
from dukd_basicsr.networks.build import build, count_input_channels, describe, load_network
from dukd_basicsr.networks.padding import PROBE_SIZE, answer_zeros
from dukd_basicsr.networks.weights import Weights, load_into, read_weights
from dukd_basicsr.options.rules.teacher import as_list

TRAINED = 'params_ema'
"""What BasicSR validates with; 'params' is taken where it is missing."""


@dataclass(frozen=True)
class Opened:
    """A network that is ready to be asked."""

    name: str
    net: nn.Module
    """Eval, frozen, on the CPU, float32: (B, C, H, W) in [0, 1] to (B, C, s * H, s * W), neither clamped nor rounded.
    Networks with windows want `padding.forward`."""
    scale: int
    channels: int
    """Of its input."""
    weights: Path
    network: dict[str, Any] | None
    """`network_g` of an options file; None for an exported file and for what only spandrel knows."""
    notes: tuple[str, ...] = ()
    """What the file does not say and was assumed, a sentence each."""


def open_network(path: Path, opt: Path | None = None, param_key: str | None = None) -> Opened:
    """Open a checkpoint or an exported file.

    Which network a checkpoint holds is said by the options file, if one is given; by the one that BasicSR has copied
    into `experiments/<name>/`, if the checkpoint is in its `models/`; by the weights themselves, if they are of a
    layout that `basicsr convert` knows; or by spandrel.

    Args:
        path (Path): .pth, .pt, .safetensors or .onnx.
        opt (Path | None): Options file with its `network_g`; or its `network_t`, if that is the file it names for it.
        param_key (str | None): Which network of the file; default: 'params_ema' where it is there, else 'params'.

    Raises:
        UserError: No such file, damaged, of no known network, or it does not fit the options file.
    """
    if not path.is_file():
        raise UserError(
            f'{path}: there is no such file{say_where(path)}; give the path of a checkpoint or an exported network.'
        )
    if path.suffix.lower() == '.onnx':
        return _open_exported(path)
    name, network = path.stem, None
    file = opt or _find_options_beside(path)
    if file is not None:
        name, network = _read_role(options.load(file), path, file)
    if network is not None and network['type'] == 'Spandrel':  # which reads the file in its own way
        net = load_network(network, str(path))
        return _ask_scale(name, net, count_input_channels(network), path, network, ())
    weights, notes = read_weights(path, param_key or TRAINED), tuple[str, ...]()
    if network is None:
        layout = weights.layout or layouts.recognise(weights)
        if layout is None:
            return _open_by_spandrel(path, weights)
        network, notes = dict(layout.network), tuple(f'{path}: {note}' for note in layout.notes)
    net = build(network, str(file or path))
    load_into(net, weights, f'{file or path}: {path}')
    return _ask_scale(name, net, count_input_channels(network), path, network, notes)


def _open_exported(path: Path) -> Opened:
    from dukd_basicsr.networks.onnx.session import open_exported

    net = open_exported(path).eval()
    return Opened(path.stem, net, net.scale, net.channels, path, None)


def _find_options_beside(path: Path) -> Path | None:
    """The options file of the run that wrote a checkpoint: BasicSR copies it to `experiments/<name>/`."""
    folder = path.resolve().parent
    files = sorted(folder.parent.glob('*.yml'), key=lambda file: file.stat().st_mtime)
    return files[-1] if folder.name == 'models' and files else None


def _read_role(opt: Mapping[str, Any], path: Path, file: Path) -> tuple[str, dict[str, Any]]:
    """Name and network of the role that the checkpoint has in an options file."""
    teachers, paths = opt.get('network_t'), (opt.get('path') or {}).get('pretrain_network_t')
    pairs = zip(as_list(teachers), as_list(paths), strict=False)
    for teacher, weights in pairs:
        if isinstance(weights, str) and Path(weights).expanduser().resolve() == path.resolve():
            return path.stem, dict(teacher)
    network = opt.get('network_g')
    if not isinstance(network, Mapping) or not isinstance(network.get('type'), str):
        raise UserError(
            f'{file}: network_g has no type; write the network of {path}, e.g. network_g: {{type: EDSR, ...}}.'
        )
    return str(opt.get('name', path.stem)), dict(network)


def _open_by_spandrel(path: Path, weights: Weights) -> Opened:
    try:
        net: Any = build({'type': 'Spandrel', 'path': str(path)}, str(path))
    except UserError as error:
        names = ', '.join(list(weights)[:4])
        raise UserError(
            f'{path}: no known network; its names begin with {names}. Known: {layouts.KNOWN}; give the '
            f'options file of another one: -opt FILE, and for one of your own add --import FILE.py. ({error})'
        ) from None
    return _ask_scale(path.stem, net, net.channels, path, None, ())


def _ask_scale(
    name: str, net: nn.Module, channels: int, path: Path, network: dict[str, Any] | None, notes: tuple[str, ...]
) -> Opened:
    """Ask the network once for its scale: no two architectures name it alike."""
    net = net.float().eval().requires_grad_(False)
    try:
        output = answer_zeros(net, channels)
    except Exception as error:  # a class of anyone's, which raises what it likes
        raise UserError(
            f'{path}: {type(net).__name__} with these arguments does not take an image of {channels} channels '
            f'({describe(error)}); give the options file that it was trained with: -opt FILE.'
        ) from error
    return Opened(name, net, output.shape[-1] // PROBE_SIZE, channels, path, network, notes)
