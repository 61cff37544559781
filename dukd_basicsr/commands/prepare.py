"""`basicsr prepare`."""

from __future__ import annotations

import argparse
from pathlib import Path

from dukd_basicsr.errors import UserError

HELP = 'Turn a folder of HR images into what the options files name.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Images, names and sizes."""
    parser.add_argument('source', type=Path, metavar='FOLDER', help='folder of HR images')
    parser.add_argument('--preset', choices=['div2k', 'benchmark'], help='official DIV2K folders; a set of test images')
    parser.add_argument('--name', help='name of the data set (default: the name of FOLDER)')
    parser.add_argument('-o', '--out', type=Path, default=Path('datasets'), help='default: datasets')
    parser.add_argument('--scale', type=int, nargs='+', default=[2, 3, 4], choices=[2, 3, 4, 8], help='default: 2 3 4')
    parser.add_argument('--size', type=int, default=480, help='side of an HR sub-image, default 480')
    parser.add_argument('--step', type=int, default=240, help='distance of two sub-images, default 240')
    parser.add_argument('--min-size', type=int, default=192, help='skip images with a shorter side, default 192')
    parser.add_argument('--workers', type=int, help='threads, default: one a core')
    parser.add_argument('--codec', choices=['png', 'webp', 'bmp'], default='png', help='of the LMDBs, all lossless: '
                        'webp is the smallest, bmp the largest and quickest to train from; default png')  # fmt: skip


def run(args: argparse.Namespace) -> int:
    """Prepare a training set or a test set."""
    from datasets_prep import prepare

    name = args.name or args.source.resolve().name
    if args.preset == 'benchmark' and args.codec != 'png':
        raise UserError(f'--codec {args.codec}: a test set is a folder of PNGs; leave it out with --preset benchmark.')
    if args.preset == 'div2k':
        prepare.prepare_div2k(args.source, args.out, args.scale, args.size, args.step, args.workers, args.codec)
    elif args.preset == 'benchmark':
        prepare.prepare_benchmark(args.source, args.out, name, args.scale, args.workers)
    else:
        prepare.prepare_training(
            args.source, args.out, name, args.scale, args.size, args.step, args.min_size, args.workers, args.codec
        )
    return 0
