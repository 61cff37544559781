"""What a run asks of its teacher, and whether a cache answers in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dukd_basicsr.options.report import Report
from dukd_basicsr.options.schema.fields import read_section
from dukd_basicsr.options.schema.train import DukdLoss, ZoomIn, ZoomOut

TYPE = 'UpcycledImageDataset'


def as_list(value: object) -> list[Any]:
    """A list as it is, anything else as a list of one: a single teacher is written without brackets."""
    return list(value) if isinstance(value, (list, tuple)) else [value]


@dataclass(frozen=True)
class Needs:
    """What the losses of a run want a teacher to label."""

    parts: tuple[str, ...]
    """The inputs to label: any of 'lq', 'zoom_in' and 'zoom_out'."""
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
    zoom_in, zoom_out = _read_zooms(train)
    return bool(zoom_in or (zoom_out and zoom_out.teacher))


def read_needs(opt: Mapping[str, Any]) -> Needs:
    """Read the losses of an options file that `options.check` has passed."""
    train = opt.get('train') or {}
    zoom_in, zoom_out = _read_zooms(train)
    wanted = {'lq': train.get('kd_opt') or train.get('feature_opt'), 'zoom_in': zoom_in, 'zoom_out': zoom_out}
    return Needs(tuple(part for part, on in wanted.items() if on), zoom_in.num if zoom_in else 0)


def _read_zooms(train: Mapping[str, Any]) -> tuple[ZoomIn | None, ZoomOut | None]:
    """The parts of `train.dukd_opt` that are on."""
    if not train.get('dukd_opt'):
        return None, None
    dukd = read_section(DukdLoss, train['dukd_opt'], '', Report())
    return dukd.zoom_in, dukd.zoom_out


def make_labelling_options(opt: Mapping[str, Any]) -> dict[str, Any]:
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
    elif not read_needs(opt).parts:
        report.error('train', 'no loss asks a teacher; add kd_opt, feature_opt or dukd_opt.')
    if train.get('type') not in (TYPE, 'PairedImageDataset') or train['io_backend']['type'] != 'lmdb':
        report.error('datasets.train', 'upcycle reads LMDBs of a PairedImageDataset; make them with basicsr prepare.')
    for name in ('color', 'mean', 'std'):
        if train.get(name) is not None:
            report.error(f'datasets.train.{name}', 'the labels are in RGB and not normalised; leave it out.')
    report.finish()
    paths = {name: value for name, value in paths.items() if name.endswith('_t')}
    return {**opt, 'datasets': {'train': {**train, 'type': 'PairedImageDataset'}}, 'path': paths}


def complete_dataset(opt: Mapping[str, Any]) -> None:
    """Tell an UpcycledImageDataset which parts the losses of its run need, so that it reads no others."""
    if is_cached(opt):
        needs = read_needs(opt)
        opt['datasets']['train'].update(parts=list(needs.parts), zoom_in_num=needs.num)
