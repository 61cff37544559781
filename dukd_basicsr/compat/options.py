"""Option files and the command line, read as BasicSR reads them, as UTF-8 and without running what they contain."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import OrderedDict
from os import path as osp
from pathlib import Path
from typing import Any

import yaml

from dukd_basicsr.errors import UserError
from dukd_basicsr.options import safe_yaml as plain_yaml
from dukd_basicsr.options.overrides import force_yml, set_by_path

__all__ = ['copy_opt_file', 'force_yml', 'normalise_argv', 'ordered_yaml', 'parse_options', 'read_option_file',
           'set_by_path']  # fmt: skip


class _Loader(getattr(yaml, 'CSafeLoader', yaml.SafeLoader)):  # type: ignore[misc]
    """Plain data only; mappings in the order of the file."""


class _Dumper(getattr(yaml, 'CSafeDumper', yaml.SafeDumper)):  # type: ignore[misc]
    """Writes OrderedDict as a plain mapping."""


_Loader.add_constructor('tag:yaml.org,2002:map', lambda loader, node: OrderedDict(loader.construct_pairs(node)))
_Dumper.add_representer(OrderedDict, lambda dumper, data: dumper.represent_dict(data.items()))


def ordered_yaml() -> tuple[type, type]:
    """YAML's Loader and Dumper for option files.

    Defect: basicsr/utils/options.py:18-20 takes yaml's CLoader, which runs what a file tells it to run.
    Symptom: `name: !!python/object/apply:os.system [...]` in an option file is executed.
    Threads: none upstream.
    Here: the safe ones, with the same order of keys.
    """
    return _Loader, _Dumper


def read_option_file(path: str | Path) -> OrderedDict[str, Any]:
    """Read an option file as UTF-8.

    Defect: basicsr/utils/options.py:94 opens it in the locale's encoding.
    Symptom: `UnicodeDecodeError` on a comment that is not ASCII, on Windows (cp1252, gbk) and under LC_ALL=C.
    Threads: none upstream; traiNNer-redux and neosr open their files as UTF-8.
    Here: UTF-8, with or without a byte order mark.

    Raises:
        UserError: No such file, not UTF-8, not YAML, a tag that would run code, no mapping.
    """
    try:
        text = Path(path).read_text(encoding='utf-8-sig')
        plain_yaml.check_size(text)
        opt = yaml.load(text, Loader=ordered_yaml()[0])  # noqa: S506  a subclass of the safe loader
    except UnicodeDecodeError as error:
        raise UserError(f'{path} is not UTF-8 (byte {error.start}); save it as UTF-8.') from error
    except OSError as error:
        raise UserError(f'The option file {path} cannot be read: {error.strerror}.') from error
    except plain_yaml.MISTAKES as error:
        raise UserError(f'{path} is not plain YAML: {" ".join(str(error).split())}.') from error
    if not isinstance(opt, OrderedDict):
        raise UserError(f'{path} has no "key: value" lines; an option file starts with "name: ...".')
    return opt


def normalise_argv(argv: list[str]) -> list[str]:
    """Spell `--local-rank` as `--local_rank`.

    Defect: basicsr/utils/options.py:88 knows only the underscore; `python -m torch.distributed.launch` of torch 2.0
    and later passes the hyphen.
    Symptom: `error: unrecognized arguments: --local-rank=0`.
    Threads: XPixelGroup/BasicSR#626, AESOP-SR#7.
    """
    return [arg.replace('--local-rank', '--local_rank', 1) if arg.partition('=')[0] == '--local-rank' else arg
            for arg in argv]  # fmt: skip


def parse_options(root_path: str, is_train: bool = True) -> tuple[OrderedDict[str, Any], argparse.Namespace]:
    """Parse the command line and its option file, join the process group, seed: BasicSR's own, in its own order.

    Defects: those of `ordered_yaml`, `read_option_file`, `normalise_argv`, `force_yml`, `init_dist`, all in
    basicsr/utils/options.py:82-177; and :114-128, which seeds *before* `--force_yml manual_seed=...` is looked at.
    Here: the same flags and the same keys in the returned options.

    Args:
        root_path (str): The folder of `experiments/` and `results/`.
        is_train (bool): Training, not testing.

    Returns:
        tuple: The options and the command line's arguments.

    Raises:
        UserError: An option file or an override that cannot be read; `--launcher pytorch` without torchrun.
    """
    args = _parse_args(normalise_argv(sys.argv[1:]))
    opt = read_option_file(args.opt)
    force_yml(opt, args.force_yml or [])
    _set_up_processes(opt, args.launcher)
    opt['auto_resume'] = args.auto_resume
    opt['is_train'] = is_train
    if args.debug and not opt['name'].startswith('debug'):
        opt['name'] = 'debug_' + opt['name']
    _complete_datasets(opt)
    for key, value in opt['path'].items():
        if value is not None and ('resume_state' in key or 'pretrain_network' in key):
            several = isinstance(value, list)  # of teachers
            opt['path'][key] = [osp.expanduser(path) for path in value] if several else osp.expanduser(value)
    if is_train:
        _set_experiment_paths(opt, osp.join(root_path, 'experiments', opt['name']))
    else:
        results_root = osp.join(root_path, 'results', opt['name'])
        opt['path']['results_root'] = results_root
        opt['path']['log'] = results_root
        opt['path']['visualization'] = osp.join(results_root, 'visualization')
    return opt, args


def _parse_args(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument('-opt', type=str, required=True, help='Path to option YAML file.')
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm'], default='none', help='job launcher')
    parser.add_argument('--auto_resume', action='store_true')
    parser.add_argument('--debug', action='store_true')
    parser.add_argument('--local_rank', type=int, default=0)
    parser.add_argument(
        '--force_yml', nargs='+', default=None, help='Force to update yml files. Examples: train:ema_decay=0.999'
    )
    return parser.parse_args(argv)


def _set_up_processes(opt: dict[str, Any], launcher: str) -> None:
    """Options dist, rank, world_size, manual_seed, num_gpu; the process group; the seeds."""
    import torch
    from basicsr.utils import set_random_seed
    from basicsr.utils.dist_util import get_dist_info, init_dist

    if opt['num_gpu'] == 'auto':
        opt['num_gpu'] = torch.cuda.device_count()
    opt['dist'] = launcher != 'none'
    params = opt.get('dist_params') or {}
    if launcher == 'none':
        sys.stdout.write('Disable distributed.\n')
        sys.stdout.flush()
    elif launcher == 'slurm':
        init_dist(launcher, **params)
    else:
        # torchrun knows the port. num_gpu: 0 keeps the network on the CPU, where nccl cannot go.
        init_dist(launcher, backend='gloo' if opt['num_gpu'] == 0 else params.get('backend', 'nccl'))
    opt['rank'], opt['world_size'] = get_dist_info()
    if opt.get('manual_seed') is None:
        opt['manual_seed'] = _drawn_seed(opt['dist'])
        opt['manual_seed_drawn'] = True  # a resumed run has drawn its own before
    set_random_seed(opt['manual_seed'] + opt['rank'])


def _drawn_seed(dist: bool) -> int:
    """A random seed, the same on all ranks: they share the order of the samples."""
    import torch.distributed

    seed = [random.randint(1, 10000)]
    if dist:
        torch.distributed.broadcast_object_list(seed, src=0)
    return seed[0]


def _complete_datasets(opt: dict[str, Any]) -> None:
    from dukd_basicsr.options.rules.teacher import complete_dataset

    for name, dataset in opt['datasets'].items():
        dataset['phase'] = name.split('_')[0]
        if 'scale' in opt:
            dataset['scale'] = opt['scale']
        for key in ('dataroot_gt', 'dataroot_lq'):
            if dataset.get(key) is not None:
                dataset[key] = osp.expanduser(dataset[key])
    complete_dataset(opt)


def _set_experiment_paths(opt: dict[str, Any], root: str) -> None:
    opt['path']['experiments_root'] = root
    opt['path']['models'] = osp.join(root, 'models')
    opt['path']['training_states'] = osp.join(root, 'training_states')
    opt['path']['log'] = root
    opt['path']['visualization'] = osp.join(root, 'visualization')
    if 'debug' in opt['name']:
        if 'val' in opt:
            opt['val']['val_freq'] = 8
        opt['logger']['print_freq'] = 1
        opt['logger']['save_checkpoint_freq'] = 8


def copy_opt_file(opt_file: str, experiments_root: str) -> None:
    """Copy the option file into the experiment, under a heading with the time and the command; rank 0 only.

    Defect and symptom: basicsr/utils/options.py:190 reads and writes the copy in the locale's encoding, as
    `read_option_file` says. Here: UTF-8.
    """
    from basicsr.utils.dist_util import get_dist_info

    if get_dist_info()[0] != 0:
        return
    head = f'# GENERATE TIME: {time.asctime()}\n# CMD:\n# {" ".join(sys.argv)}\n\n'
    text = Path(opt_file).read_text(encoding='utf-8-sig')
    # Under LC_ALL=C a file name on the command line that is not ASCII holds surrogates.
    Path(experiments_root, Path(opt_file).name).write_text(head + text, encoding='utf-8', errors='surrogateescape')
