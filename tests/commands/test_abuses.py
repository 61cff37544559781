"""Unusual shells and typing errors, each by the command itself: a sentence, the right exit code, nothing half-done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from dukd_basicsr import cli
from dukd_basicsr.commands import runs, user_modules
from tests import warm
from tests.toys import REPOSITORY, TEACHER, save_weights
from tests.workplace import workplace  # noqa: F401  the fixture

ENVIRONMENT = os.environ | {'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'}


def shell(text, cwd):
    """What bash says of a line with $BASICSR and $PYTHON in it."""
    command = {'BASICSR': f'{sys.executable} -m dukd_basicsr', 'PYTHON': sys.executable}
    return subprocess.run(['bash', '-c', text], cwd=cwd, env=ENVIRONMENT | command, capture_output=True, text=True)


def test_a_misspelt_command_is_asked_about_and_a_bare_one_shows_the_help(capsys):
    assert cli.main(['trian', '-opt', 'a.yml']) == 2
    assert capsys.readouterr().err == 'basicsr trian: there is no command "trian". Did you mean "train"?\n'
    assert cli.main([]) == 0
    assert capsys.readouterr().out.startswith('usage: basicsr')


@pytest.mark.parametrize(
    ('line', 'code', 'said'),
    [
        ('$BASICSR options list >&-', 0, ''),
        ('$BASICSR options list >/dev/full', 1,
         'basicsr options: the output cannot be written (No space left on device).\n'),
        ('set -o pipefail; $BASICSR options list | true', 1, ''),
        ('mkdir gone; cd gone; rmdir ../gone; $BASICSR options list', 2,
         'basicsr options: the current folder has been removed; change to one that is there.\n'),
    ],
)  # fmt: skip
def test_a_shell_without_output_or_folder(line, code, said, tmp_path):
    done = shell(line, tmp_path)
    if 'pipefail' in line and done.returncode == 0:  # all was written before `true` ended
        return
    assert (done.returncode, done.stderr) == (code, said)


def test_a_file_that_ends_the_program_is_no_success(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys, 'path', sys.path[:])
    (tmp_path / 'my_exit.py').write_text('import sys\n\nsys.exit(0)\n', encoding='utf-8')
    assert cli.main(['train', '--import', str(tmp_path / 'my_exit.py'), '-opt', 'a.yml']) == 2
    assert capsys.readouterr().err.endswith('my_exit.py: line 3: SystemExit: 0\n')


def test_several_files_may_follow_one_import():
    words = ['upscale', '--import', 'a.py', 'b.py', 'image.png', '-o', 'x', '--weights', 'w', '--import', 'c.py']
    assert list(user_modules.repeat_flag(words)) == [
        'upscale', '--import', 'a.py', '--import', 'b.py', 'image.png', '-o', 'x', '--weights', 'w', '--import', 'c.py',
    ]  # fmt: skip
    assert cli.build_parser().parse_args(list(user_modules.repeat_flag(words))).own_modules == [
        Path('a.py'), Path('b.py'), Path('c.py'),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ('upscale -x.png -o out --weights w.pth', '-x.png'),
        ('upscale a.png --x.jpeg -o out --weights w.pth', '--x.jpeg'),
        ('train -opt -toy.yml', '-toy.yml'),
        ('export -weights -o out.onnx', '-weights'),  # a file that is there
    ],
)
def test_a_file_name_that_begins_with_a_dash(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / '-weights').touch()
    command = words.split()[0]
    assert cli.main(words.split()) == 2
    assert capsys.readouterr().err == (
        f'basicsr {command}: {said}: a name that begins with a dash is taken for an option; write ./{said}\n'
    )


@pytest.mark.parametrize(
    'words',
    ['upscale ./-x.png -o out.d --weights w.pth', 'upscale -o.hidden --weights w.pth -- -x.png', 'train -opt a.yml'],
)
def test_other_words_that_begin_with_a_dash_are_taken_as_they_are(words):
    args = cli.build_parser().parse_args(words.split())
    assert args.command == words.split()[0]
    assert getattr(args, 'images', [Path('-x.png')]) == [Path('-x.png')]


def test_an_unknown_option_is_still_refused_by_argparse(capsys):
    with pytest.raises(SystemExit, match='2'):
        cli.main(['train', '-opt', 'a.yml', '--chek'])
    assert 'unrecognized arguments: --chek' in capsys.readouterr().err


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        ('train -opt none.yml', 'none.yml: there is no such file in {here}.'),
        ('export none.pth -o x.onnx', 'none.pth: there is no such file in {here}; give'),
        ('upscale none.png -o out --weights w.pth', 'none.png: there is no such file or folder in {here}; give'),
        ('prepare none --name x', 'There is no folder none in {here}: give'),
        ('convert none.pth x.pth', 'none.pth: there is no such checkpoint file in {here}.'),
        ('train --import none.py -opt a.yml', '--import none.py: no such Python file in {here}; name'),
        ('export /none/none.pth -o x.onnx', '/none/none.pth: there is no such file; give'),
    ],
)
def test_what_is_not_there_is_said_to_be_missing_in_a_folder(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / 'w.pth', TEACHER)
    assert cli.main(words.split()) == 2
    assert f': {said.format(here=tmp_path)}' in capsys.readouterr().err


def test_a_fifo_to_be_enlarged_is_not_waited_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    os.mkfifo('f.png')
    save_weights(tmp_path / 'w.pth', TEACHER)
    assert cli.main(['upscale', 'f.png', '-o', 'out', '--weights', 'w.pth']) == 2
    assert capsys.readouterr().err == (
        'basicsr upscale: f.png: neither a regular file nor a folder; give images, or folders of images.\n'
    )


def test_the_command_to_go_on_with_has_all_that_was_typed():
    words = ['train', '--import', 'a b.py', '-opt', 'a.yml', '--debug', '--force_yml', 'name=x', 'train:optim_g:lr=1']
    args = cli.build_parser().parse_args(words)
    assert runs._name_command(args) == (
        "basicsr train --import 'a b.py' -opt a.yml --debug --force_yml name=x train:optim_g:lr=1 --auto_resume"
    )


TRAIN_PY = """
import os
import sys

import dukd_basicsr.plugin
from basicsr.models.sr_model import SRModel
from basicsr.train import train_pipeline

stock = SRModel.update_learning_rate
if 'signalled' in os.environ:
    SRModel.update_learning_rate = lambda self, iteration, **rest: (
        stock(self, iteration, **rest), iteration == 3 and os.kill(os.getpid(), 15))
train_pipeline('.')
"""


def test_a_train_py_of_ones_own_ends_in_sentences_and_exit_codes(workplace):  # noqa: F811
    (workplace / 'train.py').write_text(TRAIN_PY, encoding='utf-8')
    forced = ['-opt', 'toy.yml', '--force_yml']
    done = shell('$PYTHON train.py -opt toy.yml --force_yml train:ema_decai=0.9', workplace)
    assert (done.returncode, done.stderr) == (
        2, 'train.py: toy.yml: train.ema_decai: unknown key. Did you mean "ema_decay"?\n',
    )  # fmt: skip
    done = warm.run_module('train.py', *forced, 'train:dukd_opt:zoom_inn=~', cwd=workplace)
    assert (done.returncode, 'Traceback' in done.stderr) == (2, False)
    done = warm.run_module('train.py', *forced, 'name=mine', cwd=workplace, environment={'signalled': '1'})
    assert done.returncode == 75, done.stderr
    assert done.stderr.strip().splitlines()[-1] == (
        'train.py: stopped by SIGTERM after iteration 3, which is saved; go on with: python train.py -opt toy.yml '
        '--force_yml name=mine --auto_resume'
    )


def test_sigterm_while_the_teacher_is_measured_is_clean(workplace):  # noqa: F811
    """A teacher that is slow at the validation images, and so is stopped before the first iteration."""
    (workplace / 'my_slow.py').write_text(
        'import time\nfrom dukd_basicsr.evaluation import teacher_metrics\n'
        "teacher_metrics._measure_set = lambda *_: (print('MEASURING', flush=True), time.sleep(60))\n",
        encoding='utf-8',
    )
    words = ['train', '--import', 'my_slow.py', '-opt', 'toy.yml', '--force_yml', 'name=early']
    command = [sys.executable, '-m', 'dukd_basicsr', *words]
    with subprocess.Popen(
        command, cwd=workplace, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert any('MEASURING' in line for line in process.stdout)
        time.sleep(0.2)
        process.send_signal(signal.SIGTERM)
        said = process.communicate()[1]
    assert process.returncode == 75
    assert 'Traceback' not in said
    assert said.strip().splitlines()[-1] == (
        'basicsr train: stopped by SIGTERM before an iteration was made, so that nothing had to be saved; start again '
        'with: basicsr train --import my_slow.py -opt toy.yml --force_yml name=early --auto_resume'
    )
    assert not (workplace / 'experiments' / '.early.lock').exists()


def test_two_commands_that_write_one_file_are_told_of_each_other(workplace):  # noqa: F811
    save_weights(workplace / 'small.pth', TEACHER)
    (workplace / 'options.yml').write_text(yaml.safe_dump({}), encoding='utf-8')
    (workplace / '.out.onnx.lock').write_text(f'{os.getpid()}\nelsewhere\n', encoding='utf-8')
    done = warm.command('export', 'small.pth', '-o', 'out.onnx', cwd=workplace)
    assert done.returncode == 2
    assert f'out.onnx is being written to by process {os.getpid()} on elsewhere; wait' in done.stderr
    (workplace / 'datasets' / '.twice.lock').write_text(f'{os.getpid()}\nelsewhere\n', encoding='utf-8')
    done = warm.command('prepare', 'HR', '--name', 'twice', cwd=workplace)
    assert done.returncode == 2
    assert 'twice is being written to by process' in done.stderr
