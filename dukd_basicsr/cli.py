"""The `basicsr` command. Light to import: help and option errors answer before torch would be loaded."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from dukd_basicsr import __version__
from dukd_basicsr.commands import COMMANDS, WITH_OWN_MODULES
from dukd_basicsr.commands import user_modules as own_modules
from dukd_basicsr.errors import RunError, UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv (Sequence[str] | None): Arguments without the program's name; default: the process's own.

    Returns:
        int: Exit code: 0 done, 1 failed on the way, 2 a mistake in what was asked for (both said in a sentence),
            75 stopped by a signal and resumable, 130 interrupted at once.
    """
    parser = build_parser()
    args = parser.parse_args(sys.argv[1:] if argv is None else list(argv))
    try:
        own_modules.load(getattr(args, 'own_modules', ()))
        return args.run(args)
    except UserError as error:
        if os.environ.get('RANK', '0') == '0' or isinstance(error, RunError):
            for message in error.messages:
                sys.stderr.write(f'basicsr {args.command}: {message}\n')
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write(f'\nbasicsr {args.command}: interrupted.\n')
        return 130


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets `run`."""
    parser = argparse.ArgumentParser(prog='basicsr', description='BasicSR with knowledge distillation (DUKD).')
    parser.add_argument('--version', action='version', version=f'dukd-basicsr {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND')
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.add_arguments(sub)
        if name in WITH_OWN_MODULES:
            own_modules.add_argument(sub)
        sub.set_defaults(run=command.run)
    return parser
