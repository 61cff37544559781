"""An upcycled cache against the run that is to train from it: every way in which it could teach something else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dukd_basicsr.data.cache import manifest as stamps
from dukd_basicsr.options.report import Report
from dukd_basicsr.options.schema.fields import read_section
from dukd_basicsr.options.schema.train import DukdLoss, ZoomIn, ZoomOut

TYPE = 'UpcycledImageDataset'


@dataclass(frozen=True)
class Needs:
    """What the losses of a run want a teacher to label."""

    parts: tuple[str, ...]
    """Of 'lq', 'zoom_in' and 'zoom_out'."""
    num: int
    """Zoom-in crops of a sample; 0 without them."""


def is_cached(opt: Mapping[str, Any]) -> bool:
    """Whether a run's labels come with its data, so that it has no teacher."""
    train = (opt.get('datasets') or {}).get('train')
    return isinstance(train, Mapping) and train.get('type') == TYPE


def asks_teacher(opt: Mapping[str, Any]) -> bool:
    """Whether a run with a teacher needs it: labels do not come with the data, and not all that want them are off."""
    train = opt.get('train') or {}
    if is_cached(opt):
        return False
    if not train.get('dukd_opt') or train.get('kd_opt') or train.get('feature_opt'):
        return True
    zoom_in, zoom_out = _zooms(train)
    return bool(zoom_in or (zoom_out and zoom_out.teacher))


def needs_of(opt: Mapping[str, Any]) -> Needs:
    """Read the losses of an options file that `options.check` has passed."""
    train = opt.get('train') or {}
    zoom_in, zoom_out = _zooms(train)
    wanted = {'lq': train.get('kd_opt') or train.get('feature_opt'), 'zoom_in': zoom_in, 'zoom_out': zoom_out}
    return Needs(tuple(part for part, on in wanted.items() if on), zoom_in.num if zoom_in else 0)


def _zooms(train: Mapping[str, Any]) -> tuple[ZoomIn | None, ZoomOut | None]:
    """The parts of `train.dukd_opt` that are on."""
    if not train.get('dukd_opt'):
        return None, None
    dukd = read_section(DukdLoss, train['dukd_opt'], '', Report())
    return dukd.zoom_in, dukd.zoom_out


def labelling_options(opt: Mapping[str, Any]) -> dict[str, Any]:
    """What `basicsr upcycle` reads of an options file that `options.check` has passed.

    The training set is a PairedImageDataset, whether a cache of it is to be trained from or not; a student's weights,
    a state or validation sets need not be there.

    Raises:
        OptionsError: There is no teacher, no loss that asks one, or images that BasicSR would convert first.
    """
    report = Report()
    train = opt['datasets']['train']
    paths = opt.get('path') or {}
    if opt.get('network_t') is None or paths.get('pretrain_network_t') is None:
        report.error('network_t', 'upcycle needs the teacher: network_t and path.pretrain_network_t.')
    elif not needs_of(opt).parts:
        report.error('train', 'no loss asks a teacher; add kd_opt, feature_opt or dukd_opt.')
    if train.get('type') not in (TYPE, 'PairedImageDataset') or train['io_backend']['type'] != 'lmdb':
        report.error('datasets.train', 'upcycle reads LMDBs of a PairedImageDataset; make them with basicsr prepare.')
    for name in ('color', 'mean', 'std'):
        if train.get(name) is not None:
            report.error(f'datasets.train.{name}', 'the labels are in RGB and not normalised; leave it out.')
    report.finish()
    paths = {name: value for name, value in paths.items() if name.endswith('_t')}
    return {**opt, 'datasets': {'train': {**train, 'type': 'PairedImageDataset'}}, 'path': paths}


def cache_problem(opt: Mapping[str, Any], root: Path) -> str | None:
    """Why a cache does not belong to a run: incomplete, of another teacher, scale or data, without what losses need.

    Args:
        opt (Mapping): Options with an UpcycledImageDataset to train on, whose LMDBs are there.
        root (Path): What relative paths start from.

    Returns:
        str | None: The first reason, as a sentence; None where it belongs.
    """
    return next((f'{problem}.' for problem in _problems(opt, root)), None)


def complete_dataset(opt: Mapping[str, Any]) -> None:
    """Tell an UpcycledImageDataset which parts the losses of its run need, so that it reads no others."""
    if is_cached(opt):
        needs = needs_of(opt)
        opt['datasets']['train'].update(parts=list(needs.parts), zoom_in_num=needs.num)


def _problems(opt: Mapping[str, Any], root: Path) -> Iterator[str]:
    dataset = opt['datasets']['train']
    name = dataset['dataroot_upcycled']
    stamp = stamps.read(root / Path(name).expanduser())
    make = f'make one with: basicsr upcycle -opt FILE -o {name}'
    other = 'make another with: basicsr upcycle -opt FILE -o OTHER.lmdb'
    if stamp is None:
        yield f'{name} is not there or has no {stamps.FILE}; {make}'
        return
    if stamp.get('version') != stamps.VERSION or not stamp.keys() >= stamps.KEYS:
        yield f'{name} has format {stamp.get("version")} and this program reads {stamps.VERSION}; {other}'
        return
    if stamp.get('complete') is not True:
        yield f'{name} is not complete; run the basicsr upcycle that made it again, it goes on where it stopped'
    if stamp['scale'] != opt['scale']:
        yield f'{name} is of scale {stamp["scale"]}, but scale: {opt["scale"]}; {other}'
    yield from _teacher_problems(name, stamp['teacher'], stamps.teacher(opt, root), other)
    roots = [root / Path(dataset[key]).expanduser() for key in ('dataroot_gt', 'dataroot_lq')]
    if stamp['data'] != stamps.data(*roots):
        yield f'{name} was made from other data than dataroot_gt and dataroot_lq; {other}'
    yield from _needs_problems(name, stamp, opt, other)


def _teacher_problems(name: str, there: Mapping[str, Any], here: Mapping[str, Any], other: str) -> Iterator[str]:
    """The options and the weights need not be there any more; where they are, they must be those of the cache."""
    if here.get('networks', there['networks']) != there['networks']:
        yield f'{name} has labels of another network_t; {other}'
    for key, what in (('weights', 'other weights than path.pretrain_network_t has'), ('param_key', 'other weights')):
        if here.get(key, there[key]) != there[key]:
            yield f'{name} has labels of {what}; {other}'


def _needs_problems(name: str, stamp: Mapping[str, Any], opt: Mapping[str, Any], other: str) -> Iterator[str]:
    needs = needs_of(opt)
    missing = [part for part in needs.parts if part not in stamp['parts']]
    patch = opt['datasets']['train']['gt_size'] // opt['scale']
    if missing:
        yield f'{name} has no labels of {" and ".join(missing)}, which the losses of train need; {other}'
    if 'zoom_in' in needs.parts and patch > stamp['size']:
        yield (f'{name} has crops of {stamp["size"]}x{stamp["size"]}, but the LR patch is {patch}x{patch} (gt_size / '
               f'scale); write gt_size: {stamp["size"] * opt["scale"]} or less, or {other}')  # fmt: skip
    if needs.num > stamp['per_image']:
        yield (f'{name} has {stamp["per_image"]} crops of each sub-image, but train.dukd_opt.zoom_in.num: {needs.num}; '
               f'write {stamp["per_image"]} or less, or {other}')  # fmt: skip
