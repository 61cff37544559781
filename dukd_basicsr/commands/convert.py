"""`basicsr convert`."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from dukd_basicsr.errors import UserError

HELP = "Bring a checkpoint of another layout into BasicSR's, or an options file of the paper's authors into ours."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the checkpoint or options file, and the new file."""
    parser.add_argument(
        'source', type=Path, metavar='SRC', help='checkpoint: .pth, .pt or .safetensors; options file: .yml'
    )
    parser.add_argument(
        'target',
        type=Path,
        metavar='DST',
        nargs='?',
        help='new file: .pth or .safetensors; .yml (default: to the terminal)',
    )
    parser.add_argument(
        '--arch', metavar='NAME', help='what SRC must be, e.g. EDSR (default: what it is recognised as)'
    )
    parser.add_argument('--param_key', default='params', metavar='KEY', help='network in SRC, default: params')


def run(args: argparse.Namespace) -> int:
    """Convert one checkpoint, or translate one options file."""
    if args.source.suffix in ('.yml', '.yaml'):
        _translate(args.source, args.target)
        return 0
    if args.target is None:
        raise UserError(f'{args.source}: name the new file too, e.g. basicsr convert {args.source} new.pth.')
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.networks import convert

    convert.convert_checkpoint(args.source, args.target, args.arch, args.param_key)
    return 0


def _translate(source: Path, target: Path | None) -> None:
    """Write a file that `options.check` accepts, and what is something else now on stderr and in its head.

    Raises:
        UserError: It cannot be translated, what comes out is not accepted, or there is a file already.
    """
    import yaml

    from dukd_basicsr import options
    from dukd_basicsr.data.atomic import write_file
    from dukd_basicsr.options.translate import refuse_others, translate

    if target is not None and (target.exists() or target.suffix not in ('.yml', '.yaml')):
        raise UserError(
            f'{target}: {"there is such a file already" if target.exists() else "no .yml"}; name a new .yml.'
        )
    opt = options.load(source)
    refuse_others(opt, source)
    new, sentences = translate(opt)
    sentences += options.check(new, source, is_train='train' in (new.get('datasets') or {}))
    for sentence in sentences:
        sys.stderr.write(f'basicsr convert: {sentence}\n')
    head = [f'Translated by basicsr convert from {source.name}.', *sentences]
    text = ''.join(f'# {line}\n' for line in head) + yaml.safe_dump(new, sort_keys=False, allow_unicode=True)
    if target is None:
        sys.stdout.write(text)
    else:
        write_file(target, text.encode())
