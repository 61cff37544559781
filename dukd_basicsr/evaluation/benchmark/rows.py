"""From options files to the networks that a benchmark compares."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from dukd_basicsr.distillation.teacher import build_teacher
from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluation.benchmark.measure import Bicubic, Network
from dukd_basicsr.networks.build import count_input_channels, load_network
from dukd_basicsr.networks.deploy import deploy_checked
from dukd_basicsr.networks.open_network import Opened, open_network
from dukd_basicsr.networks.self_ensemble import SelfEnsemble
from dukd_basicsr.options.rules.teacher import as_list


def load_networks(
    files: Mapping[Path, Mapping[str, Any]],
    device: torch.device,
    weights: Sequence[Path] = (),
    self_ensemble: bool = False,
) -> list[Network]:
    """Bicubic, the student of every file in the given order, the teachers, each once, and the checkpoints.

    Args:
        files (Mapping[Path, Mapping]): Options files of one scale; at least one.
        device (torch.device): Where the networks go.
        weights (Sequence[Path]): Checkpoints and exported files, a row each; a file whose student has no weights yet
            is then taken for its test sets and metrics alone.
        self_ensemble (bool): After every network the same as self-ensemble, 'NAME+'.

    Raises:
        UserError: Weights that are missing or do not fit, of all files at once; a checkpoint of another scale or
            number of channels; two rows of one name.
    """
    first, errors = next(iter(files.values())), list[str]()
    networks = _load_files(files, device, bool(weights), errors)
    checkpoints: list[Network] = []
    for path in weights:
        try:
            checkpoints.append(_load_checkpoint(path, files, device))
        except UserError as error:
            errors += error.messages
    networks += _tell_apart(checkpoints, networks)
    networks = [_deploy(network) for network in networks]
    if self_ensemble:
        networks = [each for network in networks for each in (network, _ensemble(network))]
    names = ['bicubic', *(network.name for network in networks)]
    errors += [
        f'two networks are named {name}; give each options file a name of its own (and each checkpoint a file name).'
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if errors:
        raise UserError(*errors)
    return [Network('bicubic', 'bicubic', Bicubic(first['scale']).eval()), *networks]


def _load_files(
    files: Mapping[Path, Mapping[str, Any]], device: torch.device, may_lack: bool, errors: list[str]
) -> list[Network]:
    """The students in the order of the files, then their teachers; what is wrong goes to `errors`."""
    students: list[Network] = []
    teachers: dict[tuple[Any, ...], Network] = {}
    for file, opt in files.items():
        if may_lack and not _has_weights(opt, file):
            sys.stderr.write(f'basicsr benchmark: {file} has no weights yet: it gives test sets and metrics only.\n')
            continue
        try:
            students.append(_load_student(opt, file, device))
            _load_teachers(opt, teachers, device)
        except UserError as error:
            errors += [message if str(file) in message else f'{file}: {message}' for message in error.messages]
    return [*students, *teachers.values()]


def _deploy(network: Network) -> Network:
    """As users will run it; see `networks.deploy`."""
    found = deploy_checked(network.net, network.channels)
    notes = network.notes if found.note is None else (*network.notes, f'{network.name}: {found.note}')
    return replace(network, net=found.net, trained=found.trained, notes=notes)


def _ensemble(network: Network) -> Network:
    trained = None if network.trained is None else SelfEnsemble(network.trained)
    return replace(network, name=f'{network.name}+', net=SelfEnsemble(network.net), trained=trained, self_ensemble=True)


def _load_checkpoint(path: Path, files: Mapping[Path, Mapping[str, Any]], device: torch.device) -> Network:
    """Any file that `open_network` can open, if it does the task of the options files."""
    opt = next(iter(files.values()))
    opened = _open(path, files)
    channels = count_input_channels(opt['network_g'])
    if (opened.scale, opened.channels) != (opt['scale'], channels):
        raise UserError(
            f'{path}: a network for x{opened.scale} and {opened.channels} channels, but this table is of '
            f'x{opt["scale"]} and {channels}; leave it out, or name options files of that task.'
        )
    net = opened.net.to(device)
    return Network(opened.name, 'student', net, str(path), channels, notes=opened.notes)


def _open(path: Path, files: Iterable[Path]) -> Opened:
    """As the file itself tells; where it does not tell all, as the network of an options file, if it fits that.

    A network of one's own class has no known layout, and EDSR's weights do not say what img_range and res_scale they
    were trained with: 37.8 dB may become 35.3 dB with the usual ones.
    """
    found: Opened | UserError
    try:
        found = open_network(path)
        if not found.notes:
            return found
    except UserError as error:
        found = error
    for file in files:
        with suppress(UserError):
            note = f'{path}: what it does not say of its network is as in {file}.'
            return replace(open_network(path, file), name=path.stem, notes=(note,))
    if isinstance(found, UserError):
        raise found
    return found


def _tell_apart(checkpoints: Sequence[Network], others: Sequence[Network]) -> list[Network]:
    """Checkpoints of one run, or of one name in several folders, are called by their paths."""
    names = [network.name for network in (*others, *checkpoints)]
    return [
        replace(network, name=str(network.weights)) if names.count(network.name) > 1 else network
        for network in checkpoints
    ]


def _has_weights(opt: Mapping[str, Any], file: Path) -> bool:
    try:
        return _find_student_weights(opt, file)[0].is_file()
    except UserError:
        return False


def _load_student(opt: Mapping[str, Any], file: Path, device: torch.device) -> Network:
    """`network_g` with its trained weights."""
    path, param_key, strict = _find_student_weights(opt, file)
    net = load_network(opt['network_g'], str(path), param_key, strict, str(file))
    net = net.eval().requires_grad_(False).to(device)
    return Network(opt['name'], 'student', net, str(path), count_input_channels(opt['network_g']))


def _find_student_weights(opt: Mapping[str, Any], file: Path) -> tuple[Path, str | None, bool]:
    """File, key and strictness of what BasicSR validates with, that is the EMA where there is one."""
    if 'train' in opt:
        return _find_newest_weights(opt['name'], file), 'params_ema', True
    path_opt = opt.get('path') or {}
    if path_opt.get('pretrain_network_g') is None:
        raise UserError(f'{file}: path.pretrain_network_g: a test needs weights; give the path of their checkpoint.')
    path = Path(path_opt['pretrain_network_g']).expanduser()
    return path, path_opt.get('param_key_g', 'params'), path_opt.get('strict_load_g', True)


def _find_newest_weights(name: str, file: Path) -> Path:
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


def _load_teachers(opt: Mapping[str, Any], teachers: dict[tuple[Any, ...], Network], device: torch.device) -> None:
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
            channels = count_input_channels(opt['network_g'])
            teachers[key] = Network(f'{Path(path).stem} (teacher)', 'teacher', teacher, path, channels)
