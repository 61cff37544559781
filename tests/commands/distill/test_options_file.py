"""The options file: sound, BasicSR's, and what was asked for."""

from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from basicsr.utils.options import ordered_yaml

from dukd_basicsr import options
from dukd_basicsr.commands.distill.measure import read_text
from dukd_basicsr.commands.distill.options_file import write_options
from dukd_basicsr.commands.distill.real_options import SHIPPED
from dukd_basicsr.options.shipped import find_folder
from tests.commands.distill.toy_distillation import SETTINGS, TEACHER
from tests.toys import STUDENT


@pytest.mark.parametrize('cached', [False, True])
@pytest.mark.parametrize('late', [False, True])
@pytest.mark.parametrize('teacher', [TEACHER, {'type': 'Spandrel'}])
def test_it_is_checked_and_read_alike_by_stock_basicsr(cached, late, teacher, tmp_path):
    text = write_options(replace(SETTINGS, cached=cached, late=late, teacher=teacher), ['one: two', '', 'three'])
    file = tmp_path / 'toy.yml'
    file.write_text(text)
    opt = options.load(file)
    assert options.check(opt, file, is_train=True) == []
    assert opt == yaml.load(text, Loader=ordered_yaml()[0]) == read_text(text)
    assert opt['model_type'] == ('DUKDModel' if late else 'DistillModel')
    assert opt['datasets']['train']['type'] == ('UpcycledImageDataset' if cached else 'PairedImageDataset')
    assert ('dukd_opt' in opt['train']) == late
    if late:
        assert opt['train']['dukd_opt']['schedule'] == {'start': 9000}
    assert opt['network_t'] == teacher
    assert opt['network_g'] == STUDENT
    assert opt['path']['pretrain_network_t'] == SETTINGS.teacher_file
    assert opt['train']['optim_g']['lr'] == 3.8e-3
    assert opt['train']['scheduler']['periods'] == [opt['train']['total_iter']] == [12_000]


def test_degradations_are_those_of_the_shipped_file():
    networks = {'student': {**STUDENT, 'upscale': 4}, 'teacher': {**TEACHER, 'upscale': 4}}
    opt = read_text(write_options(replace(SETTINGS, real=True, scale=4, **networks), ()))
    shipped = options.load(find_folder() / SHIPPED)
    assert opt['model_type'] == shipped['model_type'] == 'DUKDRealModel'
    own = {'gt_size', 'queue_size', 'gt_usm', 'name', 'manual_seed'}
    kept = [name for name, value in shipped.items() if not isinstance(value, dict) and name not in own]
    assert len(kept) > 15
    assert {name: opt[name] for name in kept} == {name: shipped[name] for name in kept}
    assert opt['gt_size'] == opt['datasets']['train']['gt_size'] == 128
    assert opt['queue_size'] % opt['datasets']['train']['batch_size_per_gpu'] == 0
    kernels = [
        name
        for name in shipped['datasets']['train']
        if any(word in name for word in ('kernel', 'blur', 'sinc', 'beta'))
    ]
    assert len(kernels) == 15
    assert all(opt['datasets']['train'][name] == shipped['datasets']['train'][name] for name in kernels)


@pytest.mark.parametrize('iterations', [1, 7, 100, 250_000])
def test_a_run_of_any_length_is_validated_and_saved(iterations):
    opt = read_text(write_options(replace(SETTINGS, iterations=iterations, late=True), ()))
    assert opt['val']['val_freq'] % opt['logger']['print_freq'] == 0  # so that the log says when it was
    assert 1 <= opt['val']['val_freq'] <= iterations
    assert 1 <= opt['logger']['save_checkpoint_freq'] <= iterations
    assert opt['logger']['print_freq'] <= iterations


def test_networks_keep_their_arguments_of_any_kind():
    network = {'type': 'X', 'mean': (0.1, 1e-05), 'name': 'a: b', 'none': None, 'yes': True, 'depths': [[1, 2], [3]]}
    text = write_options(replace(SETTINGS, teacher=network), ())
    assert yaml.safe_load(text)['network_t'] == {**network, 'mean': [0.1, 1e-05]}
    assert Path(SETTINGS.cache).parent == Path(SETTINGS.lq_lmdb).parent
