"""The registered models; importing this package registers them with BasicSR.

They build on what `compat` changes in BasicSR's own models, and on the registered networks, losses and data sets.
Whoever imports one of them directly, `from dukd_basicsr.models.dukd_model import DUKDModel`, has all of that too.
"""

from __future__ import annotations

from importlib import import_module

from dukd_basicsr.compat import set_up_basicsr

set_up_basicsr()  # before the modules that import it
for _name in ('archs', 'data.upcycled_image_dataset', 'losses'):
    import_module(f'dukd_basicsr.{_name}')
for _name in ('distill_model', 'dukd_model', 'dukd_real_model'):
    import_module(f'{__name__}.{_name}')
