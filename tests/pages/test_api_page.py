"""The public interface: its page runs, its names are imported when they are asked for, and its examples are true."""

from __future__ import annotations

import copy
import doctest
import json
import re
import subprocess
import sys

import pytest
import torch
from basicsr.utils.registry import MODEL_REGISTRY

import dukd_basicsr
from dukd_basicsr import consistency, resize, upcycling
from dukd_basicsr.distillation import teacher
from tests.toys import REPOSITORY, batch, train_options

PAGE = (REPOSITORY / 'docs' / 'api.md').read_text(encoding='utf-8')
NAMES = ['DUKDModel', 'DistillModel', 'InvertibleTransform', 'Teacher', 'imresize', 'zoom_in', 'zoom_out']
LOOP, MODEL = re.findall(r'```python\n(.*?)```', PAGE, re.DOTALL)


def run(code):
    """In a fresh process; returns what it prints as JSON."""
    return json.loads(subprocess.run([sys.executable, '-c', code], check=True, capture_output=True, text=True).stdout)


def test_the_loop_of_the_page_is_a_step_of_dukd():
    names = {'__name__': 'somebody'}
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    exec(compile(LOOP, 'docs/api.md', 'exec'), names)
    assert not torch.equal(torch.random.get_rng_state(), before)
    assert names['loss'].item() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in names['student'].parameters())
    assert all(parameter.grad is None for parameter in names['teacher'].parameters())


def test_the_model_of_the_page_weighs_the_teacher_twice(tmp_path):
    names, opt = {'__name__': 'somebody'}, train_options(tmp_path)
    try:
        exec(compile(MODEL, 'docs/api.md', 'exec'), names)
        values = []
        for kind in (names['DUKDModel'], names['LouderDUKDModel']):
            torch.manual_seed(0)
            model = kind(copy.deepcopy(opt))
            torch.manual_seed(1)
            model.feed_data(batch(3))
            model.optimize_parameters(1)
            values.append(model.get_current_log()['l_kd'])
    finally:
        MODEL_REGISTRY._obj_map.pop('LouderDUKDModel')
    assert values[1] == pytest.approx(2 * values[0])


def test_the_names_are_those_of_the_page():
    public = [name for name in dir(dukd_basicsr) if not name.startswith('__')]
    assert public == NAMES
    assert all(f'`{name}' in PAGE for name in NAMES)
    assert all(getattr(dukd_basicsr, name).__name__ == name for name in NAMES)
    with pytest.raises(AttributeError, match="'dukd_basicsr' has no attribute 'zoom'"):
        _ = dukd_basicsr.zoom


@pytest.mark.parametrize(
    ('name', 'loaded'),
    [(None, []), ('zoom_out', ['torch']), ('DUKDModel', ['basicsr', 'torch'])],
)
def test_nothing_is_imported_before_it_is_needed(name, loaded):
    code = f'import dukd_basicsr\n{"from dukd_basicsr import " + name if name else ""}\nimport json, sys\n'
    assert run(code + "print(json.dumps(sorted({'torch', 'basicsr'} & set(sys.modules))))") == loaded


STEP = """
import json, sys, torch
from {module} import {name} as wanted
from basicsr.models.base_model import BaseModel
print(json.dumps([wanted.__name__, BaseModel.__init__.__module__]))
"""


@pytest.mark.parametrize(
    ('module', 'name', 'base'),
    [
        ('dukd_basicsr.models.dukd_model', 'DUKDModel', 'dukd_basicsr.compat.base_model'),
        ('dukd_basicsr.losses.dukd_loss', 'DUKDLoss', 'basicsr.models.base_model'),
        ('dukd_basicsr.networks.open_network', 'open_network', 'basicsr.models.base_model'),
    ],
)
def test_any_module_is_imported_by_itself(module, name, base):
    """In a fresh process, without the plugin; a model brings what it builds on."""
    assert run(STEP.format(module=module, name=name)) == [name, base]


def test_a_model_imported_by_itself_makes_a_step(tmp_path):
    opt = train_options(tmp_path)
    opt['network_t'], opt['train']['total_iter'] = {**opt['network_t']}, 1
    code = (
        'import json, torch\nfrom dukd_basicsr.models.dukd_model import DUKDModel\n'
        f'model = DUKDModel({opt!r})\n'
        "model.feed_data({'gt': torch.rand(2, 3, 16, 16), 'lq': torch.rand(2, 3, 8, 8)})\n"
        'model.optimize_parameters(1)\nprint(json.dumps(sorted(model.get_current_log())))'
    )
    assert {'l_pix', 'l_kd'} < set(run(code))


@pytest.mark.parametrize('module', [consistency, resize, upcycling, teacher])
def test_examples_in_docstrings_are_true(module):
    found = doctest.testmod(module)
    assert found.attempted > 0
    assert not found.failed


@pytest.mark.parametrize('scale', [0, -2])
def test_zoom_out_by_no_scale_is_a_value_error(scale):
    with pytest.raises(ValueError, match=rf'zoom_out needs scale >= 1, got {scale}\.'):
        dukd_basicsr.zoom_out(torch.rand(1, 3, 8, 8), scale)
