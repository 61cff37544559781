"""`basicsr export`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

HELP = 'Write a network as an ONNX file for any image size, checked against torch; fp16, int8, and a web page too.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the checkpoint, the new file or page, and the precision of its arithmetic."""
    parser.add_argument('weights', type=Path, metavar='WEIGHTS', help='checkpoint of a student or a teacher')
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument('-o', '--out', type=Path, metavar='FILE.onnx', help='new file')
    target.add_argument(
        '--web', type=Path, metavar='DIR', help='new folder with a web page that runs the network in the browser'
    )
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
    parser.add_argument(
        '--web-runtime',
        type=Path,
        metavar='PATH',
        help="folder or npm's .tgz with onnxruntime-web, for --web where npm cannot fetch it",
    )


def run(args: argparse.Namespace) -> int:
    """Export one network."""
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.errors import UserError
    from dukd_basicsr.networks.export import export_network

    if args.web is not None:
        from dukd_basicsr.web.page import export_web

        export_web(args.weights, args.web, args.opt, args.precision, args.calibrate, args.web_runtime)
        return 0
    if args.web_runtime is not None:
        raise UserError('--web-runtime is for --web DIR; leave it out, or add that.')
    export_network(args.weights, args.out, args.opt, args.precision, args.calibrate)
    return 0
