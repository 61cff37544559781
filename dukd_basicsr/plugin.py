"""Importing this module makes BasicSR importable on today's stack and registers what the plugin adds.

A `train.py` of one's own needs one line before BasicSR:

    import dukd_basicsr.plugin
    from basicsr.train import train_pipeline

    train_pipeline('.')

Importing it again, reloading it or importing it under a second name changes nothing: everything is registered by
the module cache's one import of `dukd_basicsr.archs` and `dukd_basicsr.models`, and the patches are idempotent.
"""

from __future__ import annotations

from importlib import import_module

import_module('dukd_basicsr.models')  # which sets up BasicSR, and registers what the models need before them
