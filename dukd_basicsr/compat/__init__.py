"""All that is changed in stock BasicSR 1.4.2 and torchvision: one function per defect, each with its reason.

`prepare_import()` before the first `import basicsr`, `patch_basicsr()` after it; `dukd_basicsr.plugin` does both.
Importing this package loads neither torch nor basicsr. Line numbers are those of BasicSR 1.4.2 as pip installs it.
"""

from __future__ import annotations

from dukd_basicsr.compat.dataloaders import create_train_val_dataloader
from dukd_basicsr.compat.distributed import init_dist, model_to_device
from dukd_basicsr.compat.imports import (
    check_basicsr_version,
    declare_torchvision_operators,
    prepare_import,
    supply_functional_tensor,
    supply_scipy_filters,
)
from dukd_basicsr.compat.lmdb import get_from_lmdb, lmdb_backend
from dukd_basicsr.compat.load_network import load_network
from dukd_basicsr.compat.options import (
    copy_opt_file,
    force_yml,
    normalise_argv,
    ordered_yaml,
    parse_options,
    read_option_file,
    set_by_path,
)
from dukd_basicsr.compat.paired_dataset import carry_plugin_to_workers, read_pair
from dukd_basicsr.compat.rebind import rebind, stock
from dukd_basicsr.compat.resume import check_resume, load_resume_state
from dukd_basicsr.compat.saving import get_optimizer, model_ema, resume_training, save_network, save_training_state
from dukd_basicsr.compat.swinir import calculate_mask
from dukd_basicsr.compat.train import train_pipeline
from dukd_basicsr.compat.validation import dist_validation, nondist_validation

__all__ = [
    'calculate_mask',
    'carry_plugin_to_workers',
    'check_basicsr_version',
    'check_resume',
    'copy_opt_file',
    'create_train_val_dataloader',
    'declare_torchvision_operators',
    'dist_validation',
    'force_yml',
    'get_from_lmdb',
    'get_optimizer',
    'init_dist',
    'lmdb_backend',
    'load_network',
    'load_resume_state',
    'model_ema',
    'model_to_device',
    'nondist_validation',
    'normalise_argv',
    'ordered_yaml',
    'parse_options',
    'patch_basicsr',
    'prepare_import',
    'read_option_file',
    'read_pair',
    'resume_training',
    'save_network',
    'save_training_state',
    'set_by_path',
    'stock',
    'supply_functional_tensor',
    'supply_scipy_filters',
    'train_pipeline',
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
    rebind('basicsr.utils.file_client', 'LmdbBackend.__init__', lmdb_backend)
    rebind('basicsr.utils.file_client', 'LmdbBackend.get', get_from_lmdb)
    rebind('basicsr.data.paired_image_dataset', 'PairedImageDataset.__getitem__', read_pair)
    rebind('basicsr.archs.swinir_arch', 'SwinTransformerBlock.calculate_mask', calculate_mask)
    carry_plugin_to_workers()
    for method in (get_optimizer, model_ema, resume_training, save_network, save_training_state):
        rebind('basicsr.models.base_model', f'BaseModel.{method.__name__}', method)
    rebind('basicsr.train', 'create_train_val_dataloader', create_train_val_dataloader)
    rebind('basicsr.train', 'train_pipeline', train_pipeline)
    rebind('basicsr.models.sr_model', 'SRModel.nondist_validation', nondist_validation)
    rebind('basicsr.models.sr_model', 'SRModel.dist_validation', dist_validation)
