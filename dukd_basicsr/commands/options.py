"""`basicsr options`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = 'List the shipped options files, or copy one to change it.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the two words, `list` and `copy`."""
    words = parser.add_subparsers(dest='word', required=True, metavar='list|copy')
    words.add_parser('list', help='names, and what each is for')
    copy = words.add_parser('copy', help='copy one; never overwrites')
    copy.add_argument('name', metavar='NAME', help='as listed')
    copy.add_argument('target', type=Path, metavar='DEST', nargs='?', default=Path(),
                      help='folder or new file, default: the current folder')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """List or copy."""
    from dukd_basicsr.options import shipped

    if args.word == 'copy':
        sys.stdout.write(f'{shipped.copy(args.name, args.target)}\n')
        return 0
    known = shipped.list_files()
    width = max(map(len, known))
    sys.stdout.write(''.join(f'{name:<{width}}  {line}\n' for name, line in known.items()))
    return 0
