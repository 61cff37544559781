"""`basicsr benchmark`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from dukd_basicsr.errors import UserError

HELP = 'PSNR, SSIM, size and speed of networks in one table.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare which networks are measured, how, and where the table goes."""
    parser.add_argument(
        '-opt',
        type=Path,
        nargs='+',
        required=True,
        metavar='FILE',
        help='options files of one protocol; each adds its student, and its teacher once',
    )
    parser.add_argument(
        '--weights',
        type=Path,
        nargs='+',
        default=[],
        metavar='FILE',
        help='checkpoints and exported .onnx files, a row each',
    )
    parser.add_argument(
        '--self_ensemble', action='store_true', help='beside every network the mean over 8 turned inputs, as NAME+'
    )
    parser.add_argument(
        '--pyiqa',
        nargs='+',
        default=[],
        metavar='METRIC',
        help='metrics of pyiqa too, if it is installed, e.g. lpips niqe',
    )
    parser.add_argument(
        '--compare',
        nargs=2,
        metavar='ROW',
        help='is the first row better than the second? paired bootstrap over the images',
    )
    parser.add_argument(
        '--tile',
        type=int,
        metavar='N',
        help='compute LR images with a longer side in tiles of NxN, where that is exact',
    )
    parser.add_argument(
        '--ntire',
        action='store_true',
        help="NTIRE's columns too: parameters, FLOPs, activations, convolutions and ms of a 256x256 input",
    )
    parser.add_argument('-o', '--out', type=Path, help='folder for the table as Markdown, JSON and CSV')
    parser.add_argument('--pictures', action='store_true', help='comparison pictures too (needs --out)')


def run(args: argparse.Namespace) -> int:
    """Measure and print the table."""
    if args.pictures and args.out is None:
        raise UserError('--pictures needs a folder to write to: add -o results/benchmark.')
    if args.tile is not None and args.tile < 1:
        raise UserError(f'--tile {args.tile}: tiles have a side of at least 1 LR pixel; 256 is common.')
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.evaluation.benchmark.tabulate import tabulate_networks

    tabulate_networks(
        args.opt,
        args.out,
        args.pictures,
        weights=args.weights,
        self_ensemble=args.self_ensemble,
        pyiqa=args.pyiqa,
        compare=tuple(args.compare) if args.compare else None,
        tile=args.tile,
        ntire=args.ntire,
    )
    return 0
