"""Sizes of patches that networks and upcycled inputs need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dukd_basicsr.options.report import Report
from dukd_basicsr.options.rules.components import find_number
from dukd_basicsr.options.rules.losses import DUKD_MODELS
from dukd_basicsr.options.schema.file import Options


def check_patches(o: Options, gt_size: int | None, report: Report) -> None:
    """Patches that shrink to whole pixels and fill windows; without a teacher, where nothing pads, whole windows.

    Args:
        o (Options): The typed options, of a training run.
        gt_size (int | None): `datasets.train.gt_size`.
        report (Report): Collects the errors.
    """
    if not gt_size or not o.scale or gt_size % o.scale:
        return
    lq = gt_size // o.scale
    zoom_out = bool(o.model_type in DUKD_MODELS and o.train and o.train.dukd_opt and o.train.dukd_opt.zoom_out)
    window = _find_window(o.network_g) if o.model_type in ('SRModel', 'SwinIRModel') else None
    if zoom_out and lq % o.scale:
        report.error(
            'train.dukd_opt.zoom_out',
            f'an LR patch of {lq} (gt_size: {gt_size}) does not shrink by scale: '
            f'{o.scale}; {_advise_size(o.scale**2)}, or zoom_out: ~.',
        )
    elif window and lq % window:
        report.error(
            'network_g.window_size',
            f'an LR patch of {lq} (gt_size: {gt_size}) is not a multiple of the '
            f'window {window}; {_advise_size(o.scale * window)}.',
        )
    else:
        _check_windows(o, lq, zoom_out, report)


def _check_windows(o: Options, lq: int, zoom_out: bool, report: Report) -> None:
    """Padding mirrors an input; a window of more than twice its side shows the same pixels again and again."""
    scale = o.scale
    least, key, what, instead = lq, 'datasets.train.gt_size', 'an LR patch', ''
    if zoom_out:
        least, key, what, instead = lq // scale, 'train.dukd_opt.zoom_out', 'a zoomed-out patch', ', or zoom_out: ~'
    networks = o.network_t if isinstance(o.network_t, list) else [o.network_t]
    for network, name in ((o.network_g, 'network_g'), *((network, 'network_t') for network in networks)):
        window = _find_window(network)
        if window and window > 2 * least:
            factor = scale**2 if zoom_out else scale
            size = -(-window // 2) * factor
            report.error(
                key,
                f'{what} of {least} pixels cannot fill the window {window} of {name}, not even mirrored; '
                f'write gt_size: {size} or more{instead}.',
            )


def _advise_size(multiple: int) -> str:
    return f'write gt_size: {multiple} or a multiple of it'


def _find_window(network: Mapping[str, Any] | None) -> int | None:
    found = find_number(network, ('window_size',))
    return found[1] if found and found[1] > 0 else None
