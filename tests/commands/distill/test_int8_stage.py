"""`--int8` the whole way: its stage in a run that was begun with it or without, stopped in it, and left out again."""

import json
import os
import signal
from pathlib import Path

import onnx
import pytest

from dukd_basicsr.cli import main
from dukd_basicsr.commands.distill import measure, plan
from dukd_basicsr.models.distill_model import DistillModel
from dukd_basicsr.networks.onnx.ranges import find_ranges, read_ranges
from tests.commands.distill.toy_distillation import SHORT, distill, studio  # noqa: F401  the fixture

pytestmark = pytest.mark.usefixtures('studio')
NAME = 'compact_x2_f8c4'
REFINED = f'{NAME}_int8_trained'
FORMS = ['fp32', 'fp16', 'int8', 'int8_trained']


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Nothing is measured."""
    monkeypatch.setattr(measure, 'measure_step', lambda settings, teacher, cached: 0.01)


def state():
    return json.loads(Path('run/distill.json').read_text())


def times(*patterns):
    return {path: path.stat().st_mtime_ns for each in patterns for path in Path('run').glob(each) if path.is_file()}


def list_rows():
    return [row['name'] for row in json.loads(Path('run/results/benchmark/benchmark.json').read_text())['rows']]


def count_done_before(said):
    return [line.split('] ')[1].split(':')[0] for line in said.splitlines() if 'done before' in line]


def test_it_is_added_to_a_run_that_is_finished(capsys, monkeypatch):
    monkeypatch.setattr(measure, 'measure_step', lambda settings, teacher, cached: 0.001 if cached else 10.0)
    monkeypatch.setattr(plan, 'LATE_FROM', 4)  # with labels of upcycled crops, which the refinement leaves unused
    assert distill(*SHORT, '--iterations', 4) == 0
    record = state()
    del record['plan']['int8']  # as it was before there was such a stage
    Path('run/distill.json').write_text(json.dumps(record))
    finished = times(f'experiments/{NAME}/**/*', 'datasets/**/*', 'photographs/**/*', '*.yml', 'exported/*')
    everything = times('**/*')
    capsys.readouterr()

    assert distill(*SHORT, '--iterations', 4, '--int8', '--plan') == 0
    said = capsys.readouterr().out
    assert times('**/*') == everything
    assert '5. refine: for int8, 4 iterations through its roundings' in said
    assert f'$ basicsr train -opt {REFINED}.yml --auto_resume' in said
    assert said.count('(done)') == 4  # what follows is run again

    assert distill(*SHORT, '--iterations', 4, '--int8') == 0
    said = capsys.readouterr().out
    assert count_done_before(said) == ['prepare', 'options', 'label', 'train']
    assert said.count('$ basicsr export') == 1
    (line,) = (each for each in said.splitlines() if each.startswith('[5/8] refine: for int8'))
    assert ', and 0 s after it' not in line
    assert {path: finished[path] for path in finished} == {path: path.stat().st_mtime_ns for path in finished}
    assert list_rows() == ['bicubic', NAME, 'teacher (teacher)', *(f'{NAME}_{form}' for form in FORMS)]
    labels = ('int8, calibrated after training', 'int8, trained for')
    for line in (f'  {label}' for label in ('fp32', 'fp16', *labels)):
        assert len([each for each in said.splitlines() if each.startswith(line) and each.endswith(' ms')]) == 1
    page = Path('run/report.html').read_text(encoding='utf-8')
    for shown in (f'{REFINED} (int8, trained for)', f'{NAME}_int8 (int8, calibrated after training)', 'refined for it'):
        assert shown in page

    # what is exported is what was trained: the ranges of the checkpoint, and weights of its own
    checkpoint = Path(f'run/experiments/{REFINED}/models/net_g_latest.pth')
    graph = onnx.load(f'run/exported/{REFINED}.onnx')
    assert read_ranges(graph) == find_ranges(checkpoint)
    # each training has a log of its own, so that the curves are those of the first
    for name in (NAME, REFINED):
        (log,) = Path(f'run/experiments/{name}').glob('train_*.log')
        assert log.read_text().count('iter:       1, lr') == 1

    everything = times('**/*')
    del everything[Path('run/distill.json')]
    for more in ((), ('--int8',)):  # finished is finished, asked for or not
        assert distill(*SHORT, '--iterations', 4, *more) == 0
        assert len(count_done_before(capsys.readouterr().out)) == 8
    assert {path: path.stat().st_mtime_ns for path in everything} == everything


def test_a_signal_in_it_and_the_same_command_and_one_without_it(capsys, monkeypatch):
    original = DistillModel.optimize_parameters
    steps = []

    def step(self, current_iter):
        original(self, current_iter)
        steps.append((self.int8 is not None, current_iter))
        if steps[-1] == (True, 3) and len(steps) == 9:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(DistillModel, 'optimize_parameters', step)
    assert distill(*SHORT, '--iterations', 6, '--int8') == 75
    said = capsys.readouterr().err
    assert 'go on with: basicsr distill ' in said
    command = said.splitlines()[-1].split('go on with: basicsr ')[1].split()
    assert '--int8' in command
    assert state()['done'] == ['prepare', 'options', 'train']

    # without --int8 the run is finished without it ...
    assert main([word for word in command if word != '--int8']) == 0
    capsys.readouterr()
    assert state()['done'] == ['prepare', 'options', 'train', 'export', 'benchmark', 'report']
    assert state()['plan']['int8'] is None
    assert list_rows()[3:] == [f'{NAME}_{form}' for form in FORMS[:3]]
    assert len(steps) == 9

    # ... and with it, it goes on where it was stopped
    finished = times(f'experiments/{NAME}/**/*', 'exported/*')
    assert main(command) == 0
    said = capsys.readouterr()
    assert count_done_before(said.out) == ['prepare', 'options', 'train']
    assert 'training starts from iteration 0' not in said.out + said.err
    assert steps[9:] == [(True, 4), (True, 5), (True, 6)]
    assert {path: path.stat().st_mtime_ns for path in finished} == finished
    assert list_rows()[3:] == [f'{NAME}_{form}' for form in FORMS]
    assert sorted(state()['done']) == sorted(['prepare', 'options', 'train', 'refine', 'export', 'benchmark', 'report'])
