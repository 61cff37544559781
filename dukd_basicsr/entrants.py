"""From options files to the networks that a benchmark compares."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluate import Bicubic, Network
from dukd_basicsr.networks import input_channels, load_network
from dukd_basicsr.protocol import Options
from dukd_basicsr.teacher import as_list, build_teacher


def load_networks(files: Mapping[Path, Options], device: torch.device) -> list[Network]:
    """Bicubic, the student of every file in the given order, then the teachers, each once.

    Args:
        files (Mapping[Path, Mapping]): Options files of one scale; at least one.
        device (torch.device): Where the networks go.

    Raises:
        UserError: Weights that are missing or do not fit, of all files at once; two rows of one name.
    """
    networks: list[Network] = []
    teachers: dict[tuple[Any, ...], Network] = {}
    errors: list[str] = []
    scale = next(iter(files.values()))['scale']
    networks.append(Network('bicubic', 'bicubic', Bicubic(scale).eval()))
    for file, opt in files.items():
        try:
            networks.append(_load_student(opt, file, device))
            _load_teachers(opt, teachers, device)
        except UserError as error:
            errors += [message if str(file) in message else f'{file}: {message}' for message in error.messages]
    networks += teachers.values()
    names = [network.name for network in networks]
    errors += [
        f'two networks are named {name}; give each options file a name of its own (and each teacher a file name).'
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if errors:
        raise UserError(*errors)
    return networks


def _load_student(opt: Options, file: Path, device: torch.device) -> Network:
    """`network_g` with its trained weights: what BasicSR validates with, that is the EMA where there is one."""
    if 'train' in opt:
        path, param_key, strict = _newest_weights(opt['name'], file), 'params_ema', True
    else:
        path_opt = opt.get('path') or {}
        if path_opt.get('pretrain_network_g') is None:
            raise UserError(
                f'{file}: path.pretrain_network_g: a test needs weights; give the path of their checkpoint.'
            )
        path = Path(path_opt['pretrain_network_g']).expanduser()
        param_key, strict = path_opt.get('param_key_g', 'params'), path_opt.get('strict_load_g', True)
    net = load_network(opt['network_g'], str(path), param_key, strict, str(file))
    net = net.eval().requires_grad_(False).to(device)
    return Network(opt['name'], 'student', net, str(path), input_channels(opt['network_g']))


def _newest_weights(name: str, file: Path) -> Path:
    """What a training of this name wrote last, under the current directory as with every command of BasicSR."""
    folder = Path('experiments') / name / 'models'
    latest = folder / 'net_g_latest.pth'
    if latest.is_file():
        return latest
    numbered = {
        int(stem): path for path in folder.glob('net_g_*.pth') if (stem := path.stem.removeprefix('net_g_')).isdigit()
    }
    if not numbered:
        raise UserError(f'{file}: {folder} holds no trained weights; train them first: basicsr train -opt {file}')
    return numbered[max(numbered)]


def _load_teachers(opt: Options, teachers: dict[tuple[Any, ...], Network], device: torch.device) -> None:
    """Add the teachers of a file that are not there yet; several teachers are a row each."""
    if opt.get('network_t') is None:
        return
    path_opt = opt['path']
    networks, paths = as_list(opt['network_t']), as_list(path_opt.get('pretrain_network_t'))
    for network, path in zip(networks, paths, strict=False):
        path = path and str(Path(path).expanduser())
        key = (repr(sorted(network.items())), path and Path(path).resolve(), path_opt.get('param_key_t', 'params'))
        if key not in teachers:
            one = {**opt, 'network_t': network, 'path': {**path_opt, 'pretrain_network_t': path}}
            teacher = build_teacher(one).to(device)
            channels = input_channels(opt['network_g'])
            teachers[key] = Network(f'{Path(path).stem} (teacher)', 'teacher', teacher, path, channels)
