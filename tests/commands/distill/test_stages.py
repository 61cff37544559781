"""The whole way with a toy: all stages, an interruption in the training, the same command, another one."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from dukd_basicsr import options
from dukd_basicsr.cli import main
from dukd_basicsr.commands.distill import measure, plan, stages
from dukd_basicsr.networks.open_network import open_network
from tests.commands.distill.toy_distillation import SHORT, distill, studio  # noqa: F401  the fixture
from tests.images import fill
from tests.toys import REPOSITORY, forget_logger, save_weights

pytestmark = pytest.mark.usefixtures('studio')
NAME = 'compact_x2_f8c4'
STAGES = ['prepare', 'options', 'train', 'export', 'benchmark', 'report']


def test_the_whole_way_and_its_files(capsys, monkeypatch):
    monkeypatch.setattr(measure, 'measure_step', lambda settings, teacher, cached: 0.01)
    assert distill(*SHORT, '--iterations', 4) == 0
    said = capsys.readouterr().out
    assert [line.split(':')[0] for line in said.splitlines() if line.endswith(' s') and 'done in' in line] == [
        f'[{number}/6] {stage}' for number, stage in enumerate(STAGES, 1)
    ]  # fmt: skip
    root = Path('run')
    for precision in ('fp32', 'fp16', 'int8'):
        assert open_network(root / 'exported' / f'{NAME}_{precision}.onnx').scale == 2
    rows = json.loads((root / 'results/benchmark/benchmark.json').read_text())['rows']
    assert [row['name'] for row in rows] == [
        'bicubic', NAME, 'teacher (teacher)', *(f'{NAME}_{precision}' for precision in ('fp32', 'fp16', 'int8')),
    ]  # fmt: skip
    assert json.loads((root / 'distill.json').read_text())['done'] == STAGES
    assert options.check(options.load(root / f'{NAME}.yml'), root / f'{NAME}.yml', is_train=True) == []

    page = (root / 'report.html').read_text(encoding='utf-8')
    for shown in (
        'photographs',
        f'{NAME}_int8.onnx',
        'ONNX fp16',
        '>teacher<',
        '>original<',
        'losses',
        'PSNR',
        *(f'basicsr {word} ' for word in ('distill', 'prepare', 'train', 'export', 'benchmark')),
    ):
        assert shown in page

    # The same command finds everything done, and a change that is the user's own in the options file stays.
    file = root / f'{NAME}.yml'
    file.write_text(file.read_text() + '# mine\n')
    before = {
        path: path.stat().st_mtime_ns for path in root.rglob('*') if path.is_file() and path.name != 'distill.json'
    }
    assert distill(*SHORT, '--iterations', 4) == 0
    assert capsys.readouterr().out.count('done before') == 6
    assert before == {path: path.stat().st_mtime_ns for path in before}
    assert distill(*SHORT, '--iterations', 4, '--plan') == 0
    assert capsys.readouterr().out.count('(done)') == 6

    # Another request is refused.
    assert distill(*SHORT, '--iterations', 5) == 2
    message = ' '.join(capsys.readouterr().err.split())
    assert (
        'run was begun with another request (iterations was 4): give another folder, -o DIR, or go on with: basicsr'
        in message
    )
    (Path('photos') / '0001.png').unlink()
    assert distill(*SHORT, '--iterations', 4) == 2
    assert 'another request (the photographs have changed)' in ' '.join(capsys.readouterr().err.split())

    # The options file is read by `basicsr train` alone, in the folder of the run.
    monkeypatch.chdir(root)
    forget_logger()
    assert main(['train', '-opt', f'{NAME}.yml', '--force_yml', 'name=alone']) == 0
    assert Path('experiments/alone/models/net_g_latest.pth').is_file()


def test_labels_are_made_where_they_are_cheaper(capsys, monkeypatch):
    monkeypatch.setattr(measure, 'measure_step', lambda settings, teacher, cached: 0.001 if cached else 10.0)
    monkeypatch.setattr(plan, 'LATE_FROM', 4)
    assert distill(*SHORT, '--iterations', 6) == 0
    said = capsys.readouterr().out
    assert '[3/7] label: done in' in said
    assert '$ basicsr upcycle -opt' in said
    opt = options.load(Path('run') / f'{NAME}.yml')
    assert opt['datasets']['train']['type'] == 'UpcycledImageDataset'
    assert (Path('run') / opt['datasets']['train']['dataroot_upcycled']).is_dir()
    assert opt['train']['dukd_opt']['in_batch'] == 0.375


def test_real_degradations_go_the_whole_way(capsys):
    save_weights(Path('teacher.pth'), {'type': 'SRVGGNetCompact', 'num_feat': 24, 'num_conv': 6, 'upscale': 4})
    fill(Path('photos'), *[(132 + n, 140) for n in range(8)])
    for number in range(9, 13):
        Path('photos', f'{number:04d}.png').unlink()
    assert distill('--student', 'compact', '--params', '6K', '-o', 'run', '--iterations', '2', '--real') == 0
    said = capsys.readouterr().out
    assert "LR by Real-ESRGAN's degradations" in said
    assert '--preset real-test' in said
    assert Path('run/report.html').is_file()


def test_a_signal_in_the_training_and_the_same_command(capsys):
    words = ['distill', 'teacher.pth', 'photos', *SHORT, '--iterations', '30']
    environment = os.environ | {'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'}
    process = subprocess.Popen(
        [sys.executable, '-m', 'dukd_basicsr', *words], env=environment, stderr=subprocess.PIPE, text=True
    )
    lines = []
    for line in process.stderr:
        lines.append(line)
        if ', lr:' in line and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            break
    lines += process.stderr.readlines()
    assert process.wait(120) == 75, lines
    assert 'which is saved; go on with: basicsr distill ' in lines[-1]
    done = json.loads(Path('run/distill.json').read_text())['done']
    assert done in (['prepare', 'options'], ['prepare', 'options', 'label'])
    assert not Path('run/exported').exists()
    assert main(lines[-1].split('go on with: basicsr ')[1].split()) == 0
    said = capsys.readouterr()
    assert said.out.count('done before') == len(done)
    assert 'training starts from iteration 0' not in said.out
    assert Path('run/results/benchmark/benchmark.json').is_file()


def test_a_photograph_that_cannot_be_used_can_be_removed(capsys):
    glass = np.zeros((90, 90, 4), np.uint8)
    cv2.imwrite('photos/transparent.png', glass)
    assert distill(*SHORT, '--iterations', 2) == 2
    assert 'transparent.png' in capsys.readouterr().err
    Path('photos/transparent.png').unlink()
    assert distill(*SHORT, '--iterations', 2) == 0
    kept = [path.name for folder in ('train', 'held_out') for path in Path('run/photographs', folder).iterdir()]
    assert sorted(kept) == sorted(path.name for path in Path('photos').iterdir())


def test_a_signal_before_anything_is_made(capsys, monkeypatch):
    monkeypatch.setattr(stages, 'make_plan', lambda request: os.kill(os.getpid(), signal.SIGINT))
    assert distill(*SHORT, '--iterations', 4) == 75
    assert 'stopped by SIGINT; what is finished is kept. Go on with: basicsr distill' in capsys.readouterr().err
    assert not Path('run').exists()
