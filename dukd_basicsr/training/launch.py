"""What a command line asks of a run, and the options file completed for this process by it."""

from __future__ import annotations

import copy
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from os import path as osp
from pathlib import Path
from typing import Any

from dukd_basicsr.options.rules.teacher import complete_dataset


@dataclass(frozen=True)
class Launch:
    """How a run is started, beside its options."""

    file: Path
    """The options file, of which the run keeps a copy."""
    root: Path
    """The folder of `experiments/` and `results/`, where the options name no others."""
    launcher: str = 'none'
    """'none', 'pytorch' (torchrun) or 'slurm'."""
    auto_resume: bool = False
    debug: bool = False
    command: str = ''
    """The command that goes on with this run after a signal has stopped it."""


ROOTS = ('experiments_root', 'results_root')
"""Keys of `path` for the folders of all training runs and of all tests."""


def name_run(opt: Mapping[str, Any], launch: Launch) -> str:
    """The name of a run's folder: `--debug` puts a word before that of the options file."""
    return f'debug_{opt["name"]}' if launch.debug and not opt['name'].startswith('debug') else opt['name']


def find_root(opt: Mapping[str, Any], launch: Launch, is_train: bool) -> str:
    """The folder in which each run has its own: `path.experiments_root` or `results_root`, as BasicSR's master has it.

    Args:
        opt (Mapping): The options as the file has them.
        launch (Launch): The command line; a relative path starts at its root.
        is_train (bool): Training, not testing.
    """
    given = (opt.get('path') or {}).get(ROOTS[not is_train])
    return osp.join(launch.root, osp.expanduser(given) if given else ('experiments' if is_train else 'results'))


def complete_options(opt: Mapping[str, Any], launch: Launch, is_train: bool) -> dict[str, Any]:
    """Join the process group, seed the generators, and add to the options what BasicSR's pipelines read of them.

    Args:
        opt (Mapping): The options as the file and `--force_yml` have them; left unchanged.
        launch (Launch): The command line.
        is_train (bool): Training, not testing.

    Returns:
        dict: A copy with rank, world_size, dist, is_train, root_path, a seed, and the paths of all that is written.

    Raises:
        UserError: `--launcher pytorch` without torchrun.
    """
    complete: dict[str, Any] = copy.deepcopy(dict(opt))
    _join_processes(complete, launch.launcher)
    complete.update(auto_resume=launch.auto_resume, is_train=is_train, name=name_run(opt, launch))
    _complete_datasets(complete)
    for key, value in complete['path'].items():
        if value is not None and ('resume_state' in key or 'pretrain_network' in key):
            several = isinstance(value, list)  # of teachers
            complete['path'][key] = [osp.expanduser(path) for path in value] if several else osp.expanduser(value)
    folder = osp.join(find_root(opt, launch, is_train), complete['name'])
    for name in ROOTS:
        complete['path'].pop(name, None)
    if is_train:
        _add_experiment_paths(complete, folder)
    else:
        complete['path'].update(results_root=folder, log=folder, visualization=osp.join(folder, 'visualization'))
    return complete


def _join_processes(opt: dict[str, Any], launcher: str) -> None:
    """Set dist, rank, world_size, manual_seed and num_gpu; join the process group; seed."""
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
        opt['manual_seed'] = _draw_seed(opt['dist'])
        opt['manual_seed_drawn'] = True  # a resumed run has drawn its own before
    set_random_seed(opt['manual_seed'] + opt['rank'])


def _draw_seed(dist: bool) -> int:
    """Draw a seed, the same on all ranks: they share the order of the samples."""
    import torch.distributed

    seed = [random.SystemRandom().randint(1, 10000)]
    if dist:
        torch.distributed.broadcast_object_list(seed, src=0)
    return seed[0]


def _complete_datasets(opt: dict[str, Any]) -> None:
    for name, dataset in opt['datasets'].items():
        dataset['phase'] = name.split('_')[0]
        if 'scale' in opt:
            dataset['scale'] = opt['scale']
        for key in ('dataroot_gt', 'dataroot_lq'):
            if dataset.get(key) is not None:
                dataset[key] = osp.expanduser(dataset[key])
    complete_dataset(opt)


def _add_experiment_paths(opt: dict[str, Any], folder: str) -> None:
    opt['path'].update(
        experiments_root=folder,
        models=osp.join(folder, 'models'),
        training_states=osp.join(folder, 'training_states'),
        log=folder,
        visualization=osp.join(folder, 'visualization'),
    )
    if 'debug' in opt['name']:
        if 'val' in opt:
            opt['val']['val_freq'] = 8
        opt['logger'].update(print_freq=1, save_checkpoint_freq=8)


def read_options(launch: Launch, force_yml: list[str], is_train: bool, program: str, dry_run: bool = False) -> dict:
    """Read an options file, override it, and check it and the files that it names; nothing here needs torch.

    Args:
        launch (Launch): Names the file.
        force_yml (list[str]): `train:total_iter=1000` each.
        is_train (bool): Training, not testing.
        program (str): Begins each warning, e.g. 'basicsr train'.
        dry_run (bool): Files that are missing are warnings.

    Returns:
        dict: The options; what follows from the command line is added by `complete_options`.

    Raises:
        OptionsError: What is wrong with them.
    """
    from dukd_basicsr import options
    from dukd_basicsr.data.checks.files import check_files

    def warn(message: str) -> None:
        if os.environ.get('RANK', '0') == '0' or not is_train:
            sys.stderr.write(f'{program}: warning: {message}\n')

    opt = options.apply_overrides(options.load(launch.file), force_yml)
    for warning in options.check(opt, launch.file, is_train):
        warn(warning)
    try:
        check_files(opt, Path.cwd(), is_train)
    except options.OptionsError as error:
        if not dry_run:
            raise
        for message in error.messages:
            warn(message)
    return opt
