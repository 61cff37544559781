"""The registered losses of distillation; importing this package registers every file `*_loss.py` in it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

from dukd_basicsr.losses.feature_loss import FeatureLoss, TappedLoss

__all__ = ['FeatureLoss', 'TappedLoss']

for _file in sorted(Path(__file__).parent.glob('*_loss.py')):
    import_module(f'{__name__}.{_file.stem}')
