"""Whether an upcycled cache belongs to the run that is to train from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dukd_basicsr.data.cache import manifest as stamps
from dukd_basicsr.options.rules.teacher import read_needs


def find_misfit(opt: Mapping[str, Any], root: Path) -> str | None:
    """Why a cache does not belong to a run: incomplete, of another teacher, scale or data, without what losses need.

    Args:
        opt (Mapping): Options with an UpcycledImageDataset to train on, whose LMDBs are there.
        root (Path): What relative paths start from.

    Returns:
        str | None: The first reason, as a sentence; None where it belongs.
    """
    return next((f'{problem}.' for problem in _find_misfits(opt, root)), None)


def _find_misfits(opt: Mapping[str, Any], root: Path) -> Iterator[str]:
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
    yield from _compare_teachers(name, stamp['teacher'], stamps.describe_teacher(opt, root), other)
    roots = [root / Path(dataset[key]).expanduser() for key in ('dataroot_gt', 'dataroot_lq')]
    if stamp['data'] != stamps.fingerprint_data(*roots):
        yield f'{name} was made from other data than dataroot_gt and dataroot_lq; {other}'
    yield from _compare_needs(name, stamp, opt, other)


def _compare_teachers(name: str, there: Mapping[str, Any], here: Mapping[str, Any], other: str) -> Iterator[str]:
    """The options and the weights need not be there any more; where they are, they must be those of the cache."""
    if here.get('networks', there['networks']) != there['networks']:
        yield f'{name} has labels of another network_t; {other}'
    for key, what in (('weights', 'other weights than path.pretrain_network_t has'), ('param_key', 'other weights')):
        if here.get(key, there[key]) != there[key]:
            yield f'{name} has labels of {what}; {other}'


def _compare_needs(name: str, stamp: Mapping[str, Any], opt: Mapping[str, Any], other: str) -> Iterator[str]:
    needs = read_needs(opt)
    missing = [part for part in needs.parts if part not in stamp['parts']]
    patch = opt['datasets']['train']['gt_size'] // opt['scale']
    if missing:
        yield f'{name} has no labels of {" and ".join(missing)}, which the losses of train need; {other}'
    if 'zoom_in' in needs.parts and patch > stamp['size']:
        yield (
            f'{name} has crops of {stamp["size"]}x{stamp["size"]}, but the LR patch is {patch}x{patch} (gt_size / '
            f'scale); write gt_size: {stamp["size"] * opt["scale"]} or less, or {other}'
        )
    if needs.num > stamp['per_image']:
        yield (
            f'{name} has {stamp["per_image"]} crops of each sub-image, but train.dukd_opt.zoom_in.num: {needs.num}; '
            f'write {stamp["per_image"]} or less, or {other}'
        )
