"""`basicsr convert`: any known checkpoint as BasicSR's, with the options that fit it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import safetensors.torch
import torch

from dukd_basicsr.data.atomic import write_file
from dukd_basicsr.errors import UserError, did_you_mean
from dukd_basicsr.networks import layouts
from dukd_basicsr.networks.layouts.layout import Recognised
from dukd_basicsr.networks.weights import Weights, read_weights

_OWN = (
    'A network of your own needs no conversion: name it in network_t, and to the command that builds it add --import '
    'FILE.py.'
)


def convert_checkpoint(source: Path, target: Path, arch: str | None = None, param_key: str | None = 'params') -> None:
    """Write the weights of `source` under BasicSR's names to `target`; print its layout and its `network_t`.

    Args:
        source (Path): As for `checkpoint.read_weights`.
        target (Path): New file, .pth ({'params': ...}) or .safetensors. It appears complete or not at all.
        arch (str | None): The BasicSR type that `source` must be.
        param_key (str | None): Which of the networks in `source`.

    Raises:
        UserError: `source` cannot be read, is of no known layout or not of `arch`; `target` exists, has another suffix
            or cannot be written.
    """
    if target.suffix not in ('.pth', '.safetensors'):
        raise UserError(f'{target}: the name of the new file must end in .pth or .safetensors.')
    if target.exists():
        raise UserError(f'{target} exists already; give another name or delete it.')
    if arch is not None and arch not in layouts.ARCHITECTURES:
        raise UserError(f'--arch {arch}: no such network.{did_you_mean(arch, layouts.ARCHITECTURES)} {_OWN}')
    weights = read_weights(source, param_key)
    layout = weights.layout or layouts.recognise(weights)
    if layout is None:
        raise UserError(_say_unknown(source, weights))
    if arch is not None and layout.network['type'] != arch:
        raise UserError(f'{source} holds {layout.network["type"]}, not {arch}; leave --arch out, or give that name.')
    _write(layout, target)
    notes = ''.join(f'# {note}\n' for note in layout.notes)
    sys.stdout.write(
        f'{source}: {layout.network["type"]}, names of {layout.name}, {layout.parameters:,} parameters\n'
        f'{notes}{layout.to_block("network_t")}path:\n  pretrain_network_t: {target}\n'
    )


def _say_unknown(source: Path, weights: Weights) -> str:
    names = ', '.join(list(weights)[:6])
    return (
        f'{source}: no known layout; its names begin with {names}. Known: {layouts.KNOWN}. For a teacher, try '
        f'network_t: {{type: Spandrel}}, which knows many more and needs no conversion. {_OWN}'
    )


def _write(layout: Recognised, target: Path) -> None:
    weights = {name: tensor.detach().contiguous() for name, tensor in layout.weights.items()}
    content = safetensors.torch.save(weights) if target.suffix == '.safetensors' else _pickle(weights)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f'{target} cannot be written ({error.strerror}: {target.parent}).') from None
    try:
        write_file(target, content)
    except OSError as error:
        raise UserError(f'{target} cannot be written ({str(error).splitlines()[0]}).') from None


def _pickle(weights: dict[str, torch.Tensor]) -> memoryview:
    buffer = io.BytesIO()
    torch.save({'params': weights}, buffer)
    return buffer.getbuffer()
