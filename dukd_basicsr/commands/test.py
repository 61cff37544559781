"""`basicsr test`."""

from __future__ import annotations

import argparse

from dukd_basicsr.commands import runs

HELP = 'Test the student of an options file; images go to results/.'
add_arguments = runs.add_arguments


def run(args: argparse.Namespace) -> int:
    """Test by BasicSR's own pipeline."""
    runs.test(args)
    return 0
