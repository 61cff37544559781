"""`basicsr train`."""

from __future__ import annotations

import argparse
from importlib import import_module

from dukd_basicsr.commands import runs

HELP = 'Train the student of an options file.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare BasicSR's flags, and --check."""
    runs.add_arguments(parser)
    parser.add_argument('--check', action='store_true', help='run one iteration on random images, report, and stop')


def run(args: argparse.Namespace) -> int:
    """Train, or try one iteration."""
    if not args.check:
        runs.train(args)
        return 0
    opt, _ = runs.read(args, is_train=True, dry_run=True)
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.options.rules.runs import STRICT_MODELS
    from dukd_basicsr.training import dry_network, dry_run

    if opt['model_type'] in STRICT_MODELS:
        dry_run.run(opt)
    else:
        dry_network.run(opt)
    return 0
