"""docs/your_own_network.md: its file, its options and its commands as they stand, in this process; and --import.

What is smaller: two iterations on patches of 16x16, validated and shown as the page says.
"""

import os
import re
import shlex
import sys
from pathlib import Path

import cv2
import pytest
import torch
import yaml
from skimage import data
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from dukd_basicsr import options
from dukd_basicsr.cli import main
from dukd_basicsr.commands import user_modules
from dukd_basicsr.networks.build import load_network
from tests.toys import REPOSITORY

PAGE = (REPOSITORY / 'docs' / 'your_own_network.md').read_text(encoding='utf-8')
SMALL = {'total_iter': 2, 'scheduler': {'type': 'MultiStepLR', 'milestones': [1], 'gamma': 0.5}}


def blocks(language):
    return re.findall(rf'```{language}\n(.*?)```', PAGE, re.DOTALL)


def photographs(folder, names, side):
    folder.mkdir()
    for name in names:
        cv2.imwrite(str(folder / f'{name}.png'), getattr(data, name)()[:side, : side + 4, ::-1])


def merge(into, changes):
    for key, value in changes.items():
        if isinstance(value, dict) and key in into and not key.startswith('network_'):
            merge(into[key], value)
        else:
            into[key] = value


def change_options(file):
    """What the page says to change, and what makes it small."""
    opt = yaml.safe_load(file.read_text())
    (changes,) = (yaml.safe_load(block) for block in blocks('yaml'))
    merge(opt, changes)
    del opt['datasets']['val_1'], opt['datasets']['val_2']
    merge(opt, {'train': SMALL, 'val': {'val_freq': 2}, 'logger': {'print_freq': 1}})
    merge(opt['datasets']['train'], {'gt_size': 16, 'batch_size_per_gpu': 2, 'num_worker_per_gpu': 0})
    file.write_text(yaml.safe_dump(opt, sort_keys=False))


@pytest.mark.usefixtures('_forgotten')
def test_every_command_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    photographs(tmp_path / 'my_photos', ('astronaut', 'chelsea'), 200)
    photographs(tmp_path / 'my_test_photos', ('coffee',), 48)
    (code,) = blocks('python')
    Path('my_arch.py').write_text(code, encoding='utf-8')
    space = {}
    exec(compile(code.replace('@ARCH_REGISTRY.register()', ''), 'my_arch.py', 'exec'), space)
    torch.save({'params': space['TinyNet'](64, 8, 2).state_dict()}, 'teacher.pth')
    for command in ''.join(blocks('bash')).splitlines():
        words = shlex.split(command)
        assert words[0] == 'basicsr'
        assert main(words[1:]) == 0, f'{command}\n{capsys.readouterr().err}'
        if words[1] == 'options':
            change_options(Path('my_network.yml'))
    table = Path('results/my_network/benchmark.md').read_text()
    assert re.search(r'\| my_network +\|', table)
    assert re.search(r'\| teacher \(teacher\) +\|', table)
    assert set(torch.load('experiments/my_network/models/net_g_2.pth', weights_only=True)) == {'params', 'params_ema'}
    events = EventAccumulator('tb_logger/my_network').Reload()
    drawn = {tag.split('/')[0] for tag in events.Tags()['scalars'] + events.Tags()['images']}
    assert drawn == {'losses', 'learning_rate', 'metrics', 'teacher_gap', 'pictures_GT_student_teacher'}

    alone = options.load(Path('my_network.yml')) | {'name': 'alone', 'model_type': 'SRModel'}
    del alone['network_t'], alone['path']['pretrain_network_t'], alone['train']['kd_opt'], alone['train']['dukd_opt']
    assert options.check(alone, Path('alone.yml'), is_train=True) == []
    teacher = torch.load('teacher.pth', weights_only=True)['params']
    torch.save(teacher, 'bare.pth')  # "a bare state_dict is read too"
    assert (
        load_network(yaml.safe_load(blocks('yaml')[0])['network_t'], 'bare.pth')
        .body[0]
        .bias.equal(teacher['body.0.bias'])
    )


@pytest.mark.usefixtures('_forgotten')
def test_a_network_that_is_not_imported_is_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['options', 'copy', 'train_dukd_edsr_f24b4_x2', 'my.yml']) == 0
    assert main(['train', '-opt', 'my.yml', '--force_yml', 'network_g={type: Zzyzx}']) == 2
    assert '"Zzyzx" is not registered.' in (message := capsys.readouterr().err)
    assert 'One of your own, or of another repository, is registered by --import FILE.py.' in message


@pytest.mark.usefixtures('_forgotten')
def test_a_file_is_run_once_and_finds_its_neighbours(tmp_path, monkeypatch):
    (tmp_path / 'my_blocks.py').write_text('WIDTH = 7')
    (tmp_path / 'my_net.py').write_text('import my_blocks\nruns = globals().get("runs", 0) + my_blocks.WIDTH')
    user_modules.load([tmp_path / 'my_net.py', tmp_path / 'my_net.py'])
    monkeypatch.chdir(tmp_path)
    user_modules.load([Path('my_net.py')])
    assert sys.modules['my_net'].runs == 7
    assert sys.path[-1] == str(tmp_path)


@pytest.mark.parametrize(
    ('name', 'code', 'message'),
    [
        ('none.py', None, '--import none.py: no such Python file'),
        ('weights.pth', '', '--import weights.pth: neither a Python file, nor a folder'),
        ('random.py', '', 'Python has another module "random" already; rename it, e.g. my_random.py.'),
        ('antigravity.py', '', 'Python has another module "antigravity" already'),
        ('my_a.py', 'x = 1\ndef f(:\n', '--import my_a.py: line 2: SyntaxError: '),
        ('my_b.py', 'x = 1\nx / 0\n', '--import my_b.py: line 2: ZeroDivisionError: division by zero'),
        ('my_c.py', 'import nothing_of_that_name',
         'line 1: it needs the package nothing_of_that_name; install it: pip install nothing-of-that-name'),
        ('my_d.py', 'from basicsr.utils.registry import ARCH_REGISTRY\n@ARCH_REGISTRY.register()\nclass EDSR: pass',
         "AssertionError: An object named 'EDSR' was already registered in 'arch' registry!"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures('_forgotten')
def test_mistakes_end_in_a_sentence(name, code, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    if code is not None:
        Path(name).write_text(code)
    assert main(['train', '-opt', 'x.yml', '--import', name]) == 2
    assert message in capsys.readouterr().err
    assert set(os.listdir()) <= {name, '__pycache__'}


def test_no_options_file_can_ask_for_it(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('evil.py').write_text('raise SystemExit("ran")')
    for key in ('import', 'own_modules'):
        Path('x.yml').write_text(f'name: x\nmodel_type: SRModel\n{key}: [evil.py]\n')
        assert main(['train', '-opt', 'x.yml']) == 2
        said = capsys.readouterr().err
        assert 'x.yml: scale: missing key' in said
        assert 'ran' not in said.replace('training', '')
