"""What `train` and `test` share: BasicSR's flags, the options that they give, and the pipelines that they start."""

from __future__ import annotations

import argparse
import shlex
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dukd_basicsr.training.launch import Launch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare BasicSR's own flags."""
    parser.add_argument('-opt', type=Path, required=True, metavar='FILE', help='options file (YAML)')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='job launcher')
    parser.add_argument('--auto_resume', action='store_true', help='go on from the newest training state, if any')
    parser.add_argument('--debug', action='store_true', help='log every iteration, validate and save every eighth')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument('--force_yml', nargs='+', default=[], metavar='K:K=V', help='e.g. train:total_iter=1000')


def train(args: argparse.Namespace) -> None:
    """Read and check the options once, and train with them.

    Raises:
        UserError: A mistake in them, in the files that they name, or in what they ask of this machine.
        RunError: The run failed on the way.
        RunStopped: A signal has stopped it; everything is saved.
    """
    opt, launch = read(args, is_train=True)
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.evaluation.metrics import check_perceptual_metrics
    from dukd_basicsr.training import pipeline

    check_perceptual_metrics((opt.get('val') or {}).get('metrics'))
    pipeline.train(opt, launch)


def test(args: argparse.Namespace) -> None:
    """As `train`, for BasicSR's test."""
    opt, launch = read(args, is_train=False)
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.evaluation.metrics import check_perceptual_metrics
    from dukd_basicsr.training import pipeline

    check_perceptual_metrics((opt.get('val') or {}).get('metrics'))
    pipeline.test(opt, launch)


def read(args: argparse.Namespace, is_train: bool, dry_run: bool = False) -> tuple[dict[str, Any], Launch]:
    """Read the options of a run with every check that needs no torch.

    Args:
        args (argparse.Namespace): The parsed command line.
        is_train (bool): Training, not testing.
        dry_run (bool): Files that are missing are warnings.

    Raises:
        UserError: What is wrong with them, or with the files that they name.
    """
    from dukd_basicsr.training.launch import Launch, read_options

    launch = Launch(args.opt, Path.cwd(), args.launcher, args.auto_resume, args.debug, _name_command(args))
    return read_options(launch, args.force_yml, is_train, f'basicsr {args.command}', dry_run), launch


def _name_command(args: argparse.Namespace) -> str:
    """The command that goes on with a run, with everything that changes it."""
    words = ['basicsr', args.command]
    for file in args.own_modules:
        words += ['--import', str(file)]
    words += ['-opt', str(args.opt)]
    words += ['--launcher', args.launcher] if args.launcher != 'none' else []
    words += ['--debug'] if args.debug else []
    words += ['--force_yml', *args.force_yml] if args.force_yml else []
    return shlex.join([*words, '--auto_resume'])
