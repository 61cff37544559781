"""`basicsr export`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

HELP = 'Write a network as an ONNX file for any image size, checked against torch; fp16 and int8 too.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the checkpoint, the new file, and the precision of its arithmetic."""
    parser.add_argument('weights', type=Path, metavar='WEIGHTS', help='checkpoint of a student or a teacher')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='FILE.onnx', help='new file')
    parser.add_argument(
        '-opt', type=Path, metavar='FILE', help='options file with its network_g, if WEIGHTS do not tell it'
    )
    parser.add_argument(
        '--precision',
        choices=['fp32', 'fp16', 'int8'],
        default='fp32',
        help='of weights and arithmetic, default fp32; input and output are always float32',
    )
    parser.add_argument('--calibrate', type=Path, metavar='FOLDER', help='LR images that int8 takes its ranges from')


def run(args: argparse.Namespace) -> int:
    """Export one network."""
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.networks.export import export_network

    export_network(args.weights, args.out, args.opt, args.precision, args.calibrate)
    return 0
