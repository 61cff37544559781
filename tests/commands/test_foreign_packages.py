"""`--import` of packages, folders and copies of BasicSR, in the structure that other repositories have."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pytest
import yaml
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, MODEL_REGISTRY

from dukd_basicsr import cli, options
from dukd_basicsr.commands import user_modules
from dukd_basicsr.errors import UserError
from tests.toys import REPOSITORY

ARCH = """
from basicsr.archs.arch_util import to_2tuple
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn


@ARCH_REGISTRY.register()
class {name}(nn.Module):
    def __init__(self, dim=4, upscaling_factor=2):
        super().__init__()
        self.body = nn.Conv2d(3, dim, to_2tuple(3), padding=1)
        self.tail = nn.Sequential(nn.Conv2d(dim, 3 * upscaling_factor**2, 3, 1, 1), nn.PixelShuffle(upscaling_factor))

    def forward(self, x):
        return self.tail(self.body(x))
"""
SCAN = """
import importlib
from os import path as osp

from basicsr.utils import scandir

folder = osp.dirname(osp.abspath(__file__))
names = [osp.splitext(osp.basename(v))[0] for v in scandir(folder) if v.endswith('{end}.py')]
modules = [importlib.import_module(f'{package}.{{name}}') for name in names]
"""
DATASET = """
from basicsr.utils.matlab_functions import imresize, rgb2ycbcr
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils import data


@DATASET_REGISTRY.register()
class {name}(data.Dataset):
    def __init__(self, opt):
        self.luma = rgb2ycbcr
"""
MODEL = """
from basicsr.utils.registry import MODEL_REGISTRY
from {sr} import SRModel


@MODEL_REGISTRY.register()
class {name}(SRModel):
    def pre_process(self):
        self.scale = self.opt['scale']
"""


@pytest.fixture(autouse=True)
def _as_it_was(tmp_path, monkeypatch):
    """In a folder of its own; what has been imported from it is forgotten."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', sys.path[:])
    before = set(sys.modules)
    registries = (ARCH_REGISTRY, DATASET_REGISTRY, LOSS_REGISTRY, MODEL_REGISTRY)
    known = [dict(registry._obj_map) for registry in registries]
    yield
    for name in set(sys.modules) - before:
        if str(tmp_path) in str(getattr(sys.modules[name], '__file__', '')):
            del sys.modules[name]
    for registry, names in zip(registries, known, strict=True):
        registry._obj_map = names
    for part in ('archs', 'data', 'losses', 'metrics', 'models'):
        paths = importlib.import_module(f'basicsr.{part}').__path__
        paths[:] = [path for path in paths if str(tmp_path) not in path]


def write(**files):
    """Files by their paths, in which `__` is a slash."""
    for path, text in files.items():
        file = Path(*path.split('__')).with_suffix('.py')
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding='utf-8')


def write_package():
    """As HAT's: each part imports the files of its folder."""
    write(
        hut__archs__hut_arch=ARCH.format(name='Hut'), hut__data__hut_dataset=DATASET.format(name='HutData'),
        hut__models__hut_model=MODEL.format(name='HutModel', sr='basicsr.models.sr_model'),
    )  # fmt: skip
    for part, end in (('archs', '_arch'), ('data', '_dataset'), ('models', '_model')):
        Path('hut', part, '__init__.py').write_text(SCAN.format(end=end, package=f'hut.{part}'), encoding='utf-8')
    Path('hut/__init__.py').write_text(
        'from .archs import *\nfrom .data import *\nfrom .models import *\n', encoding='utf-8'
    )


def write_copy():
    """As in DAT, SAFMN and MTKD: files of their own in a copy of BasicSR, one of which has stock's losses too."""
    losses = LOSSES.format(one='L1Loss', two='OddLoss')
    write(
        basicsr__archs__hip_arch=ARCH.format(name='Hip'), basicsr__archs__edsr_arch='raise SystemExit\n',
        basicsr__losses__losses=losses, basicsr__models__hip_model=MODEL.format(name='HipModel', sr='.sr_model'),
        basicsr__data__hip_dataset=DATASET.format(name='HipData'), basicsr__data__data_util='raise SystemExit\n',
    )  # fmt: skip
    for folder in ('', 'archs', 'data', 'losses', 'models'):
        Path('basicsr', folder, '__init__.py').write_text('raise SystemExit\n', encoding='utf-8')


LOSSES = """
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn


@LOSS_REGISTRY.register()
class {one}(nn.Module):
    pass


@LOSS_REGISTRY.register()
class {two}(nn.Module):
    pass
"""


@pytest.mark.parametrize('name', ['hut', './hut', 'hut/'])
def test_a_package_by_its_folder(name):
    write_package()
    user_modules.load([Path(name)])
    assert 'Hut' in ARCH_REGISTRY
    assert 'HutModel' in MODEL_REGISTRY
    assert 'HutData' in DATASET_REGISTRY  # it takes rgb2ycbcr from where BasicSR 1.3 had it
    user_modules.load([Path(name)])  # once more changes nothing


def test_an_installed_package_by_its_name(tmp_path):
    write_package()
    sys.path.append(str(tmp_path))
    Path('elsewhere').mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir('elsewhere')
        user_modules.load([Path('hut')])
        user_modules.load([Path('hut.archs.hut_arch')])
    assert 'Hut' in ARCH_REGISTRY


def test_a_folder_of_files():
    write(mine__a_arch=ARCH.format(name='MineA'), mine__b_arch=ARCH.format(name='MineB'))
    user_modules.load([Path('mine')])
    assert 'MineA' in ARCH_REGISTRY
    assert 'MineB' in ARCH_REGISTRY


@pytest.mark.parametrize('name', ['basicsr', 'basicsr/models', 'basicsr/models/hip_model.py'])
def test_a_copy_of_basicsr_for_what_is_new_in_it(name):
    write_copy()
    stock = LOSS_REGISTRY.get('L1Loss')
    user_modules.load([Path(name)])
    assert 'HipModel' in MODEL_REGISTRY
    assert MODEL_REGISTRY.get('HipModel').__module__ == 'basicsr.models.hip_model'
    assert ('Hip' in ARCH_REGISTRY) == ('OddLoss' in LOSS_REGISTRY) == (name == 'basicsr')
    assert LOSS_REGISTRY.get('L1Loss') is stock
    with pytest.raises(AssertionError, match='already registered'):  # as ever, outside of copies
        LOSS_REGISTRY._do_register('L1Loss', stock)


def said(name):
    with pytest.raises(UserError) as caught:
        user_modules.load([Path(name)])
    return caught.value.messages[0]


def test_what_is_wrong_has_its_sentence():
    write_copy()
    write(
        needy__a_arch='import timm_that_is_nowhere.layers\n', needy__deep='', bad__a='x = 1\nraise ValueError("no")\n'
    )
    Path('empty').mkdir()
    Path('json').mkdir()
    Path('json/__init__.py').touch()
    Path('needy/__init__.py').write_text('from . import a_arch\n', encoding='utf-8')
    write(copied_arch='from basicsr.losses.odd_losses import X\n', pic_arch='import sklearn.nothing\n')
    assert said('needy') == (
        '--import needy: needy/a_arch.py, line 1: it needs the package timm_that_is_nowhere; install it: pip install '
        'timm-that-is-nowhere'
    )
    assert said('copied_arch.py') == (
        '--import copied_arch.py: line 1: basicsr.losses.odd_losses is not in BasicSR 1.4.2; import the copy of '
        'BasicSR that has it, --import FOLDER/basicsr.'
    )
    assert said('bad') == '--import bad/a.py: line 2: ValueError: no'
    assert said('empty') == '--import empty: no Python file is in this folder; name another.'
    assert said('json') == '--import json: Python has another module "json" already; rename it, e.g. my_json.'
    assert said('nowhere') == (
        '--import nowhere: neither a Python file, nor a folder, nor an installed package; name the one that registers '
        'what is yours.'
    )
    assert said('no.such.package').startswith('--import no.such.package: neither a Python file')
    assert said('basicsr/archs/edsr_arch.py') == (
        '--import basicsr/archs/edsr_arch.py: the installed BasicSR has all that is in it; name what is new.'
    )


def test_check_builds_and_runs_the_network_of_any_model(capsys):
    write_package()
    opt = options.load(REPOSITORY / 'options' / 'train_edsr_x2.yml')
    opt |= {'model_type': 'HutModel', 'network_g': {'type': 'Hut', 'dim': 6}, 'num_gpu': 0, 'tile': {'tile_size': 8}}
    opt['network_d'] = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 4}
    Path('x.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    assert cli.main(['train', '--import', 'hut', '-opt', 'x.yml', '--check']) == 0
    output = capsys.readouterr().out
    parameters = 3 * 6 * 9 + 6 + 6 * 12 * 9 + 12
    assert f'network_g: Hut, {parameters} parameters, ' in output
    assert 'its answer to one such patch: 1 x 3 x 96 x 96; forth and back: ' in output
    assert '  network_d: ' in output
    opt['network_g']['upscaling_factor'] = 'two'
    Path('x.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    assert cli.main(['train', '--import', 'hut', '-opt', 'x.yml', '--check']) == 2
    opt['network_g'] = {'type': 'EDVR', 'num_feat': 8}
    Path('x.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    capsys.readouterr()
    assert cli.main(['train', '--import', 'hut', '-opt', 'x.yml', '--check']) == 2
    assert 'network_g: EDVR does not take 3-channel images of 48x48 (' in capsys.readouterr().err
