"""`basicsr upcycle`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

HELP = 'Run the teacher of an options file over its training set, once: training from that needs no teacher.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options file, the cache, and what the teacher labels in it."""
    parser.add_argument('-opt', type=Path, required=True, metavar='FILE', help='options file (YAML)')
    parser.add_argument(
        '-o',
        '--out',
        type=Path,
        metavar='LMDB',
        help='default: dataroot_upcycled, or <name of the LR LMDB>_upcycled.lmdb beside it',
    )
    parser.add_argument('--per_image', type=int, default=4, metavar='N', help='zoom-in crops of an image, default 4')
    parser.add_argument('--size', type=int, help='their side in pixels, default: the LR patch')
    parser.add_argument(
        '--precision',
        choices=['fp32', 'bf16', 'fp16'],
        help='of the teacher, default: train.teacher_opt.precision, or fp32',
    )
    parser.add_argument('--batch_size', type=int, metavar='N', help='images at once, default 8 on a GPU, 2 on a CPU')
    parser.add_argument('--force_yml', nargs='+', default=[], metavar='K:K=V', help='e.g. train:dukd_opt:zoom_out=~')


def run(args: argparse.Namespace) -> int:
    """Write or complete the cache."""
    from dukd_basicsr import options
    from dukd_basicsr.data.checks.files import check_files
    from dukd_basicsr.options.rules.teacher import make_labelling_options

    opt = options.apply_overrides(options.load(args.opt), args.force_yml)
    options.check(opt, args.opt, is_train=True)
    opt = make_labelling_options(opt)
    check_files(opt, Path.cwd(), is_train=True)
    import_module('dukd_basicsr.plugin')  # makes BasicSR importable
    from dukd_basicsr.distillation.labelling.run import Request, run

    run(opt, Request(args.out, args.per_image, args.size, args.precision, args.batch_size))
    return 0
