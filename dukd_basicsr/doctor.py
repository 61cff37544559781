"""`basicsr doctor`: what is installed, what this machine has, and the command that mends what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sys
from pathlib import Path

from dukd_basicsr import __version__
from dukd_basicsr.errors import UserError

PACKAGES = (
    'torch',
    'torchvision',
    'basicsr',
    'numpy',
    'opencv-python',
    'lmdb',
    'pyyaml',
    'scikit-image',
    'tensorboard',
)
INSTALL_TORCH = 'pip install torch torchvision setuptools wheel cython numpy'
INSTALL_BASICSR = 'pip install --no-build-isolation basicsr==1.4.2'
REMEDIES = {'torch': INSTALL_TORCH, 'torchvision': INSTALL_TORCH, 'basicsr': INSTALL_BASICSR}


def run() -> int:
    """Print the report.

    Returns:
        int: 0 when distillation can run here, 1 when something is missing.
    """
    write = sys.stdout.write
    write(f'dukd-basicsr {__version__} in {Path(__file__).parent}\n')
    write(f'Python {platform.python_version()} on {platform.platform()}, {os.cpu_count()} cores\n')
    problems = _python_problems() + _package_report()
    if not problems:
        problems = _import_report()
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    write(f'current directory: {Path.cwd()}, {free:.1f} GiB free\n')
    for problem in problems:
        write(f'PROBLEM: {problem}\n')
    write('all is well\n' if not problems else '')
    return 1 if problems else 0


def _python_problems() -> list[str]:
    if (3, 10) <= sys.version_info < (3, 13):
        return []
    return [f'Python {platform.python_version()}: basicsr 1.4.2 builds on 3.10 to 3.12 only; make an environment with '
            'one of them, e.g. python3.12 -m venv .venv']  # fmt: skip


def _package_report() -> list[str]:
    """One line a package; a sentence for each that is missing."""
    problems = []
    for package in PACKAGES:
        try:
            version = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            optional = package == 'tensorboard'  # basicsr brings it as tb-nightly
            version = 'not installed under this name' if optional else 'missing'
            if not optional:
                problems.append(f'{package} is missing: {REMEDIES.get(package, "pip install " + package)}')
        sys.stdout.write(f'  {package:<14} {version}\n')
    return problems


def _import_report() -> list[str]:
    """Import BasicSR through the plugin and look at the devices."""
    try:
        import dukd_basicsr.plugin  # noqa: F401
    except UserError as error:
        return list(error.messages)
    import basicsr
    import torch
    from basicsr.utils.registry import MODEL_REGISTRY

    sys.stdout.write(f'basicsr {basicsr.__version__} imported from {Path(str(basicsr.__file__)).parent}\n')
    sys.stdout.write(f'registered models: {", ".join(sorted(MODEL_REGISTRY.keys()))}\n')
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    sys.stdout.write(f'devices: {", ".join(devices) if devices else "CPU only (write num_gpu: 0 or auto)"}\n')
    backends = [name for name in ('nccl', 'gloo') if torch.distributed.is_backend_available(name)]
    sys.stdout.write(f'distributed backends: {", ".join(backends)}\n')
    return []
