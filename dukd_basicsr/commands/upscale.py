"""`basicsr upscale`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

HELP = 'Enlarge images of any kind, and folders of them, by a checkpoint or an exported file.'


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the images, the folder of the results, and the network that enlarges them."""
    parser.add_argument('images', type=Path, nargs='+', metavar='IMAGE', help='files, and folders with sub-folders')
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='DIR', help='folder of the results')
    parser.add_argument('--weights', type=Path, required=True, metavar='FILE', help='checkpoint or exported .onnx')
    parser.add_argument(
        '-opt', type=Path, metavar='FILE', help='options file with the network, if the weights do not tell it'
    )
    parser.add_argument(
        '--tile', type=int, metavar='N', help='compute in tiles of NxN pixels of the image; default: as memory allows'
    )
    parser.add_argument('--format', choices=['png', 'jpg', 'webp'], default='png', help='of the results, default png')
    parser.add_argument('--compare', action='store_true', help='draw each beside bicubic, in DIR/compare')
    there = parser.add_mutually_exclusive_group()
    there.add_argument('--force', action='store_true', help='write over results that are there')
    there.add_argument('--skip-existing', action='store_true', help='leave images alone whose results are there')
    parser.add_argument('--device', choices=['cpu', 'cuda'], help='default: cuda where there is one')


def run(args: argparse.Namespace) -> int:
    """Enlarge all images."""
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.upscale.upscale import upscale_images

    upscale_images(
        args.images,
        args.out,
        args.weights,
        args.opt,
        tile=args.tile,
        kind=args.format,
        compare=args.compare,
        force=args.force,
        skip_existing=args.skip_existing,
        device=args.device,
    )
    return 0
