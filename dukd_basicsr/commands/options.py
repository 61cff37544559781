"""`basicsr options`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = 'List the shipped options files, copy one to change it, or write the JSON Schema of them all.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the words `list`, `copy` and `schema`."""
    words = parser.add_subparsers(dest='word', required=True, metavar='list|copy|schema')
    words.add_parser('list', help='names, and what each is for')
    words.add_parser('schema', help='print the JSON Schema (2020-12) of options files, for editors')
    copy = words.add_parser('copy', help='copy one; never overwrites')
    copy.add_argument('name', metavar='NAME', help='as listed')
    copy.add_argument('target', type=Path, metavar='DEST', nargs='?', default=Path(),
                      help='folder or new file, default: the current folder')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """List, copy or describe."""
    from dukd_basicsr.options import shipped

    if args.word == 'copy':
        sys.stdout.write(f'{shipped.copy(args.name, args.target)}\n')
        return 0
    if args.word == 'schema':
        from dukd_basicsr.options.json_schema import write_schema

        sys.stdout.write(write_schema())
        return 0
    known = shipped.list_files()
    width = max(map(len, known))
    sys.stdout.write(''.join(f'{name:<{width}}  {line}\n' for name, line in known.items()))
    return 0
