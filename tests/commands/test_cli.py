"""The command as a user types it, in processes of its own; that it starts is shown once."""

import os
import re
import subprocess
import sys
import time

import pytest

from dukd_basicsr.cli import build_parser
from tests import warm
from tests.toys import REPOSITORY
from tests.workplace import command

COMMANDS = ['train', 'test', 'prepare', 'upcycle', 'benchmark', 'demo', 'convert', 'export', 'options', 'doctor']


def iterations(text):
    return [int(found) for found in re.findall(r'iter:\s+(\d+),', text)]


def test_train_resume_and_test(workplace):
    done = command('train', '-opt', 'toy.yml', cwd=workplace)
    assert done.returncode == 0, done.stderr
    experiment = workplace / 'experiments' / 'toy'
    log = next(experiment.glob('train_*.log')).read_text()
    assert iterations(log) == [1, 2, 3, 4]
    first = next(line for line in log.splitlines() if 'iter:       1,' in line)
    for term in ('l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix'):
        assert re.search(rf' {term}: \d\.\d{{4}}e[-+]\d\d', first), term
    assert log.index('Teacher on toy_val (iteration 0)') < log.index('Start training') < log.index('Validation toy_val')
    models = sorted(path.name for path in (experiment / 'models').iterdir())
    assert models == ['net_g_2.pth', 'net_g_4.pth', 'net_g_latest.pth']

    # Another folder is where BasicSR's own --auto_resume starts over and archives the run; here it goes on.
    more = ['--auto_resume', '--force_yml', 'train:total_iter=6']
    done = warm.command('train', '-opt', 'toy.yml', *more, cwd=workplace)
    assert done.returncode == 0, done.stderr
    newest = max(experiment.glob('train_*.log'), key=lambda path: path.stat().st_mtime).read_text()
    assert 'Resuming training from epoch' in newest
    assert iterations(newest) == [5, 6]
    assert not list(workplace.glob('experiments/*archived*'))

    trained = experiment / 'models' / 'net_g_latest.pth'
    done = warm.command('test', '-opt', 'toy.yml', '--force_yml', f'path:pretrain_network_g={trained}',
                        'val:suffix=~', cwd=workplace)  # fmt: skip
    assert done.returncode == 2  # a train file has no test sets: said before anything is created
    assert not (workplace / 'results').exists()


def test_torchrun_on_two_processes_without_cuda(workplace):
    launcher = (sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_port=29517', '-m')
    done = command(
        'train', '-opt', 'toy.yml', '--launcher', 'pytorch', '--force_yml', 'name=toy_two', 'val:val_freq=2',
        cwd=workplace, launcher=launcher,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    log = next((workplace / 'experiments' / 'toy_two').glob('train_*.log')).read_text()
    assert iterations(log) == [1, 2, 3, 4]
    assert 'World size (gpu number): 2' in log
    assert 'DistributedDataParallel - EDSR' in log


@pytest.mark.parametrize(
    ('mistake', 'message'),
    [
        ('network_t:num_block=5', 'path.pretrain_network_t: teacher.pth does not fit EDSR as configured: body.2'),
        ('path:pretrain_network_t=none.pth', 'none.pth'),
        ('train:total_itr=3', 'Did you mean "total_iter"?'),
    ],
)
def test_mistakes_end_before_anything_is_created(workplace, mistake, message):
    done = warm.command('train', '-opt', 'toy.yml', '--force_yml', 'name=mistaken', mistake, cwd=workplace)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
    assert not (workplace / 'experiments' / 'mistaken').exists()


def test_help_of_every_command_needs_no_torch(tmp_path):
    script = (
        'import sys, contextlib, io\nfrom dukd_basicsr.cli import main\n'
        f'for command in {COMMANDS}:\n'
        '    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n'
        '        main([command, "--help"])\n'
        'heavy = {"torch", "basicsr", "cv2", "numpy", "torchvision"} & set(sys.modules)\n'
        'assert not heavy, heavy'
    )
    environment = os.environ | {'PYTHONPATH': str(REPOSITORY)}
    started = time.monotonic()
    subprocess.run([sys.executable, '-c', script], env=environment, check=True, cwd=tmp_path)
    assert time.monotonic() - started < 5  # generous: what matters is the absence of the imports


def test_stock_flags_are_understood():
    args = build_parser().parse_args(
        ['train', '-opt', 'x.yml', '--auto_resume', '--debug', '--launcher', 'pytorch', '--local-rank=1',
         '--force_yml', 'a:b=1', 'c=2']
    )  # fmt: skip
    assert (args.auto_resume, args.debug, args.launcher, args.local_rank) == (True, True, 'pytorch', 1)
    assert args.force_yml == ['a:b=1', 'c=2']


def test_doctor_reports(tmp_path):
    done = command('doctor', cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for text in ('torch ', 'basicsr 1.4.2 imported from', 'DUKDModel', 'devices:', 'all is well'):
        assert text in done.stdout
