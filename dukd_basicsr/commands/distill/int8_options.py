"""What the options file of a refinement for int8 says in other words than that of the training before it."""

from __future__ import annotations

import torch

from dukd_basicsr.commands.distill.photographs import CALIBRATION


def write_gpus(refines: str) -> str:
    """How many GPUs: several in one process have no common ranges.

    Args:
        refines (str): The checkpoint that is refined, empty for a training of its own; so for all here.
    """
    if refines and torch.cuda.device_count() > 1:
        return 'num_gpu: 1  # more for int8 only as one process for each: --launcher pytorch'
    return 'num_gpu: auto  # all GPUs; 0 for the CPU'


def write_start(refines: str) -> str:
    """The weights that the student starts from, in `path`."""
    if refines:
        return f'  pretrain_network_g: {refines}  # the trained student\n  param_key_g: params_ema  # its average\n'
    return '  pretrain_network_g: ~  # a checkpoint of the student, to start from it\n'


def explain_rate(refines: str) -> str:
    """Why the learning rate is as it is."""
    if refines:
        return "an eighth of the training's (docs/export.md)"
    return 'small students want a high one (docs/distill.md)'


def explain_way(refines: str) -> str:
    """Why it is computed as it is."""
    if refines:
        return 'roundings are those of float32; channels_last as the training had it'
    return 'measured on the machine that this file was written on: the quickest there'


def write_roundings(refines: str) -> str:
    """The key of `train` that rounds the student; nothing for a training of its own."""
    if not refines:
        return ''
    return (
        '  int8_opt:  # the student is computed as basicsr export --precision int8 writes it; not with amp or compile\n'
        f'    calibrate: {CALIBRATION}  # LR images that the ranges of its activations come from, once\n\n'
    )
