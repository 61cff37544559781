"""`basicsr prepare`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from dukd_basicsr.errors import UserError

HELP = 'Turn a folder of HR images into what the options files name.'

_FOLDERS = {'benchmark': 'a test set', 'real-test': 'a test set', 'real': 'a training set for RealESRGANDataset'}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the images, the name of the data set, and the sizes of its sub-images."""
    parser.add_argument('source', type=Path, metavar='FOLDER', help='folder of HR images')
    parser.add_argument(
        '--preset',
        choices=['div2k', 'benchmark', 'real', 'real-test'],
        help='official DIV2K '
        'folders; a set of test images; HR images at several sizes for Real-ESRGAN; degraded test '
        'images',
    )
    parser.add_argument('--name', help='name of the data set (default: the name of FOLDER)')
    parser.add_argument('-o', '--out', type=Path, default=Path('datasets'), help='default: datasets')
    parser.add_argument('--scale', type=int, nargs='+', choices=[2, 3, 4, 8], help='default: 2 3 4; real-test: 4')
    parser.add_argument('--size', type=int, help='side of an HR sub-image, default 480, real: 400')
    parser.add_argument('--step', type=int, help='distance of two sub-images, default 240, real: 200')
    parser.add_argument('--min-size', type=int, default=192, help='skip images with a shorter side, default 192')
    parser.add_argument('--seed', type=int, default=0, help='of the degradation, for real-test, default 0')
    parser.add_argument('--workers', type=int, help='threads, default: one a core')
    parser.add_argument(
        '--codec',
        choices=['png', 'webp', 'bmp'],
        default='png',
        help='of the LMDBs, all lossless: '
        'webp is the smallest, bmp the largest and quickest to train from; default png',
    )


def run(args: argparse.Namespace) -> int:
    """Prepare a training set or a test set."""
    from dukd_basicsr.data.locks import hold

    name = args.name or args.source.resolve().name
    scales, (size, step) = args.scale or [2, 3, 4], _grid(args, 480)
    if args.preset in _FOLDERS and args.codec != 'png':
        raise UserError(
            f'--codec {args.codec}: {_FOLDERS[args.preset]} is a folder of PNGs; leave it out with '
            f'--preset {args.preset}.'
        )
    with hold(args.out / ('DIV2K' if args.preset == 'div2k' else name)):
        _prepare(args, name, scales, size, step)
    return 0


def _prepare(args: argparse.Namespace, name: str, scales: list[int], size: int, step: int) -> None:
    from datasets_prep import prepare

    if args.preset == 'div2k':
        prepare.prepare_div2k(args.source, args.out, scales, size, step, args.workers, args.codec)
    elif args.preset == 'benchmark':
        prepare.prepare_benchmark(args.source, args.out, name, scales, args.workers)
    elif args.preset in ('real', 'real-test'):
        _run_real(args, name)
    else:
        prepare.prepare_training(
            args.source, args.out, name, scales, size, step, args.min_size, args.workers, args.codec
        )


def _run_real(args: argparse.Namespace, name: str) -> None:
    import_module('dukd_basicsr.plugin')  # makes BasicSR importable, which the other presets do without
    from datasets_prep import real

    if args.preset == 'real':
        real.prepare_real(args.source, args.out, name, *_grid(args, 400), args.min_size, args.workers)
        return
    for scale in args.scale or [4]:
        real.prepare_real_test(args.source, args.out, name, scale, args.seed, args.workers)


def _grid(args: argparse.Namespace, size: int) -> tuple[int, int]:
    """Side and distance of sub-images, as given or by default."""
    return size if args.size is None else args.size, size // 2 if args.step is None else args.step
