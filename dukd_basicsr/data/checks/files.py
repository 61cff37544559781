"""Everything an options file points at: is it there, does it fit, and which command makes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dukd_basicsr.data.cache.fit import find_misfit
from dukd_basicsr.data.checks.borders import check_borders
from dukd_basicsr.data.checks.folders import check_folder_pair, check_images, read_listing
from dukd_basicsr.data.checks.lmdbs import check_lmdb_pair
from dukd_basicsr.data.checks.real import check_real_files
from dukd_basicsr.data.paths import locate
from dukd_basicsr.errors import did_you_mean, say_where
from dukd_basicsr.options.report import Report
from dukd_basicsr.options.rules.real import MODEL as REAL_MODEL
from dukd_basicsr.options.rules.teacher import TYPE as UPCYCLED
from dukd_basicsr.options.rules.teacher import as_list, asks_teacher, is_cached

_BENCHMARKS = ('Set5', 'Set14', 'B100', 'BSD100', 'BSDS100', 'Urban100', 'Manga109')
_ZOO = "BasicSR's model zoo (docs/ModelZoo.md of github.com/XPixelGroup/BasicSR)"


def check_files(opt: dict, root: Path, is_train: bool) -> None:
    """Check data, weights and training state that the options name. No image is decoded, none is left unread.

    Args:
        opt (dict): Options that `options.check` has passed.
        root (Path): What relative paths start from, usually the current directory.
        is_train (bool): For `basicsr train`; else for `basicsr test`, which needs no teacher and no state.

    Raises:
        OptionsError: Everything that is missing or does not fit, with the command or download that mends it.
    """
    report = Report()
    for name, dataset in (opt.get('datasets') or {}).items():
        if dataset.get('type') in ('PairedImageDataset', UPCYCLED):
            _check_dataset(f'datasets.{name}', name == 'train', dataset, opt, root, report)
        elif name == 'train' and opt.get('model_type') == REAL_MODEL:
            check_real_files(f'datasets.{name}', dataset, root, _list_needs(dataset, opt), report)
    paths = opt.get('path') or {}
    keys = ['pretrain_network_g']
    if is_train:
        keys += ['pretrain_network_d', *(['pretrain_network_t'] if asks_teacher(opt) else []), 'resume_state']
    if is_train and is_cached(opt) and not report.errors:
        problem = find_misfit(opt, root)
        if problem:
            report.error('datasets.train.dataroot_upcycled', problem)
    for key in keys:
        for value in as_list(paths.get(key)):
            if isinstance(value, str) and not locate(root, value).is_file():
                report.error(f'path.{key}', _explain_missing(value, root))
    report.finish()


def _check_dataset(
    key: str, is_train: bool, dataset: Mapping[str, Any], opt: Mapping[str, Any], root: Path, report: Report
) -> None:
    roots = {name: dataset[name] for name in ('dataroot_gt', 'dataroot_lq')}
    folders = {name: locate(root, value) for name, value in roots.items()}
    absent = [name for name, folder in folders.items() if not folder.is_dir()]
    if absent:
        names = ' and '.join(str(roots[name]) for name in absent)
        command = _explain_preparing(roots[absent[0]], opt.get('scale'))
        report.error(f'{key}.{absent[0]}', f'there is no {names}{say_where(roots[absent[0]], root)}; {command}.')
        return
    lq, gt = folders['dataroot_lq'], folders['dataroot_gt']
    template, listing = dataset.get('filename_tmpl', '{}'), dataset.get('meta_info_file')
    needs, scale = _list_needs(dataset, opt) if is_train else {}, opt.get('scale') or 1
    images: Mapping[Any, object] = {}
    if dataset['io_backend']['type'] == 'lmdb':
        images = check_lmdb_pair(key, lq, gt, needs, scale, report)
    elif listing is not None and not locate(root, listing).is_file():
        report.error(
            f'{key}.meta_info_file',
            f'there is no file {listing}{say_where(listing, root)}; write ~ to use all images of the folders.',
        )
    elif listing is not None:
        pairs = read_listing(key, lq, gt, template, locate(root, listing), report)
        images = check_images(key, pairs, needs, scale, report)
    elif dataset['io_backend']['type'] == 'disk':
        images = check_folder_pair(key, lq, gt, template, needs, scale, report)
    if not is_train:
        check_borders(images, (opt.get('val') or {}).get('metrics') or {}, scale, report)


def _list_needs(dataset: Mapping[str, Any], opt: Mapping[str, Any]) -> dict[str, float]:
    """What the training images must allow: a patch, and one full batch (BasicSR trains 0 iterations without it)."""
    gpus = opt.get('num_gpu')
    gpus = gpus if isinstance(gpus, int) and gpus > 1 else 1
    return {
        'gt_size': dataset['gt_size'],
        'batch': dataset['batch_size_per_gpu'] * gpus,
        'ratio': dataset.get('dataset_enlarge_ratio', 1),
    }


def _explain_preparing(dataroot: str, scale: Any) -> str:
    """The command that makes a data root, by its place under datasets/."""
    parts = Path(dataroot).parts
    name = parts[parts.index('datasets') + 1] if 'datasets' in parts[:-1] else Path(dataroot).stem
    if name == 'DIV2K':
        zips = f'DIV2K_train_HR.zip and DIV2K_train_LR_bicubic_X{scale}.zip'
        return (
            f'download {zips} (data.vision.ee.ethz.ch/cvl/DIV2K), unpack them in a folder DIR, and run: '
            'basicsr prepare --preset div2k DIR'
        )
    if name in ('demo', 'demo_held_out'):
        return 'it is made by: basicsr demo'
    real = re.match(
        r'(.*)/real_x(\d+)_seed(\d+)/', dataroot, re.DOTALL
    )  # match: search takes minutes on 100,000 letters
    if real:
        return (
            f'with HR images in a folder DIR, run: basicsr prepare DIR --preset real-test --name '
            f'{Path(real[1]).name} --scale {real[2]} --seed {real[3]}'
        )
    if name in _BENCHMARKS or re.match(r'GTmod|LRbic', Path(dataroot).name):
        return f"with {name}'s HR images in a folder DIR, run: basicsr prepare --preset benchmark DIR --name {name}"
    if dataroot.endswith('.lmdb'):
        return f'with the HR images in a folder FOLDER, run: basicsr prepare FOLDER --name {name}'
    return 'correct the path, or make it with: basicsr prepare FOLDER --name NAME'


def _explain_missing(value: str, root: Path) -> str:
    path = Path(value)
    folder = locate(root, value).parent
    start = f'there is no file {value}{say_where(value, root)}'
    if locate(root, value).is_dir():
        return f'{value} is a folder; name a file in it.'
    if re.search(r'_official-[0-9a-f]{8}\.pth$', path.name):
        return f'{start}; download {path.name} from {_ZOO} into {path.parent}.'
    if path.name.endswith('_demo.pth'):
        return f'{start}; it is made by: basicsr demo.'
    if path.parent.name in ('models', 'training_states') and 'experiments' in path.parts:
        return f'{start}; it is written by training {path.parent.parent.name} with basicsr train.'
    names = [file.name for file in folder.iterdir() if file.suffix == path.suffix] if folder.is_dir() else []
    hint = did_you_mean(path.name, names) if names else ''
    return f'{start}; put it there or correct the path.{hint}'
