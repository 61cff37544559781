"""The demo's parts; the demo itself is run by .ci/run."""

from pathlib import Path

import pytest
import skimage.data

from dukd_basicsr import options
from dukd_basicsr.cli import main
from dukd_basicsr.commands.demo import stages
from dukd_basicsr.distillation.teacher import build_teacher
from dukd_basicsr.networks.build import load_network
from dukd_basicsr.options.shipped import options_folder


def test_the_photographs_are_in_scikit_images_wheel_and_none_is_both_trained_on_and_held_out():
    folder = Path(skimage.data.__file__).parent
    for name in (*stages.TRAIN_PHOTOGRAPHS, *stages.HELD_OUT_PHOTOGRAPHS):
        assert (folder / name).is_file()
    assert not set(stages.TRAIN_PHOTOGRAPHS) & set(stages.HELD_OUT_PHOTOGRAPHS)


def test_the_three_runs_differ_in_the_method_only_and_pass_the_check():
    opts = {name: options.load(options_folder() / file) for name, file in stages.RUNS.items()}
    for name, file in stages.RUNS.items():
        assert options.check(opts[name], options_folder() / file, is_train=True) == []
    for opt in opts.values():
        for key in ('name', 'model_type', 'network_t'):
            opt.pop(key, None)
        for key in ('pretrain_network_t', 'param_key_t', 'strict_load_t'):
            opt['path'].pop(key, None)
        for key in ('kd_opt', 'dukd_opt'):
            opt['train'].pop(key, None)
    assert opts['student alone'] == opts['KD'] == opts['DUKD']


def test_the_shipped_teacher_is_small_and_fits_its_options():
    opt = options.load(options_folder() / stages.RUNS['DUKD'])
    weights = Path(stages.__file__).parent / stages.TEACHER
    assert weights.stat().st_size < 3e6
    opt['path']['pretrain_network_t'] = str(weights)
    assert build_teacher(opt).net.conv_first.weight.shape[0] == opt['network_t']['num_feat']
    trained_by = options.load(options_folder() / 'train_edsr_demo_teacher_x4.yml')
    assert trained_by['network_g'] == opt['network_t']
    assert load_network(opt['network_t'], str(weights)) is not None


def test_too_few_iterations_are_refused_before_anything_is_made(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['demo', '--iterations', '3']) == 2
    assert 'at least 10' in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_a_failing_run_names_its_log(tmp_path):
    log = tmp_path / 'log.txt'
    with pytest.raises(stages.UserError, match=r'demo_edsr_x4.yml failed with exit code 2 .*; its log is .*log.txt'):
        stages._train(tmp_path, 'demo_edsr_x4.yml', 10, log)  # no data there
    assert 'it is made by: basicsr demo' in log.read_text()
