"""The benchmarks of a step on toy networks: every job runs, and what they write can be read."""

import importlib
import json
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.speed import jobs, measure, precision
from benchmarks.speed.gpu import JOBS, fill, ideal_seconds
from benchmarks.speed.levers import OPTIONS, WEIGHTS
from tests.toys import REPOSITORY


@pytest.fixture
def run(monkeypatch, tmp_path, capsys):
    """Runs a benchmark's command in this process; returns what it prints and its JSON."""
    precision, convolutions = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32

    def command(name, *arguments):
        file = tmp_path / f'{name}.json'
        monkeypatch.setattr(sys, 'argv', [name, *arguments, '--json', str(file)])
        module = importlib.import_module(f'benchmarks.speed.{name}')
        # A process for each measurement, as in earnest, takes seconds each and has memory of its own.
        monkeypatch.setattr(measure, 'in_own_process', lambda job: measure.measure(job) | {'memory': 2**20})
        module.main()
        return capsys.readouterr().out, json.loads(file.read_text())

    yield command
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.backends.cudnn.benchmark = False


def test_gpu_py_runs_its_jobs_on_toys(run):
    jobs = ['floor fp32', 'ours fp32', 'bf16', 'student', 'cached bf16']
    text, result = run(
        'gpu', '--device', 'cpu', '--small', '--batch', '2', '--pairs', 'edsr', 'swinir', '--jobs', *jobs
    )
    assert [pair['pair'][:4] for pair in result['pairs']] == ['EDSR', 'Swin']
    for pair in result['pairs']:
        assert list(pair['rows']) == jobs
        assert all(row['iterations_per_s'] > 0 < row['roofline'] for row in pair['rows'].values())
        # Two patches and a sixteenth of one (SwinIR: padded to its windows), of a teacher that is as small here.
        assert pair['macs']['network_t'] == pair['macs']['network_g'] > 0
    assert set(result['peaks']) == {'fp32', 'tf32', 'bf16'}
    assert '| ours fp32 |' in text


def test_gpu_py_fills_the_readme_between_its_marks_and_nowhere_else(run, tmp_path):
    page = tmp_path / 'README.md'
    before = (REPOSITORY / 'README.md').read_text(encoding='utf-8')
    page.write_text(before, encoding='utf-8')
    jobs = ['--device', 'cpu', '--small', '--batch', '2', '--pairs', 'edsr', '--jobs', 'student']
    for _ in range(2):  # again: the old table goes
        text, _ = run('gpu', *jobs, '--readme', str(page))
    head, filled = page.read_text(encoding='utf-8').split('<!-- gpu -->')
    table, tail = filled.split('<!-- /gpu -->')
    assert table == f'\n{text.strip()}\n'
    assert head == before.split('<!-- gpu -->')[0]
    assert tail == before.split('<!-- /gpu -->')[1]
    page.write_text('no marks', encoding='utf-8')
    with pytest.raises(ValueError, match='has not <!-- gpu --> and <!-- /gpu --> once'):
        fill(page, text)
    assert page.read_text(encoding='utf-8') == 'no marks'


def test_gpu_py_leaves_out_what_it_has_no_time_for_and_survives_what_fails(run, monkeypatch):
    arguments = ['--device', 'cpu', '--small', '--batch', '2', '--pairs', 'edsr', '--jobs', 'ours fp32']
    _, result = run('gpu', *arguments, '--minutes', '0')
    assert result['pairs'][0]['rows'] == {'ours fp32': {'error': 'left out: no time'}}
    monkeypatch.setattr(measure, 'stepper', lambda *_: 1 / 0)
    _, result = run('gpu', *arguments)
    assert result['pairs'][0]['rows'] == {'ours fp32': {'error': 'ZeroDivisionError: division by zero'}}


def test_gpu_py_computes_the_roofline_from_both_networks():
    counts, rates = {'network_t': 600, 'network_g': 100}, {'fp32': 10, 'tf32': 30, 'bf16': 60}
    found = {name: ideal_seconds(*JOBS[name], counts, rates) for name in JOBS}
    assert found['ours fp32'] == 90
    assert found['ours tf32'] == found['peer'] == 30
    assert found['bf16 teacher'] == 20
    assert found['bf16'] == 15
    assert found['student'] == found['cached'] == 10
    assert found['cached bf16'] == 5


def test_step_compares_modes_with_their_floors(run):
    arguments = ['--thin', '--rounds', '1', '--iterations', '1', '--pairs', 'rcan', '--train', '{"amp": "bf16"}']
    text, (result,) = run('step', *arguments, '--modes', 'floor', 'ours', 'student', 'cached')
    rows = result['rows']
    assert rows['cached']['time_to_floor'] == rows['cached']['best_s'] / rows['student']['best_s']
    assert rows['ours']['time_to_floor'] == rows['ours']['best_s'] / rows['floor']['best_s']
    assert 'train: {"amp": "bf16"}' in text


def test_cache_compares_with_the_live_teacher_and_the_student_alone(run):
    arguments = ['--parts', 'steps', '--thin', '--rounds', '1', '--iterations', '1', '--pairs', 'edsr']
    text, result = run('cache', *arguments)
    (steps,) = result['steps']
    rows = steps['rows']
    assert list(rows) == ['live', 'cached', 'alone']
    saved = (rows['live']['best_s'] - rows['cached']['best_s']) * 8  # a batch of 16 instead of 2
    assert steps['pays_after_iterations'] == pytest.approx(32592 * steps['label_s'] / saved)
    assert f'cached is {rows["live"]["best_s"] / rows["cached"]["best_s"]:.1f} times as fast as live' in text


@pytest.mark.parametrize('pair', ['edsr', 'swinir'])
def test_the_student_alone_sees_all_samples_of_a_cached_batch(pair, monkeypatch, tmp_path):
    """Its loss is that of plain loops: L1 of the patch and its crop together, and of the zoomed-out one."""
    from basicsr.losses.basic_loss import L1Loss

    seen = []
    forward = L1Loss.forward
    monkeypatch.setattr(L1Loss, 'forward', lambda self, pred, *rest, **named: seen.append(pred.shape)
                        or forward(self, pred, *rest, **named))  # fmt: skip
    job = {'mode': 'alone', 'pair': pair, 'device': 'cpu', 'batch': 2, 'patch': 16, 'thin': True}
    jobs.stepper(job, tmp_path)(1)
    assert seen == [(4, 3, 64, 64), (2, 3, 16, 16)]


def test_in_batch_compares_with_kd_round_by_round(run):
    text, (result,) = run('in_batch', '--thin', '--patch', '24', '--rounds', '3', '--pairs', 'rcan')
    assert list(result['rows']) == ['live', 'cached']
    for rows in result['rows'].values():
        assert list(rows) == ['KD', 'in batch', 'both', 'waiting', 'beside']
        assert rows['KD']['ratio'] == rows['KD']['high'] == 1
        for row in rows.values():
            ratios = [one / kd for one, kd in zip(row['times_s'], rows['KD']['times_s'], strict=True)]
            assert row['low'] <= row['ratio'] == sorted(ratios)[1] <= row['high']
        assert rows['beside']['median_s'] > rows['KD']['median_s']
    assert '| cached | in batch |' in text


def test_levers_compares_with_the_default(run):
    text, result = run('levers', '--thin', '--rounds', '1', '--iterations', '1', '--levers', 'channels_last')
    assert list(result['steps']) == ['default', 'channels_last']
    assert result['steps']['default']['time'] == 1
    assert '| channels_last |' in text


def test_measurements_have_a_process_of_their_own(monkeypatch):
    job = {'mode': 'student', 'pair': 'edsr', 'device': 'cpu', 'batch': 1, 'patch': 8, 'thin': True, 'iterations': 2}
    found = measure.in_own_process(job)
    assert len(found['times']) == 2
    assert found['memory'] > 0
    monkeypatch.setattr(sys, 'executable', 'false')
    with pytest.raises(SystemExit, match=r"'mode': 'student'.* failed"):
        measure.in_own_process(job)


def test_levers_measures_labels(run, tmp_path):
    """On photographs and a teacher of our own."""
    import cv2
    import skimage.data

    from dukd_basicsr import options
    from tests.toys import save_weights

    for name in ('weights', 'Set5'):
        (tmp_path / name).mkdir()
    photograph = cv2.imread(str(Path(skimage.data.__file__).parent / 'astronaut.png'))
    cv2.imwrite(str(tmp_path / 'Set5' / 'astronaut.png'), photograph[:200, :180])
    network = options.load(REPOSITORY / 'options' / OPTIONS)['network_g']
    save_weights(tmp_path / 'weights' / WEIGHTS, network)
    _, result = run('levers', '--thin', '--rounds', '1', '--iterations', '1', '--data', str(tmp_path), '--levers',
                    'bf16_teacher')  # fmt: skip
    labels = result['labels']
    assert labels['default'] == {'psnr_to_fp32': None, 'largest_error': 0, 'psnr_change': 0}
    assert 30 < labels['bf16_teacher']['psnr_to_fp32'] < 100
    assert 0 < labels['bf16_teacher']['largest_error'] < 0.1


def test_precision_takes_every_student_in_every_way(run, monkeypatch):
    monkeypatch.setattr(precision, 'STEPS', 1)
    text, result = run('precision', '--rounds', '1')
    assert set(result['seconds']) == set(precision.STUDENTS)
    for name, (plain, _, bf16) in result['seconds'].items():
        assert f'| {name} | {1000 * plain:.1f} |' in text
        assert f'| {bf16 / plain:.2f} |' in text


@pytest.mark.parametrize('name', precision.STUDENTS)
def test_precision_times_one_step_of_l1_and_adam(name):
    network = precision.STUDENTS[name]
    torch.manual_seed(0)
    step_of = {way: precision.Step(network, **way_of) for way, way_of in (('a', {}), ('b', {'channels_last': True}))}
    step_of['b'].net.load_state_dict(step_of['a'].net.state_dict())
    lq, gt = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 16, 16)
    before = torch.cat([p.detach().flatten().clone() for p in step_of['a'].net.parameters()])
    for each in step_of.values():
        each(lq, gt)
    after = {way: torch.cat([p.detach().flatten() for p in each.net.parameters()]) for way, each in step_of.items()}
    assert (after['a'] - before).abs().max() > 5e-5  # Adam's first step is the learning rate
    torch.testing.assert_close(after['a'], after['b'], atol=1e-6, rtol=1e-3)
