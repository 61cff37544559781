"""The refinement for int8: how long it is, what its options file says, how it is measured, and who cannot have it."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from basicsr.utils.options import ordered_yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dukd_basicsr import options
from dukd_basicsr.cli import build_parser
from dukd_basicsr.commands.distill import measure
from dukd_basicsr.commands.distill import plan as planning
from dukd_basicsr.commands.distill.options_file import write_options
from dukd_basicsr.commands.distill.refinement import LEAST, SHARE, count_iterations, fit_iterations, refine, spend
from dukd_basicsr.commands.distill.request import read_request
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.build import build
from dukd_basicsr.networks.onnx.ranges import find_ranges
from tests.commands.distill.toy_distillation import SETTINGS, SHORT, TEACHER, distill, studio  # noqa: F401  the fixture
from tests.toys import TINY_SWINIR

SECONDS = st.floats(0.01, 10)


@given(st.floats(100, 1e6), SECONDS, st.floats(0, 10))
def test_a_length_that_fits_takes_the_time_that_was_given(budget, step, refining):
    total = int(fit_iterations(budget, step, refining))
    assert spend(total, step, refining) <= budget * (1 + 1e-9)
    # a tenth is rounded down: ten iterations later it has grown by one at the least
    assert spend(total + SHARE + 1, step, refining) > budget * (1 - 1e-9)


def test_lengths():
    found = [count_iterations(training) for training in (1, 150, 600, 1500, 1510, 250_000)]
    assert found == [1, LEAST, LEAST, 150, 151, 25_000]
    assert fit_iterations(100.0, 0.5, 0.0) == 200
    assert fit_iterations(100.0, 0.5, 0.5) == 100  # shorter than LEAST: refined for as long
    assert fit_iterations(250.0, 0.5, 1.0) == 200  # (250 - LEAST) / 0.5
    assert fit_iterations(6000.0, 0.5, 1.0) == 10_000
    assert fit_iterations(-5.0, 0.5, 1.0) < 0


@pytest.mark.parametrize('cached', [False, True])
@pytest.mark.parametrize('real', [False, True])
def test_its_options_file_is_checked_and_read_alike_by_stock_basicsr(cached, real, tmp_path):
    networks = {'student': {**SETTINGS.student, 'upscale': 4}, 'teacher': {**TEACHER, 'upscale': 4}} if real else {}
    first = replace(SETTINGS, cached=cached and not real, late=True, bf16=True, real=real, **networks)
    first = replace(first, scale=4 if real else 2)
    text, file = write_options(refine(first), ['one']), tmp_path / 'toy.yml'
    file.write_text(text)
    opt = options.load(file)
    assert options.check(opt, file, is_train=True) == []
    assert opt == yaml.load(text, Loader=ordered_yaml()[0]) == measure.read_text(text)
    before = measure.read_text(write_options(first, ()))
    assert opt['name'] == 'toy_int8_trained'
    assert opt['path'] == {
        **before['path'],
        'pretrain_network_g': 'experiments/toy/models/net_g_latest.pth',
        'param_key_g': 'params_ema',
    }
    assert opt['train']['int8_opt'] == {'calibrate': 'photographs/calibration'}
    assert (before['train']['amp'], opt['train']['amp']) == ('bf16', None)  # they do not go together
    assert opt['train']['total_iter'] == opt['train']['scheduler']['periods'][0] == 1200
    assert opt['train']['optim_g']['lr'] == pytest.approx(3.8e-3 / 8, rel=0.02)  # to two digits
    assert opt['datasets'] == before['datasets']
    assert [opt[key] for key in ('network_g', 'network_t')] == [before[key] for key in ('network_g', 'network_t')]
    assert 'int8_opt' not in before['train']


def test_several_gpus_are_one_for_it(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 4)
    found = [yaml.safe_load(write_options(each, ()))['num_gpu'] for each in (SETTINGS, refine(SETTINGS))]
    assert found == ['auto', 1]


def test_an_iteration_of_it_is_measured_through_the_roundings(monkeypatch, tmp_path):
    seen = []

    def pretend(opt):
        seen.append((opt, find_ranges(opt['path']['pretrain_network_g'])))
        return type('DryRun', (), {'batch_seconds': 0.25})

    monkeypatch.setattr(measure.dry_run, 'measure', pretend)
    assert measure.measure_step(refine(SETTINGS), tmp_path / 'teacher.pth', cached=True) == 0.25
    layers = [name for name, each in build(SETTINGS.student).named_modules() if isinstance(each, nn.Conv2d)]
    opt, ranges = seen[0]
    assert sorted(ranges) == sorted(layers)
    assert opt['train']['int8_opt']
    assert not Path(opt['path']['pretrain_network_g']).exists()
    measure.measure_step(SETTINGS, tmp_path / 'teacher.pth', cached=True)
    assert seen[-1][0]['path']['pretrain_network_g'] is None


def test_networks_of_other_layers(tmp_path):
    with pytest.raises(UserError, match='is no convolution with weights of its own'):
        measure.measure_step(refine(replace(SETTINGS, student=TINY_SWINIR)), tmp_path / 'teacher.pth', cached=False)


@pytest.mark.usefixtures('studio')
def test_it_is_counted_in_the_hours(monkeypatch):
    monkeypatch.setattr(measure, 'measure_step', lambda each, teacher, cached: 0.4 if each.refines else 0.1)
    words = ['distill', 'teacher.pth', 'photos', *SHORT, '--hours', '0.3']
    requests = [read_request(build_parser().parse_args([*words, *more])) for more in ([], ['--int8'])]
    plans = [planning.make_plan(request)[0] for request in requests]
    for plan in plans:
        assert 0.88 * 1080 < sum(plan.seconds.values()) < 1081
    plain, refined = plans
    assert plain.int8 is None
    assert refined.int8 == refine(refined.settings)
    assert refined.settings.iterations < plain.settings.iterations
    assert refined.seconds['refine'] > 0.4 * refined.int8.iterations
    assert refined.facts['int8'].startswith(f'refined for it: {refined.int8.iterations:,} iterations of 0.4 s')


@pytest.mark.usefixtures('studio')
@pytest.mark.parametrize('student', ['ecbsr', 'span'])
@pytest.mark.parametrize('more', [(), ('--plan',)])
def test_students_that_fold(student, more, capsys):
    Path('teacher.pth').write_bytes(b'not even looked at')
    before = sorted(Path().rglob('*'))
    assert distill('--student', student, '-o', 'run', '--int8', *more) == 2
    said = ' '.join(capsys.readouterr().err.split())
    assert f'--int8: {student} students are folded when they are deployed' in said
    assert 'give --student edsr or compact, or leave --int8 out' in said
    assert sorted(Path().rglob('*')) == before


@pytest.mark.usefixtures('studio')
@pytest.mark.parametrize('package', ['onnx', 'onnxruntime'])
@pytest.mark.parametrize('words', [(), ('--int8',)])
def test_without_onnxruntime_nothing_is_begun(package, words, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    before = sorted(Path().rglob('*'))
    assert distill(*SHORT, *words) == 2
    said = ' '.join(capsys.readouterr().err.split())
    assert 'basicsr distill: the packages of exported networks are not installed; pip install' in said
    assert sorted(Path().rglob('*')) == before
