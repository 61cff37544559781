"""All that is changed in stock BasicSR 1.4.2 and torchvision: one function per defect, each with its reason.

`prepare_import()` before the first `import basicsr`, `patch_basicsr()` after it; `dukd_basicsr.plugin` does both.
Importing this package loads neither torch nor basicsr. Line numbers are those of BasicSR 1.4.2 as pip installs it.
"""

from __future__ import annotations

from dukd_basicsr.compat.distributed import init_dist, model_to_device
from dukd_basicsr.compat.imports import (
    check_basicsr_version,
    declare_torchvision_operators,
    prepare_import,
    supply_functional_tensor,
    supply_scipy_filters,
)
from dukd_basicsr.compat.loading import load_network
from dukd_basicsr.compat.options import (
    copy_opt_file,
    force_yml,
    normalise_argv,
    ordered_yaml,
    parse_options,
    read_option_file,
    set_by_path,
)
from dukd_basicsr.compat.rebind import rebind, stock
from dukd_basicsr.compat.resume import check_resume, load_resume_state

__all__ = [
    'check_basicsr_version',
    'check_resume',
    'copy_opt_file',
    'declare_torchvision_operators',
    'force_yml',
    'init_dist',
    'load_network',
    'load_resume_state',
    'model_to_device',
    'normalise_argv',
    'ordered_yaml',
    'parse_options',
    'patch_basicsr',
    'prepare_import',
    'read_option_file',
    'set_by_path',
    'stock',
    'supply_functional_tensor',
    'supply_scipy_filters',
]


def patch_basicsr() -> None:
    """Put our functions in the place of BasicSR's, wherever BasicSR has bound them. Calling it again changes nothing.

    Raises:
        UserError: The imported basicsr has no function of that name, so it is not 1.4.x.
    """
    rebind('basicsr.utils.options', 'ordered_yaml', ordered_yaml)
    rebind('basicsr.utils.options', 'parse_options', parse_options)
    rebind('basicsr.utils.options', 'copy_opt_file', copy_opt_file)
    rebind('basicsr.utils.dist_util', 'init_dist', init_dist)
    rebind('basicsr.utils.misc', 'check_resume', check_resume)
    rebind('basicsr.train', 'load_resume_state', load_resume_state)
    rebind('basicsr.models.base_model', 'BaseModel.model_to_device', model_to_device)
    rebind('basicsr.models.base_model', 'BaseModel.load_network', load_network)
