"""Options files and the command line, read as BasicSR reads them, as UTF-8 and without running what they contain."""

from __future__ import annotations

import argparse
import sys
import time
from collections import OrderedDict
from pathlib import Path
from typing import Any

import yaml

from dukd_basicsr.options import apply_overrides, load


class PlainDumper(yaml.SafeDumper):
    """Writes OrderedDict as a plain mapping."""


PlainDumper.add_representer(OrderedDict, lambda dumper, data: dumper.represent_dict(data.items()))


def ordered_yaml() -> tuple[type, type]:
    """YAML's Loader and Dumper for options files.

    Defect: basicsr/utils/options.py:18-20 takes yaml's CLoader, which runs what a file tells it to run.
    Symptom: `name: !!python/object/apply:os.system [...]` in an options file is executed.
    Threads: none upstream.
    Here: the safe ones, with the same order of keys.
    """
    return getattr(yaml, 'CSafeLoader', yaml.SafeLoader), PlainDumper


def parse_options(root_path: str, is_train: bool = True) -> tuple[dict[str, Any], argparse.Namespace]:
    """Parse the command line and its options file, join the process group, seed: BasicSR's own, in its own order.

    Defects of basicsr/utils/options.py: :77 evaluates a list of `--force_yml` and :128 executes its key as Python;
    :94 opens the file in the locale's encoding; :114-128 seeds *before* `--force_yml manual_seed=...` is looked at;
    those of `ordered_yaml`, `parse_arguments` and `init_dist`.
    Symptoms: `--force_yml 'train:a=[print(1)]'` and `'a"];print(1);opt["b=1'` run, a wrong key is a bare `KeyError`;
    `UnicodeDecodeError` on a comment that is not ASCII, on Windows (cp1252, gbk) and under LC_ALL=C.
    Threads: none upstream; traiNNer-redux and neosr open their files as UTF-8.
    Here: the same flags and the same keys in the returned options, by `options.load` and `options.apply_overrides`.

    Args:
        root_path (str): The folder of `experiments/` and `results/`.
        is_train (bool): Training, not testing.

    Returns:
        tuple: The options and the command line's arguments.

    Raises:
        UserError: An options file or an override that cannot be read; `--launcher pytorch` without torchrun.
    """
    from dukd_basicsr.training.launch import Launch, complete_options

    args = parse_arguments(sys.argv[1:])
    opt = apply_overrides(load(Path(args.opt)), args.force_yml or [])
    launch = Launch(Path(args.opt), Path(root_path), args.launcher, args.auto_resume, args.debug)
    return complete_options(opt, launch, is_train), args


def parse_arguments(argv: list[str]) -> argparse.Namespace:
    """Parse BasicSR's flags.

    Defect: basicsr/utils/options.py:88 knows only `--local_rank`; `python -m torch.distributed.launch` of torch 2.0
    and later passes `--local-rank`.
    Symptom: `error: unrecognized arguments: --local-rank=0`.
    Threads: XPixelGroup/BasicSR#626, AESOP-SR#7.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument('-opt', type=str, required=True, help='Path to option YAML file.')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='job launcher')
    parser.add_argument('--auto_resume', action='store_true')
    parser.add_argument('--debug', action='store_true')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    parser.add_argument(
        '--force_yml', nargs='+', default=None, help='Force to update yml files. Examples: train:ema_decay=0.999'
    )
    return parser.parse_args(argv)


def copy_opt_file(opt_file: str, experiments_root: str) -> None:
    """Copy the options file into the experiment, under a heading with the time and the command; rank 0 only.

    Defect and symptom: basicsr/utils/options.py:190 reads and writes the copy in the locale's encoding, as
    `parse_options` does. Here: UTF-8.
    """
    from basicsr.utils.dist_util import get_dist_info

    if get_dist_info()[0] != 0:
        return
    head = f'# GENERATE TIME: {time.asctime()}\n# CMD:\n# {" ".join(sys.argv)}\n\n'
    text = Path(opt_file).read_text(encoding='utf-8-sig')
    # Under LC_ALL=C a file name on the command line that is not ASCII holds surrogates.
    Path(experiments_root, Path(opt_file).name).write_text(head + text, encoding='utf-8', errors='surrogateescape')
