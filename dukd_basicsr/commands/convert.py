"""`basicsr convert`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

HELP = "Bring a checkpoint of another layout into BasicSR's, and print the network_t that fits it."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the checkpoint and the new file."""
    parser.add_argument('source', type=Path, metavar='SRC', help='checkpoint: .pth, .pt or .safetensors')
    parser.add_argument('target', type=Path, metavar='DST', help='new file: .pth or .safetensors')
    parser.add_argument(
        '--arch', metavar='NAME', help='what SRC must be, e.g. EDSR (default: what it is recognised as)'
    )
    parser.add_argument('--param_key', default='params', metavar='KEY', help='network in SRC, default: params')


def run(args: argparse.Namespace) -> int:
    """Convert one checkpoint."""
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.networks import convert

    convert.convert_checkpoint(args.source, args.target, args.arch, args.param_key)
    return 0
