"""The `basicsr` command. Light to import: help and option errors answer before torch would be loaded."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dukd_basicsr import __version__
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

    def command(name: str, run: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.set_defaults(run=run)
        return sub

    train = command('train', _train, 'Train the student of an options file.')
    _pipeline_arguments(train)
    train.add_argument('--check', action='store_true', help='run one iteration on random images, report, and stop')
    _pipeline_arguments(command('test', _test, 'Test the student of an options file; images go to results/.'))
    _prepare_arguments(command('prepare', _prepare, 'Turn a folder of HR images into what the options files name.'))
    _upcycle_arguments(command('upcycle', _upcycle, 'Run the teacher of an options file over its training set, once: '
                               'training from that needs no teacher.'))  # fmt: skip
    _benchmark_arguments(command('benchmark', _benchmark, 'PSNR, SSIM, size and speed of networks in one table.'))
    _demo_arguments(command('demo', _demo, 'Distil a small real teacher on embedded photographs: table and pictures.'))
    _convert_arguments(command('convert', _convert, 'Bring a checkpoint of another layout into BasicSR\'s, and print '
                               'the network_t that fits it.'))  # fmt: skip
    command('doctor', _doctor, 'Versions, devices, what is missing and the command that mends it.')
    return parser


def _pipeline_arguments(sub: argparse.ArgumentParser) -> None:
    """BasicSR's own flags."""
    sub.add_argument('-opt', type=Path, required=True, metavar='FILE', help='options file (YAML)')
    sub.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='job launcher')
    sub.add_argument('--auto_resume', action='store_true', help='go on from the newest training state, if any')
    sub.add_argument('--debug', action='store_true', help='log every iteration, validate and save every eighth')
    sub.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    sub.add_argument('--force_yml', nargs='+', default=[], metavar='K:K=V', help='e.g. train:total_iter=1000')


def _prepare_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument('source', type=Path, metavar='FOLDER', help='folder of HR images')
    sub.add_argument('--preset', choices=['div2k', 'benchmark'], help='official DIV2K folders; a set of test images')
    sub.add_argument('--name', help='name of the data set (default: the name of FOLDER)')
    sub.add_argument('-o', '--out', type=Path, default=Path('datasets'), help='default: datasets')
    sub.add_argument('--scale', type=int, nargs='+', default=[2, 3, 4], choices=[2, 3, 4, 8], help='default: 2 3 4')
    sub.add_argument('--size', type=int, default=480, help='side of an HR sub-image, default 480')
    sub.add_argument('--step', type=int, default=240, help='distance of two sub-images, default 240')
    sub.add_argument('--min-size', type=int, default=192, help='skip images with a shorter side, default 192')
    sub.add_argument('--workers', type=int, help='threads, default: one a core')
    sub.add_argument('--codec', choices=['png', 'webp', 'bmp'], default='png', help='of the LMDBs, all lossless: webp '
                     'is the smallest, bmp the largest and quickest to train from; default png')  # fmt: skip


def _upcycle_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument('-opt', type=Path, required=True, metavar='FILE', help='options file (YAML)')
    sub.add_argument('-o', '--out', type=Path, metavar='LMDB',
                     help='default: dataroot_upcycled, or <name of the LR LMDB>_upcycled.lmdb beside it')  # fmt: skip
    sub.add_argument('--per_image', type=int, default=4, metavar='N', help='zoom-in crops of an image, default 4')
    sub.add_argument('--size', type=int, help='their side in pixels, default: the LR patch')
    sub.add_argument('--precision', choices=['fp32', 'bf16', 'fp16'],
                     help='of the teacher, default: train.teacher_opt.precision, or fp32')  # fmt: skip
    sub.add_argument('--batch_size', type=int, metavar='N', help='images at once, default 8 on a GPU, 2 on a CPU')
    sub.add_argument('--force_yml', nargs='+', default=[], metavar='K:K=V', help='e.g. train:dukd_opt:zoom_out=~')


def _benchmark_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument('-opt', type=Path, nargs='+', required=True, metavar='FILE',
                     help='options files; each adds its student, and its teacher once')  # fmt: skip
    sub.add_argument('-o', '--out', type=Path, help='folder for the table as Markdown, JSON and CSV')
    sub.add_argument('--pictures', action='store_true', help='comparison pictures too (needs --out)')


def _demo_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument('--iterations', type=int, default=1200, help='of each of the three runs, default 1200')


def _convert_arguments(sub: argparse.ArgumentParser) -> None:
    sub.add_argument('source', type=Path, metavar='SRC', help='checkpoint: .pth, .pt or .safetensors')
    sub.add_argument('target', type=Path, metavar='DST', help='new file: .pth or .safetensors')
    sub.add_argument('--arch', metavar='NAME', help='what SRC must be, e.g. EDSR (default: what it is recognised as)')
    sub.add_argument('--param_key', default='params', metavar='KEY', help='network in SRC, default: params')


def _checked_options(args: argparse.Namespace, is_train: bool) -> dict:
    """The options of a run after every check that needs no torch."""
    from dukd_basicsr import options

    opt = options.apply_overrides(options.load(args.opt), args.force_yml)
    for warning in options.check(opt, args.opt, is_train):
        sys.stderr.write(f'basicsr {args.command}: warning: {warning}\n')
    try:
        options.check_files(opt, Path.cwd(), is_train)
    except UserError as error:
        if not getattr(args, 'check', False):
            raise
        for message in error.messages:
            sys.stderr.write(f'basicsr {args.command}: warning: {message}\n')
    return opt


def _train(args: argparse.Namespace) -> int:
    opt = _checked_options(args, is_train=True)
    if args.check:
        from dukd_basicsr import dry_run

        dry_run.run(opt)
        return 0
    from dukd_basicsr import pipeline

    pipeline.train(opt, _stock_argv(args))
    return 0


def _test(args: argparse.Namespace) -> int:
    opt = _checked_options(args, is_train=False)
    from dukd_basicsr import pipeline

    pipeline.test(opt, _stock_argv(args))
    return 0


def _stock_argv(args: argparse.Namespace) -> list[str]:
    """The arguments as BasicSR's parse_options reads them."""
    argv = ['-opt', str(args.opt), '--launcher', args.launcher, '--local_rank', str(args.local_rank)]
    argv += ['--auto_resume'] * args.auto_resume + ['--debug'] * args.debug
    return argv + (['--force_yml', *args.force_yml] if args.force_yml else [])


def _prepare(args: argparse.Namespace) -> int:
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


def _upcycle(args: argparse.Namespace) -> int:
    from dukd_basicsr import options
    from dukd_basicsr.options.upcycled_rules import labelling_options

    opt = options.apply_overrides(options.load(args.opt), args.force_yml)
    options.check(opt, args.opt, is_train=True)
    opt = labelling_options(opt)
    options.check_files(opt, Path.cwd(), is_train=True)
    from dukd_basicsr.cache.run import Request, run

    run(opt, Request(args.out, args.per_image, args.size, args.precision, args.batch_size))
    return 0


def _benchmark(args: argparse.Namespace) -> int:
    from dukd_basicsr import benchmark

    if args.pictures and args.out is None:
        raise UserError('--pictures needs a folder to write to: add -o results/benchmark.')
    benchmark.run(args.opt, args.out, args.pictures)
    return 0


def _demo(args: argparse.Namespace) -> int:
    from dukd_basicsr import demo

    demo.run(Path.cwd(), args.iterations)
    return 0


def _convert(args: argparse.Namespace) -> int:
    from dukd_basicsr import plugin  # noqa: F401  first: makes basicsr importable
    from dukd_basicsr.layouts import convert

    convert.run(args.source, args.target, args.arch, args.param_key)
    return 0


def _doctor(_: argparse.Namespace) -> int:
    from dukd_basicsr import doctor

    return doctor.run()
