"""`basicsr demo`."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = 'Distil a trained student further in equal seconds, on embedded photographs: tables and pictures.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare how long each run trains."""
    parser.add_argument('--iterations', type=int, default=1500,
                     help='of the student alone, default 1500; the others have fewer, for equal seconds')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Run the demo in the current directory."""
    from dukd_basicsr import plugin  # noqa: F401  first: makes basicsr importable
    from dukd_basicsr.commands.demo import stages

    stages.run(Path.cwd(), args.iterations)
    return 0
