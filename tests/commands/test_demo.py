"""The demo's parts; the demo itself is run by .ci/run."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data

from dukd_basicsr import options
from dukd_basicsr.cli import main
from dukd_basicsr.commands.demo import gains, photographs, stages
from dukd_basicsr.distillation.teacher import build_teacher
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.build import load_network
from dukd_basicsr.options.shipped import find_folder

SHIPPED = Path(stages.__file__).parent


def test_what_is_held_out_is_no_part_of_what_is_trained_on(tmp_path):
    source = tmp_path / 'datasets' / 'demo_photographs'
    (source / 'train').mkdir(parents=True)
    (source / 'train' / 'astronaut.png').write_bytes(b'of an earlier version')
    photographs.prepare(tmp_path)
    held_out, trained_on = ({file.stem for file in (source / folder).iterdir()} for folder in ('test', 'train'))
    assert len(held_out) >= 10
    assert not held_out & trained_on
    for folder, names in (('train', photographs.TRAIN), ('test', photographs.HELD_OUT)):
        for name in names:
            whole = cv2.imread(str(Path(skimage.data.__file__).parent / name))
            assert np.array_equal(cv2.imread(str((source / folder / name).with_suffix('.png'))), whole)
    assert len(list((tmp_path / 'datasets' / 'demo_held_out' / 'LRbicx4').glob('*.png'))) == len(held_out)
    assert (tmp_path / 'datasets' / 'demo' / 'demo_LR_bicubic_X4_sub.lmdb' / 'meta_info.txt').is_file()


def test_the_runs_differ_in_the_method_only_and_pass_the_check():
    opts = [options.load(find_folder() / each.file) for each in stages.RUNS]
    for each, opt in zip(stages.RUNS, opts, strict=True):
        assert options.check(opt, find_folder() / each.file, is_train=True) == []
        assert opt['name'] == each.name
        assert opt['path']['pretrain_network_g'].endswith(stages.STUDENT)
    for opt in opts:
        for key in ('name', 'model_type', 'network_t'):
            opt.pop(key, None)
        for key in ('pretrain_network_t', 'param_key_t', 'strict_load_t'):
            opt['path'].pop(key, None)
        for key in ('kd_opt', 'dukd_opt'):
            opt['train'].pop(key, None)
        for key in ('type', 'dataroot_upcycled'):
            opt['datasets']['train'].pop(key, None)
    assert all(opt == opts[0] for opt in opts)


def test_the_labels_of_one_run_serve_all():
    labelled = options.load(find_folder() / stages.LABELLED.file)
    for each in stages.RUNS[1:]:
        train = options.load(find_folder() / each.file)['datasets']['train']
        assert train == labelled['datasets']['train']
        assert Path(train['dataroot_upcycled']) == stages.CACHE


@pytest.mark.parametrize(('file', 'network', 'trained_by'), [
    (stages.TEACHER, 'network_t', 'train_edsr_demo_teacher_x4.yml'),
    (stages.TEACHER, 'network_t', 'train_edsr_demo_teacher_more_x4.yml'),
    (stages.STUDENT, 'network_g', 'train_edsr_demo_student_x4.yml'),
])  # fmt: skip
def test_the_shipped_networks_are_small_and_fit_their_options(file, network, trained_by):
    opt = options.load(find_folder() / stages.LABELLED.file)
    weights = SHIPPED / file
    assert weights.stat().st_size < (3e6 if network == 'network_t' else 3e5)
    assert options.load(find_folder() / trained_by)['network_g'] == opt[network]
    assert load_network(opt[network], str(weights)) is not None


def test_the_shipped_teacher_is_the_one_of_the_runs():
    opt = options.load(find_folder() / stages.LABELLED.file)
    assert Path(opt['path']['pretrain_network_t']).name == stages.TEACHER
    opt['path']['pretrain_network_t'] = str(SHIPPED / stages.TEACHER)
    assert build_teacher(opt).net.conv_first.weight.shape[0] == opt['network_t']['num_feat']


def test_labels_and_training_take_the_seconds_of_the_student_alone():
    for each in stages.RUNS:
        seconds = each.labels + each.iterations(1200) * each.cost
        assert seconds == pytest.approx(1200, abs=each.cost)
    assert [each.labels for each in stages.RUNS] == [0] + [stages.LABELS] * 3
    assert min(each.iterations(10) for each in stages.RUNS) == 10


def test_too_few_iterations_are_refused_before_anything_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['demo', '--iterations', '3']) == 2
    assert 'at least 10' in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_failing_run_names_its_log(tmp_path):
    log = tmp_path / 'log.txt'
    with pytest.raises(UserError, match=r'train of demo_edsr_x4.yml failed with exit code 2 .*; its log is .*log.txt'):
        stages._train(tmp_path, 'demo_edsr_x4.yml', 10, log)  # no data there
    assert 'it is made by: basicsr demo' in log.read_text()


@pytest.mark.parametrize('threads', [None, '3'])
def test_a_run_has_one_thread_unless_the_environment_says_otherwise(tmp_path, monkeypatch, threads):
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    if threads is not None:
        monkeypatch.setenv('OMP_NUM_THREADS', threads)
    say = tmp_path / 'say'
    say.write_text('#!/bin/sh\necho "threads: $OMP_NUM_THREADS"\n')
    say.chmod(0o755)
    monkeypatch.setattr(stages.sys, 'executable', str(say))
    stages._basicsr(tmp_path, ['train'], tmp_path / 'log.txt')
    assert (tmp_path / 'log.txt').read_text() == f'threads: {threads or 1}\n'


@pytest.mark.parametrize(('spent', 'seconds'), [('0:00:07', 7), ('1:02:03', 3723), ('2 days, 0:00:01', 172801)])
def test_the_seconds_are_those_of_the_log(spent, seconds):
    assert gains.seconds_of(f'a\n2026-11-25 INFO: End of training. Time consumed: {spent}\nb') == seconds


def test_a_log_without_an_end_has_no_seconds():
    with pytest.raises(ValueError, match='End of training'):
        gains.seconds_of('INFO: Start training from epoch: 0, iter: 0')


def test_the_gains_are_those_of_the_pairs_of_images():
    psnr = {'before': [30, 20, 25], 'alone': [30.5, 20.5, 25.5], 'KD': [30.7, 20.7, 25.4]}
    records = [{'network': name, 'psnr': str(value)} for name, values in psnr.items() for value in values]
    costs = {'alone': gains.Cost(600, 60, 0), 'KD': gains.Cost(500, 50, 9.6)}
    alone, kd = gains.to_markdown(records, costs, 'alone', 'before').splitlines()[2:4]
    assert [cell.strip() for cell in alone.strip('|').split('|')] == ['alone', '600', '0', '60', '+0.500', '-', '-']
    cells = [cell.strip() for cell in kd.strip('|').split('|')]
    assert cells[:5] == ['KD', '500', '10', '50', '+0.600']
    assert cells[5] == '+0.100 (-0.100 to +0.200)'
    assert cells[6] == '2 of 3'
