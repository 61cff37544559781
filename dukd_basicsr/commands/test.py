"""`basicsr test`."""

from __future__ import annotations

import argparse

from dukd_basicsr.commands import runs as run_options

HELP = 'Test the student of an options file; images go to results/.'
add_arguments = run_options.add_arguments


def run(args: argparse.Namespace) -> int:
    """BasicSR's test."""
    opt = run_options.checked(args, is_train=False)
    from dukd_basicsr.commands import pipeline_tmp as pipeline

    pipeline.test(opt, run_options.stock_argv(args))
    return 0
