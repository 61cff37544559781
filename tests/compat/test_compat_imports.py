"""BasicSR's import on today's stack: first the stock failure, then ours."""

from __future__ import annotations

import importlib
import json
import logging
import runpy
import subprocess
import sys
from types import ModuleType

import basicsr
import pytest
import scipy.ndimage
import torchvision

import dukd_basicsr.plugin
from dukd_basicsr import compat
from dukd_basicsr.compat import imports
from dukd_basicsr.compat.rebind import rebind
from dukd_basicsr.errors import UserError

# A torchvision whose compiled library does not load, whatever the machine has: stock fails, then ours goes on in the
# same process, among the modules that the failures have left behind.
FROM_NOTHING = """
import json, sys
import torch

def no_library(path):
    raise OSError('undefined symbol')

def failure(run):
    try:
        run()
    except Exception as error:
        return f'{type(error).__name__}: {error}'

torch.ops.load_library = no_library
seen = {'stock_torchvision': failure(lambda: __import__('torchvision'))}
for name in [name for name in sys.modules if name.partition('.')[0] == 'torchvision']:
    del sys.modules[name]  # what a failed import leaves of an older one
from dukd_basicsr import compat
sys.meta_path.pop(0)  # dukd_basicsr's, which would do what is shown step by step here
compat.imports.declare_torchvision_operators()
import torchvision
boxes, scores = torch.tensor([[0.0, 0.0, 1.0, 1.0]]), torch.ones(1)
seen['nms'] = failure(lambda: torch.ops.torchvision.nms(boxes, scores, 0.5))
seen['public_nms'] = failure(lambda: torchvision.ops.nms(boxes, scores, 0.5))
seen['stock_basicsr'] = failure(lambda: __import__('basicsr'))
compat.prepare_import()
seen['basicsr'] = failure(lambda: __import__('basicsr'))
compat.patch_basicsr()
first = sys.modules['basicsr.train'].load_resume_state
compat.patch_basicsr()
seen['patched'] = first is sys.modules['basicsr.train'].load_resume_state is compat.load_resume_state
print('SEEN', json.dumps(seen))
"""


def _python(code):
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_where_basicsr_is_may_be_asked_without_torch():
    code = (
        'import sys, importlib.util, dukd_basicsr; importlib.util.find_spec("basicsr"); print("torch" in sys.modules)'
    )
    assert _python(code).strip() == 'False'


def test_import_from_nothing():
    seen = json.loads(_python(FROM_NOTHING).partition('SEEN ')[2])
    assert seen['stock_torchvision'] == 'RuntimeError: operator torchvision::nms does not exist'
    assert 'torchvision::nms is not available' in seen['nms']
    assert seen['public_nms'].startswith('RuntimeError')
    assert "No module named 'torchvision.transforms.functional_tensor'" in seen['stock_basicsr']
    assert seen['basicsr'] is None
    assert seen['patched'] is True


def test_the_package_is_light():
    heavy = ('torch', 'torchvision', 'basicsr', 'numpy', 'scipy')
    code = f'import sys, dukd_basicsr, dukd_basicsr.compat; print([m for m in {heavy} if m in sys.modules])'
    assert _python(code).strip() == '[]'


def test_operators_are_declared_only_where_the_library_does_not_load():
    declared = len(imports._libraries)
    assert bool(declared) != torchvision.extension._has_ops()
    imports.declare_torchvision_operators()
    assert len(imports._libraries) == declared


@pytest.mark.parametrize(
    ('name', 'supply', 'function', 'source'),
    [
        ('torchvision.transforms.functional_tensor', imports.supply_functional_tensor, 'rgb_to_grayscale',
         torchvision.transforms.functional),
        ('scipy.ndimage.filters', imports.supply_scipy_filters, 'convolve', scipy.ndimage),
    ],
)  # fmt: skip
def test_a_removed_module_is_supplied_and_a_present_one_left_alone(monkeypatch, name, supply, function, source):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(name)
    supply()
    supplied = importlib.import_module(name)
    assert getattr(supplied, function) is getattr(source, function)
    assert [key for key in vars(supplied) if not key.startswith('__')] == [function]

    present = ModuleType(name)
    monkeypatch.setitem(sys.modules, name, present)
    supply()
    assert sys.modules[name] is present


def test_without_distutils_basicsr_is_imported_all_the_same():
    """As on Python 3.12 without setuptools: neither distutils nor the finder that setuptools puts in its place."""
    code = (
        'import sys\n'
        "sys.meta_path[:] = [each for each in sys.meta_path if 'distutils' not in type(each).__module__]\n"
        "sys.modules['distutils'] = sys.modules['setuptools'] = sys.modules['_distutils_hack'] = None\n"
        'import dukd_basicsr, basicsr.archs.arch_util as util\n'
        'print(util.LooseVersion.__module__, sys.modules["distutils"].__doc__)'
    )
    assert _python(code).strip() == 'dukd_basicsr.compat.loose_version Supplied by dukd_basicsr.'


def test_a_distutils_that_is_there_is_left_alone(monkeypatch):
    present = ModuleType('distutils')
    monkeypatch.setitem(sys.modules, 'distutils', present)
    imports.supply_distutils()
    assert sys.modules['distutils'] is present


def test_plugin_registers_once_under_any_name():
    from basicsr.utils.registry import MODEL_REGISTRY

    registered = dict(iter(MODEL_REGISTRY))
    with pytest.raises(AssertionError, match='already registered'):
        MODEL_REGISTRY.register(type('SRModel', (), {}))
    importlib.reload(dukd_basicsr.plugin)
    runpy.run_path(dukd_basicsr.plugin.__file__, run_name='plugin')
    assert dict(iter(MODEL_REGISTRY)) == registered
    assert compat.stock(compat.load_resume_state).__module__ == 'basicsr.train'


@pytest.mark.parametrize(('version', 'hint'), [((3, 11), False), ((3, 13), True)])
def test_without_basicsr_the_plugin_says_how_to_install_it(monkeypatch, version, hint):
    monkeypatch.setitem(sys.modules, 'basicsr', None)
    monkeypatch.setattr(sys, 'version_info', version)
    with pytest.raises(UserError, match=r'pip install --no-build-isolation basicsr==1\.4\.2') as caught:
        compat.set_up_basicsr.__wrapped__()
    assert 'no module named basicsr' in str(caught.value)
    assert ('3.10-3.12' in str(caught.value)) is hint


def test_another_basicsr_is_named_in_one_line(monkeypatch, tmp_path, caplog):
    caplog.set_level(logging.WARNING, 'dukd_basicsr')
    monkeypatch.setattr(logging.getLogger('dukd_basicsr'), 'propagate', True)
    assert compat.check_basicsr_version() is None
    assert not caplog.records

    with monkeypatch.context() as patch:
        patch.setattr(basicsr, '__version__', '1.3.4.9')
        assert 'basicsr 1.3.4.9 was imported from' in compat.check_basicsr_version()
    monkeypatch.setattr(basicsr, '__file__', str(tmp_path / 'basicsr' / '__init__.py'))
    line = compat.check_basicsr_version()
    assert str(tmp_path / 'basicsr') in line
    assert '\n' not in line
    assert caplog.messages[-1] == line
    assert len(caplog.messages) == 2


@pytest.mark.parametrize('module', ['basicsr.train', 'basicsr.no_such_module'])
def test_a_fork_without_our_functions_is_named(module):
    with pytest.raises(UserError, match=f'has no {module}.no_such_function, so it is not BasicSR 1.4.x'):
        rebind(module, 'no_such_function', lambda: None)
