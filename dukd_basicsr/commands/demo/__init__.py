"""`basicsr demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'Distil a small real teacher on embedded photographs: table and pictures.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """How long."""
    parser.add_argument('--iterations', type=int, default=1200, help='of each of the three runs, default 1200')


def run(args: argparse.Namespace) -> int:
    """Run the demo in the current directory."""
    from dukd_basicsr.commands.demo import stages

    stages.run(Path.cwd(), args.iterations)
    return 0
