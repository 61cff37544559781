"""The `basicsr` command. Light to import: help and option errors answer before torch would be loaded."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence

from dukd_basicsr import __version__
from dukd_basicsr.commands import COMMANDS, WITH_OWN_MODULES, user_modules
from dukd_basicsr.commands.parser import CommandParser
from dukd_basicsr.errors import UserError, did_you_mean, report


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        argv (Sequence[str] | None): Arguments without the program's name; default: the process's own.

    Returns:
        int: Exit code: 0 done, 1 failed on the way, 2 a mistake in what was asked for (both said in a sentence),
            75 stopped by a signal and resumable, 130 interrupted at once.
    """
    for name in ('stdout', 'stderr'):
        if getattr(sys, name) is None:  # closed by the shell; a run goes on without
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), 'w'))
    program = 'basicsr'
    try:
        words = list(user_modules.repeat_flag(sys.argv[1:] if argv is None else argv))
        program = ' '.join(['basicsr', *words[:1]])
        code = _run(words)
        sys.stdout.flush()
        return code
    except UserError as error:
        return report(error, program)
    except KeyboardInterrupt:
        sys.stderr.write(f'\n{program}: interrupted.\n')
        return 130
    except OSError as error:
        if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EPIPE, errno.EBADF):
            raise
        return _give_up_stdout(program, error)


def _run(words: list[str]) -> int:
    parser = build_parser()
    if not words:
        parser.print_help()
        return 0
    if not words[0].startswith('-') and words[0] not in COMMANDS:
        raise UserError(f'there is no command "{words[0]}".{did_you_mean(words[0], COMMANDS)}')
    args = parser.parse_args(words)
    try:
        os.getcwd()
    except FileNotFoundError:
        if args.run is not COMMANDS['doctor'].run:  # which reports that too
            raise UserError('the current folder has been removed; change to one that is there.') from None
    user_modules.load(getattr(args, 'own_modules', ()))
    return args.run(args)


def _give_up_stdout(program: str, error: OSError) -> int:
    """Say that the output cannot be written, and let Python flush the rest of it into nothing when it ends."""
    if error.errno != errno.EPIPE:  # as by `| head`: nobody reads on
        sys.stderr.write(f'{program}: the output cannot be written ({error.strerror}).\n')
    with open(os.devnull, 'w') as nothing:
        os.dup2(nothing.fileno(), sys.stdout.fileno())
    return 1


def build_parser() -> argparse.ArgumentParser:
    """Build the parser of all commands; each sets `run`."""
    parser = argparse.ArgumentParser(prog='basicsr', description='BasicSR with knowledge distillation (DUKD).')
    parser.add_argument('--version', action='version', version=f'dukd-basicsr {__version__}')
    commands = parser.add_subparsers(dest='command', required=True, metavar='COMMAND', parser_class=CommandParser)
    for name, command in COMMANDS.items():
        sub = commands.add_parser(name, help=command.HELP, description=command.HELP, allow_abbrev=False)
        command.add_arguments(sub)
        if name in WITH_OWN_MODULES:
            user_modules.add_argument(sub)
        sub.set_defaults(run=command.run)
    return parser
