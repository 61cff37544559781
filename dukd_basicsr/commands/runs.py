"""What `train` and `test` share: BasicSR's flags, and every check of an options file that needs no torch."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dukd_basicsr.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """BasicSR's own flags."""
    parser.add_argument('-opt', type=Path, required=True, metavar='FILE', help='options file (YAML)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='job launcher')
    parser.add_argument('--auto_resume', action='store_true', help='go on from the newest training state, if any')
    parser.add_argument('--debug', action='store_true', help='log every iteration, validate and save every eighth')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument('--force_yml', nargs='+', default=[], metavar='K:K=V', help='e.g. train:total_iter=1000')


def checked(args: argparse.Namespace, is_train: bool) -> dict:
    """The options of a run after every check that needs no torch.

    Raises:
        UserError: What is wrong with them, or with the files that they name (a warning only under --check).
    """
    from dukd_basicsr import options
    from dukd_basicsr.data.checks.files import check_files

    opt = options.apply_overrides(options.load(args.opt), args.force_yml)
    for warning in options.check(opt, args.opt, is_train):
        sys.stderr.write(f'basicsr {args.command}: warning: {warning}\n')
    try:
        check_files(opt, Path.cwd(), is_train)
    except UserError as error:
        if not getattr(args, 'check', False):
            raise
        for message in error.messages:
            sys.stderr.write(f'basicsr {args.command}: warning: {message}\n')
    return opt


def stock_argv(args: argparse.Namespace) -> list[str]:
    """The arguments as BasicSR's parse_options reads them."""
    argv = ['-opt', str(args.opt), '--launcher', args.launcher, '--local_rank', str(args.local_rank)]
    argv += ['--auto_resume'] * args.auto_resume + ['--debug'] * args.debug
    return argv + (['--force_yml', *args.force_yml] if args.force_yml else [])
