"""`basicsr train`."""

from __future__ import annotations

import argparse

from dukd_basicsr.commands import runs as run_options

HELP = 'Train the student of an options file.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BasicSR's flags, and --check."""
    run_options.add_arguments(parser)
    parser.add_argument('--check', action='store_true', help='run one iteration on random images, report, and stop')


def run(args: argparse.Namespace) -> int:
    """Train, or try one iteration."""
    opt = run_options.checked(args, is_train=True)
    if args.check:
        from dukd_basicsr.training import dry_run

        dry_run.run(opt)
        return 0
    from dukd_basicsr.commands import pipeline_tmp as pipeline

    pipeline.train(opt, run_options.stock_argv(args))
    return 0
