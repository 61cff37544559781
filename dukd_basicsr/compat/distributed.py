"""`--launcher pytorch` on CPU, and on the right GPU."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from typing import TYPE_CHECKING, Any

from dukd_basicsr.errors import UserError

if TYPE_CHECKING:
    from basicsr.models.base_model import BaseModel
    from torch import nn

_COMMAND = 'torchrun --nproc_per_node=N -m dukd_basicsr train -opt FILE --launcher pytorch'


def init_dist(launcher: str, backend: str = 'nccl', **kwargs: Any) -> None:
    """Join the process group: gloo where there is no CUDA device.

    Defect: basicsr/utils/dist_util.py:10-25 wants nccl, takes the device from the *global* rank modulo the number of
    GPUs and reads RANK unchecked; :11-12 forces `spawn` for every process; nobody ever leaves the group.
    Symptom: `ZeroDivisionError: integer modulo by zero` on CPU, `KeyError: 'RANK'` without torchrun, two processes on
    one GPU across unequal machines, a warning about `destroy_process_group` at the end.
    Threads: open-mmlab/mmdetection#368, where BasicSR has these lines from.
    Here: gloo and no device on CPU; on CUDA the device is LOCAL_RANK and `spawn` stays, since CUDA does not survive a
    fork; the group is left at exit.

    Args:
        launcher (str): 'pytorch' (torchrun) or 'slurm'.
        backend (str): 'nccl', or 'gloo' to have that on CUDA too. Without CUDA or nccl it is always gloo.
        kwargs: For `init_process_group`, or for BasicSR's slurm launcher.

    Raises:
        UserError: Not started by torchrun; slurm without CUDA.
        ValueError: Another launcher.
    """
    import torch.distributed as dist
    import torch.multiprocessing as mp
    from basicsr.utils import dist_util
    from torch import cuda

    if launcher not in ('pytorch', 'slurm'):
        raise ValueError(f'Invalid launcher type: {launcher}')
    on_cuda = cuda.is_available()
    if on_cuda and mp.get_start_method(allow_none=True) is None:
        mp.set_start_method('spawn')
    if not on_cuda or not dist.is_nccl_available():
        backend = 'gloo'
    atexit.register(_leave_group)
    if launcher == 'pytorch':
        rank = _torchrun_rank()
        if on_cuda:
            cuda.set_device(int(os.environ.get('LOCAL_RANK', rank)) % cuda.device_count())
        dist.init_process_group(backend=backend, **kwargs)
    elif on_cuda:
        dist_util._init_dist_slurm(backend, **kwargs)
    else:
        raise UserError(f'--launcher slurm needs CUDA devices and there are none; on CPU run {_COMMAND}')


def _torchrun_rank() -> int:
    missing = [name for name in ('RANK', 'WORLD_SIZE', 'MASTER_ADDR', 'MASTER_PORT') if name not in os.environ]
    if missing:
        raise UserError(f'--launcher pytorch was given, but torchrun has not started this process ({missing[0]} is not '
                        f'set); run: {_COMMAND}.')  # fmt: skip
    return int(os.environ['RANK'])


def _leave_group() -> None:
    """Leave the process group, but not while an exception ends this process: the others may be waiting for it."""
    import torch.distributed as dist

    if dist.is_initialized() and getattr(sys, 'last_value', None) is None:
        gc.collect()  # DDP modules in reference cycles; one that outlives its group can abort the interpreter's end
        dist.destroy_process_group()


def model_to_device(self: BaseModel, net: nn.Module) -> nn.Module:
    """`BaseModel.model_to_device`: move a network to its device and wrap it for several processes or GPUs.

    Defect: basicsr/models/base_model.py:97-98 passes `device_ids=[torch.cuda.current_device()]` always.
    Symptom: `Found no NVIDIA driver on your system` (or `Torch not compiled with CUDA enabled`) under gloo.
    Threads: XPixelGroup/BasicSR#107 ("CUDA required?").
    Here: device_ids only on CUDA; the rest as stock.

    Args:
        self (BaseModel): Reads `device` and the options `dist`, `num_gpu`, `find_unused_parameters`.
        net (nn.Module): Must have a parameter that requires a gradient if `dist`; a teacher does not belong here.

    Returns:
        nn.Module: The network, wrapped in DistributedDataParallel if `dist`, in DataParallel if `num_gpu` > 1.
    """
    import torch
    from torch.nn.parallel import DataParallel, DistributedDataParallel

    net = net.to(self.device)
    if self.opt['dist']:
        devices = [torch.cuda.current_device()] if torch.device(self.device).type == 'cuda' else None
        unused = self.opt.get('find_unused_parameters', False)
        return DistributedDataParallel(net, device_ids=devices, find_unused_parameters=unused)
    return DataParallel(net) if self.opt['num_gpu'] > 1 else net
