"""Before `import basicsr`: modules and operators that BasicSR 1.4.2 expects and today's stack lacks."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from dukd_basicsr.compat.loose_version import LooseVersion

# Operators live as long as the library object that declared them.
_libraries: list[Any] = []


def prepare_import() -> None:
    """Make `import basicsr` possible. Calling it again changes nothing."""
    declare_torchvision_operators()
    supply_functional_tensor()
    supply_scipy_filters()
    supply_distutils()


def declare_torchvision_operators() -> None:
    """Import torchvision even when its compiled operators do not load.

    Defect: torchvision/_meta_registrations.py:163, 177 (0.28) give `nms` and `qnms` a fake kernel at import, although
    torchvision/extension.py:36 silently goes on without the library that defines them.
    Symptom: `RuntimeError: operator torchvision::nms does not exist` on `import torchvision`, so on `import basicsr`,
    beside any torch that was built differently (CPU torch with the CUDA torchvision, another version).
    Threads: pytorch/pytorch#122494, #157648.
    Here: while torchvision is imported, an operator that is to get a fake kernel and does not exist is declared with a
    kernel that raises. Super-resolution calls none of them. Where the library loads, nothing is declared.
    """
    if 'torchvision' in sys.modules:
        return
    import torch.library

    stock_register_fake: Any = torch.library.register_fake

    def register_fake(op: object, *args: object, **kwargs: object) -> object:
        if isinstance(op, str) and op.startswith('torchvision::'):
            _declare_operator(op.removeprefix('torchvision::'))
        return stock_register_fake(op, *args, **kwargs)

    torch.library.register_fake = register_fake
    try:
        import_module('torchvision')
    finally:
        torch.library.register_fake = stock_register_fake


def _declare_operator(name: str) -> None:
    """Declare `torchvision::name` if no library has; calling it raises."""
    import torch

    if hasattr(torch.ops.torchvision, name):
        return
    known = '(Tensor dets, Tensor scores, float iou_threshold) -> Tensor'
    library = torch.library.Library('torchvision', 'FRAGMENT')
    library.define(name + (known if name in ('nms', 'qnms') else '(...) -> ...'))
    library.impl(name, _raising_kernel(name), 'CompositeExplicitAutograd')
    _libraries.append(library)


def _raising_kernel(name: str) -> Callable[..., NoReturn]:
    def kernel(*_: object) -> NoReturn:
        raise RuntimeError(
            f'torchvision::{name} is not available: the compiled operators of this torchvision do not load beside this '
            'torch. Install the two in one pip command from one index: pip install --force-reinstall torch torchvision'
        )

    return kernel


def supply_functional_tensor() -> None:
    """Supply `torchvision.transforms.functional_tensor`, which torchvision removed in 0.17.

    Defect: basicsr/data/degradations.py:8 imports it; basicsr/__init__.py:4 imports every dataset.
    Symptom: `ModuleNotFoundError: No module named 'torchvision.transforms.functional_tensor'` on `import basicsr`.
    Threads: XPixelGroup/BasicSR#533, #663; PR #650 (merged in 2024, never released).
    Here: only where that import fails, a module with just the function that BasicSR takes from it.
    """
    _supply('torchvision.transforms.functional_tensor', 'torchvision.transforms.functional', 'rgb_to_grayscale')


def supply_scipy_filters() -> None:
    """Supply `scipy.ndimage.filters`, which SciPy removes in 2.0.

    Defect: basicsr/metrics/niqe.py:5 imports `convolve` from it.
    Symptom: a DeprecationWarning today, `ModuleNotFoundError` on `import basicsr` with SciPy 2.
    Threads: none for BasicSR; SciPy's warning itself announces it.
    Here: only where that import fails, a module with just the function that BasicSR takes from it.
    """
    _supply('scipy.ndimage.filters', 'scipy.ndimage', 'convolve')


def supply_color_conversions() -> None:
    """Supply in `basicsr.utils.matlab_functions` what it held up to BasicSR 1.3: conversions from and to YCbCr.

    Defect: basicsr/utils/matlab_functions.py has imresize alone since 1.4.0; basicsr/utils/color_util.py has the rest.
    Symptom: `ImportError: cannot import name 'rgb2ycbcr' from 'basicsr.utils.matlab_functions'` on `import hat`, and
    from whatever else was written for BasicSR 1.3.
    Threads: none upstream.
    Here: the same functions under both names. Call it after `import basicsr`.
    """
    new, old = import_module('basicsr.utils.color_util'), import_module('basicsr.utils.matlab_functions')
    for name in ('rgb2ycbcr', 'bgr2ycbcr', 'ycbcr2rgb', 'ycbcr2bgr'):
        if not hasattr(old, name):
            setattr(old, name, getattr(new, name))


def supply_distutils() -> None:
    """Supply `distutils.version`, which Python removed in 3.12.

    Defect: basicsr/archs/arch_util.py:6 imports `LooseVersion` from it, to ask which torchvision is there.
    Symptom: `ModuleNotFoundError: No module named 'distutils'` on `import basicsr`, unless setuptools is installed,
    which brings a distutils of its own; nothing that BasicSR declares asks for it.
    Threads: none for BasicSR; the removal is PEP 632.
    Here: only where there is no distutils, a package with just that class.
    """
    if sys.modules.get('distutils') is not None or importlib.util.find_spec('distutils') is not None:
        return
    package, module = (ModuleType(name, 'Supplied by dukd_basicsr.') for name in ('distutils', 'distutils.version'))
    vars(package).update(__path__=[], version=module)
    vars(module)['LooseVersion'] = LooseVersion
    sys.modules.update({'distutils': package, 'distutils.version': module})


def _supply(missing: str, source: str, name: str) -> None:
    try:
        import_module(missing)
    except ModuleNotFoundError as error:
        if error.name != missing:
            raise
        module = ModuleType(missing, f'Supplied by dukd_basicsr: {name} of {source}.')
        vars(module)[name] = getattr(import_module(source), name)
        sys.modules[missing] = module


def check_basicsr_version() -> str | None:
    """Say which basicsr was imported when it is not pip's 1.4.x.

    Defect: HAT pins 1.3.4.9, and NAFNet, DAT, SRFormer, MambaIR, BSRN vendor a package of the same name.
    Symptom: `No object named 'X' found in 'model' registry`, far from the cause.
    Threads: megvii-research/NAFNet#89, zhengchen1999/DAT#66, XPixelGroup/BasicSR#506, #723.
    Here: one warning with version and folder. Call it after `import basicsr`.

    Returns:
        str | None: The line that was logged, None for an installed 1.4.x.
    """
    import basicsr

    version = getattr(basicsr, '__version__', 'without a version')
    folder = Path(str(basicsr.__file__)).resolve().parent
    try:
        installed = importlib.metadata.distribution('basicsr')
    except importlib.metadata.PackageNotFoundError:
        vendored = True
    else:
        vendored = Path(str(installed.locate_file('basicsr'))).resolve() != folder
    if version.startswith('1.4.') and not vendored:
        return None
    kind = 'a copy that pip did not install' if vendored else 'not 1.4.x'
    line = f'basicsr {version} was imported from {folder}: {kind}; dukd_basicsr is made for BasicSR 1.4.2.'
    logging.getLogger('dukd_basicsr').warning(line)
    return line
