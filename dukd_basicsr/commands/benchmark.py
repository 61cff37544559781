"""`basicsr benchmark`."""

from __future__ import annotations

import argparse
from pathlib import Path

from dukd_basicsr.errors import UserError

HELP = 'PSNR, SSIM, size and speed of networks in one table.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Networks and output."""
    parser.add_argument('-opt', type=Path, nargs='+', required=True, metavar='FILE',
                     help='options files; each adds its student, and its teacher once')  # fmt: skip
    parser.add_argument('-o', '--out', type=Path, help='folder for the table as Markdown, JSON and CSV')
    parser.add_argument('--pictures', action='store_true', help='comparison pictures too (needs --out)')


def run(args: argparse.Namespace) -> int:
    """Measure and print the table."""
    from dukd_basicsr import benchmark

    if args.pictures and args.out is None:
        raise UserError('--pictures needs a folder to write to: add -o results/benchmark.')
    benchmark.run(args.opt, args.out, args.pictures)
    return 0
