"""All that is changed in stock BasicSR 1.4.2 and torchvision: one function per defect, each with its reason.

`prepare_import()` before the first `import basicsr`, `patch_basicsr()` after it; `set_up_basicsr()` does both.
Importing this package loads neither torch nor basicsr. Line numbers are those of BasicSR 1.4.2 as pip installs it.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from dukd_basicsr.compat.base_model import (
    get_optimizer,
    init_base_model,
    model_ema,
    resume_training,
    save_network,
    save_training_state,
    setup_schedulers,
    training_state,
)
from dukd_basicsr.compat.distributed import init_dist, model_to_device
from dukd_basicsr.compat.imports import check_basicsr_version, prepare_import, supply_color_conversions
from dukd_basicsr.compat.lmdb import get_from_lmdb, init_lmdb_backend
from dukd_basicsr.compat.load_network import load_network
from dukd_basicsr.compat.logger import init_wandb_logger
from dukd_basicsr.compat.message_logger import init_message_logger
from dukd_basicsr.compat.options import copy_opt_file, ordered_yaml, parse_options
from dukd_basicsr.compat.paired_dataset import read_pair, reduce_pairs
from dukd_basicsr.compat.rebind import rebind, stock
from dukd_basicsr.compat.registry import get_registered
from dukd_basicsr.compat.swinir import calculate_mask
from dukd_basicsr.compat.train import check_resume, create_train_val_dataloader, load_resume_state, train_pipeline
from dukd_basicsr.compat.validation import dist_validation, nondist_validation
from dukd_basicsr.errors import UserError

__all__ = ['PATCHES', 'check_basicsr_version', 'patch_basicsr', 'prepare_import', 'set_up_basicsr', 'stock']

PATCHES: tuple[tuple[str, str, Callable[..., Any]], ...] = (
    ('basicsr.utils.options', 'ordered_yaml', ordered_yaml),
    ('basicsr.utils.options', 'parse_options', parse_options),
    ('basicsr.utils.options', 'copy_opt_file', copy_opt_file),
    ('basicsr.utils.dist_util', 'init_dist', init_dist),
    ('basicsr.utils.logger', 'init_wandb_logger', init_wandb_logger),
    ('basicsr.utils.misc', 'check_resume', check_resume),
    ('basicsr.utils.registry', 'Registry.get', get_registered),
    ('basicsr.utils.logger', 'MessageLogger.__init__', init_message_logger),
    ('basicsr.utils.file_client', 'LmdbBackend.__init__', init_lmdb_backend),
    ('basicsr.utils.file_client', 'LmdbBackend.get', get_from_lmdb),
    ('basicsr.data.paired_image_dataset', 'PairedImageDataset.__getitem__', read_pair),
    ('basicsr.data.paired_image_dataset', 'PairedImageDataset.__reduce__', reduce_pairs),
    ('basicsr.archs.swinir_arch', 'SwinTransformerBlock.calculate_mask', calculate_mask),
    ('basicsr.models.base_model', 'BaseModel.__init__', init_base_model),
    ('basicsr.models.base_model', 'BaseModel.model_to_device', model_to_device),
    ('basicsr.models.base_model', 'BaseModel.load_network', load_network),
    ('basicsr.models.base_model', 'BaseModel.get_optimizer', get_optimizer),
    ('basicsr.models.base_model', 'BaseModel.model_ema', model_ema),
    ('basicsr.models.base_model', 'BaseModel.setup_schedulers', setup_schedulers),
    ('basicsr.models.base_model', 'BaseModel.resume_training', resume_training),
    ('basicsr.models.base_model', 'BaseModel.save_network', save_network),
    ('basicsr.models.base_model', 'BaseModel.save_training_state', save_training_state),
    ('basicsr.models.sr_model', 'SRModel.nondist_validation', nondist_validation),
    ('basicsr.models.sr_model', 'SRModel.dist_validation', dist_validation),
    ('basicsr.train', 'load_resume_state', load_resume_state),
    ('basicsr.train', 'create_train_val_dataloader', create_train_val_dataloader),
    ('basicsr.train', 'train_pipeline', train_pipeline),
)
"""Module, name in it, and the function of ours that takes its place wherever BasicSR has bound it."""


@functools.cache
def set_up_basicsr() -> None:
    """Import BasicSR and put our functions in the place of its own. Calling it again changes nothing.

    Raises:
        UserError: It, or a package it needs, is not installed; with the commands that install it. Or it is not 1.4.x.
    """
    try:
        prepare_import()
        import_module('basicsr')
    except ModuleNotFoundError as error:
        messages = [
            f'BasicSR cannot be imported: no module named {error.name}. Install it in two steps, so that torch is '
            'downloaded once:',
            '  pip install torch torchvision setuptools wheel cython numpy',
            '  pip install --no-build-isolation basicsr==1.4.2',
        ]
        if sys.version_info >= (3, 13):
            messages.append('BasicSR cannot be built on Python 3.13 and later: make the environment with 3.10-3.12.')
        raise UserError(*messages) from error
    check_basicsr_version()
    patch_basicsr()


def patch_basicsr() -> None:
    """Put our functions in the place of BasicSR's. Calling it again changes nothing.

    Raises:
        UserError: The imported basicsr has no function of that name, so it is not 1.4.x.
    """
    from basicsr.models.base_model import BaseModel

    for module, name, ours in PATCHES:
        rebind(module, name, ours)
    supply_color_conversions()
    BaseModel.training_state = training_state  # BasicSR has none, but super() must find one
