"""Importing this module makes BasicSR importable on today's stack and registers what the plugin adds.

A `train.py` of one's own needs one line before BasicSR:

    import dukd_basicsr.plugin
    from basicsr.train import train_pipeline

    train_pipeline('.')

Importing it again, reloading it or importing it under a second name changes nothing: everything is registered by
the module cache's one import of `dukd_basicsr.archs` and `dukd_basicsr.models`, and the patches are idempotent.
"""

from __future__ import annotations

import sys
from importlib import import_module

from dukd_basicsr.compat import check_basicsr_version, patch_basicsr, prepare_import
from dukd_basicsr.errors import UserError


def _import_basicsr() -> None:
    """Import BasicSR.

    Raises:
        UserError: It, or a package it needs, is not installed; with the commands that install it.
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


_import_basicsr()
check_basicsr_version()
patch_basicsr()
import_module('dukd_basicsr.archs')
import_module('dukd_basicsr.data.upcycled_image_dataset')
import_module('dukd_basicsr.losses')
import_module('dukd_basicsr.models')
