"""`basicsr doctor`: what an issue has to say of an installation, and the command that mends what is missing.

Nothing here may fail: who asks the doctor has something that does not work. A probe that raises is a line of the
report, and what it could not find out is left out.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from dukd_basicsr import __version__
from dukd_basicsr.commands.doctor.probes import (
    changed_files,
    find_version,
    mended_imports,
    nvidia_driver,
    patched_by_others,
)
from dukd_basicsr.errors import UserError

INSTALL_TORCH = 'pip install torch torchvision setuptools wheel cython numpy'
INSTALL_BASICSR = 'pip install --no-build-isolation basicsr==1.4.2'
OPENCV = ('opencv-python', 'opencv-python-headless', 'opencv-contrib-python', 'opencv-contrib-python-headless')
VARIABLES = ('CUDA_VISIBLE_DEVICES', 'OMP_NUM_THREADS', 'PYTHONPATH')


@dataclass(frozen=True)
class Package:
    """Something that pip installs."""

    module: str
    names: tuple[str, ...]
    """Any of them brings the module."""
    remedy: str = ''
    """Default: pip install of the first name."""
    use: str = ''
    """What it is for, where it may be missing."""


PACKAGES = (
    Package('torch', ('torch',), INSTALL_TORCH),
    Package('torchvision', ('torchvision',), INSTALL_TORCH),
    Package('basicsr', ('basicsr',), INSTALL_BASICSR),
    Package('numpy', ('numpy',)),
    Package('scipy', ('scipy',)),
    Package('cv2', OPENCV),
    Package('PIL', ('pillow',)),
    Package('skimage', ('scikit-image',)),
    Package('lmdb', ('lmdb',)),
    Package('filelock', ('filelock',)),
    Package('yaml', ('pyyaml',)),
    Package('tqdm', ('tqdm',)),
    Package('safetensors', ('safetensors',)),
    Package('spandrel', ('spandrel',)),
    Package('tensorboard', ('tensorboard', 'tb-nightly'), use='logger.use_tb_logger: true'),
    Package('wandb', ('wandb',), use='logger.wandb'),
    Package('onnx', ('onnx',), use='basicsr export'),
    Package('onnxruntime', ('onnxruntime', 'onnxruntime-gpu'), use='basicsr export'),
    Package('matplotlib', ('matplotlib',), use='benchmarks/study'),
    Package('pyiqa', ('pyiqa',), use='basicsr benchmark --pyiqa'),
)
BY_PLUGIN = ('torchvision', 'basicsr')
"""Imported by the plugin, which mends what keeps them from it."""
AFTER_PLUGIN = ('spandrel',)
"""Imports torchvision too, so it is imported after the plugin."""


@dataclass
class Report:
    """What is known; written line by line, since importing torch takes seconds."""

    problems: list[str] = field(default_factory=list)

    def say(self, line: str) -> None:
        """Write a line, with '~' for the home folder, whose name is nobody's business."""
        home = str(Path.home())
        line = line.replace(home + os.sep, '~' + os.sep) if len(home) > 1 else line
        encoding = sys.stdout.encoding or 'utf-8'
        sys.stdout.write(line.encode(encoding, 'backslashreplace').decode(encoding) + '\n')
        sys.stdout.flush()


def run() -> int:
    """Write the report, as one block that an issue shows as it is.

    Returns:
        int: 0 when distillation can run here, 1 when something is missing.
    """
    report = Report()
    report.say('```')
    for probe in (_system, _packages, _imports, _basicsr, _devices, _folder, _shipped):
        _guarded(probe, report)
    for problem in report.problems:
        report.say(f'PROBLEM: {problem}')
    report.say('```' if report.problems else 'all is well\n```')
    return 1 if report.problems else 0


def _guarded(probe: Callable[[Report], None], report: Report) -> None:
    try:
        probe(report)
    except (Exception, SystemExit) as error:  # of anyone's broken package
        report.say(f'{probe.__name__.strip("_")}: not known ({_first_line(error)})')


def _first_line(error: BaseException) -> str:
    return f'{type(error).__name__}: {str(error).strip()}'.splitlines()[0]


def _system(report: Report) -> None:
    report.say(f'dukd-basicsr {__version__} in {Path(__file__).parents[2]}')
    report.say(f'Python {platform.python_version()} at {sys.executable}')
    report.say(f'{platform.platform()}, {os.cpu_count()} cores')
    for name in VARIABLES:
        if name in os.environ:
            report.say(f'{name}={os.environ[name]}')
    if not (3, 10) <= sys.version_info[:2] < (3, 13):
        report.problems.append(
            f'Python {platform.python_version()}: basicsr 1.4.2 builds on 3.10 to 3.12 only; make '
            'an environment with one of them, e.g. python3.12 -m venv .venv'
        )


def _packages(report: Report) -> None:
    """One line a package; a problem for each that is missing and has to be there."""
    for package in PACKAGES:
        name, version = find_version(package.names)
        remedy = package.remedy or f'pip install {name}'
        if version is None and not package.use:
            report.problems.append(f'{name} is missing: {remedy}')
        report.say(f'  {name:<14} {version or f"missing (for {package.use}: {remedy})" if package.use else version}')


def _imports(report: Report) -> None:
    """Whether what is installed can be imported, by itself or with the plugin; one problem for each that cannot."""
    for package in PACKAGES:
        if not package.use and package.module not in BY_PLUGIN + AFTER_PLUGIN:
            _import_package(package, report)
    if report.problems:
        return
    try:
        import dukd_basicsr.plugin  # noqa: F401
    except UserError as error:
        report.problems += error.messages
    except (Exception, SystemExit) as error:
        report.problems.append(
            f'BasicSR cannot be imported ({_first_line(error)}): {INSTALL_TORCH} && '
            f'{INSTALL_BASICSR} --force-reinstall --no-deps'
        )
    for package in PACKAGES:
        if package.module in AFTER_PLUGIN:
            _import_package(package, report)


def _import_package(package: Package, report: Report) -> None:
    if find_version(package.names)[1] is None:
        return
    try:
        __import__(package.module)
    except (Exception, SystemExit) as error:
        remedy = package.remedy or _reinstall(package, error)
        report.problems.append(
            f'{package.names[0]} is installed and cannot be imported ({_first_line(error)}): {remedy}'
        )


def _reinstall(package: Package, error: BaseException) -> str:
    """For OpenCV where the system lacks a library of the desktop (libGL.so.1): the build that needs none."""
    name = package.names[0]
    if package.names == OPENCV and isinstance(error, ImportError) and '.so' in str(error):
        return f'pip uninstall -y {" ".join(OPENCV)} && pip install opencv-python-headless'
    return f'pip install --force-reinstall {name}'


def _basicsr(report: Report) -> None:
    if report.problems:
        return
    import basicsr
    from basicsr.utils.registry import MODEL_REGISTRY

    report.say(f'basicsr {basicsr.__version__} imported from {Path(str(basicsr.__file__)).parent}')
    changed, patched = changed_files('basicsr'), patched_by_others()
    report.say(f'  its files: {"as pip installed them" if not changed else "changed since: " + ", ".join(changed)}')
    report.say(f'  mended for this import: {", ".join(mended_imports()) or "nothing"}')
    if patched:
        report.say(f'  patched by others: {", ".join(patched)}')
    report.say(f'  registered models: {", ".join(sorted(MODEL_REGISTRY.keys()))}')


def _devices(report: Report) -> None:
    import torch

    driver = nvidia_driver()
    for index in range(torch.cuda.device_count()):
        device = torch.cuda.get_device_properties(index)
        memory = f'{device.total_memory / 2**30:.0f} GiB, capability {device.major}.{device.minor}'
        report.say(f'devices: {index}: {device.name}, {memory}')
    if not torch.cuda.device_count():
        report.say('devices: CPU only (write num_gpu: 0 or auto)')
    if driver and not torch.cuda.device_count():
        report.say('  but there is an NVIDIA driver: install a torch built for CUDA, or unset CUDA_VISIBLE_DEVICES')
    build = f'CUDA {torch.version.cuda}' if torch.version.cuda else 'the CPU'
    report.say(f'torch built for {build}, NVIDIA driver {driver or "not found"}, {torch.get_num_threads()} threads')
    backends = [name for name in ('nccl', 'gloo') if torch.distributed.is_backend_available(name)]
    report.say(f'distributed backends: {", ".join(backends) or "none"}')


def _folder(report: Report) -> None:
    """Runs go below the current directory."""
    import shutil

    folder = Path.cwd()
    try:
        with tempfile.TemporaryFile(dir=folder):
            writable = 'can be written to'
    except OSError as error:
        writable = f'cannot be written to ({error.strerror}): start from a folder that can'
    report.say(f'current folder: {folder}, {shutil.disk_usage(folder).free / 2**30:.1f} GiB free, {writable}')


def _shipped(report: Report) -> None:
    from dukd_basicsr.options import shipped

    try:
        report.say(f'shipped options: {len(shipped.list_files())} (basicsr options list)')
    except UserError as error:
        report.problems += error.messages
