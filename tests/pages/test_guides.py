"""docs/five_commands.md and docs/coming_from.md: their commands as they stand, in this process, made small."""

import glob
import re
import shlex
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

from dukd_basicsr import options
from dukd_basicsr.cli import main
from dukd_basicsr.data.paths import work_in
from tests.images import fill
from tests.toys import L1, REPOSITORY, STUDENT, TEACHER, forget_logger, save_weights

ARCH = """
import torch
from basicsr.utils.registry import ARCH_REGISTRY

@ARCH_REGISTRY.register()
class HATToy(torch.nn.Module):
    def __init__(self, in_chans=3, upscale=2):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(in_chans, 12, 3, 1, 1), torch.nn.PixelShuffle(upscale))

    def forward(self, x):
        return self.body(x)
"""


def read_page(name):
    return (REPOSITORY / 'docs' / f'{name}.md').read_text(encoding='utf-8')


def list_commands(name):
    """The lines of its bash blocks, `*` written out as a shell does."""
    for block in re.findall(r'```bash\n(.*?)```', read_page(name), re.DOTALL):
        yield from block.splitlines()


def type_line(line, capsys):
    forget_logger()
    inner = re.fullmatch(r'\(cd (\w+) && (.*)\)', line)
    if inner:
        with work_in(Path(inner[1])):
            return type_line(inner[2], capsys)
    words = [each for word in shlex.split(line) for each in (sorted(glob.glob(word)) or [word])]
    assert words[0] == 'basicsr'
    code = main(words[1:])
    forget_logger()
    said = capsys.readouterr()
    assert code == 0, f'{line}\n{said.out}\n{said.err}'
    return said.out + said.err


@pytest.mark.slow
def test_a_teacher_in_five_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / 'teacher.pth', {**STUDENT, 'num_feat': 48, 'num_block': 4})
    fill(tmp_path / 'photos', *[(70 + n, 80) for n in range(8)])
    commands = list(list_commands('five_commands'))
    assert len(commands) == 5
    said = [type_line(line.replace('--hours 8', '--iterations 2'), capsys) for line in commands]
    assert 'all is well' in said[0]
    assert re.search(r'\| \S+ \(teacher\) +\|', said[3])
    assert len(list(Path('large').iterdir())) == 8
    readme = (REPOSITORY / 'README.md').read_text(encoding='utf-8')
    assert '\n'.join(f'    {line}' for line in commands) in readme


def write_pairs(folder):
    rng = np.random.default_rng(0)
    for name in ('train', 'val'):
        for kind, side in (('gt', 48), ('lq', 24)):
            (folder / name / kind).mkdir(parents=True)
            for place in range(2):
                image = cv2.blur(rng.integers(0, 256, (side, side, 3), np.uint8), (5, 5))
                cv2.imwrite(str(folder / name / kind / f'{place}.png'), image)


def stock_options(name, **network):
    """A file as stock BasicSR has it, of two iterations."""
    paired = {'type': 'PairedImageDataset', 'io_backend': {'type': 'disk'}}
    places = {name: {'dataroot_gt': f'{name}/gt', 'dataroot_lq': f'{name}/lq'} for name in ('train', 'val')}
    train_set = {'gt_size': 16, 'use_hflip': True, 'use_rot': True, 'num_worker_per_gpu': 0, 'batch_size_per_gpu': 2}
    return {
        'name': name, 'model_type': 'SRModel', 'scale': 2, 'num_gpu': 0, 'manual_seed': 1,
        'datasets': {'train': {'name': 'a', **paired, **places['train'], **train_set},
                     'val': {'name': 'b', **paired, **places['val']}},
        'network_g': network or STUDENT, 'path': {'pretrain_network_g': None, 'resume_state': None},
        'train': {'optim_g': {'type': 'Adam', 'lr': 1e-3}, 'scheduler': {'type': 'MultiStepLR', 'milestones': [1]},
                  'total_iter': 2, 'pixel_opt': L1},
        'val': {'val_freq': 2, 'save_img': False, 'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 2}}},
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 2, 'use_tb_logger': False},
    }  # fmt: skip


@pytest.mark.usefixtures('_forgotten')
def test_files_of_others(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path)
    Path('my_options.yml').write_text(yaml.safe_dump(stock_options('mine')), encoding='utf-8')
    hat = stock_options('hat', type='HATToy') | {'use_chop': True}
    hat['datasets']['train']['use_shuffle'] = True
    Path('hat_options.yml').write_text(yaml.safe_dump(hat), encoding='utf-8')
    (tmp_path / 'hat').mkdir()
    (tmp_path / 'hat' / 'hat_arch.py').write_text(ARCH, encoding='utf-8')
    theirs = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml') | {'model_type': 'DUKD'}
    theirs['train'] |= {'dukd_opt': {'n_gt_sub': [1], 'zoom_out': True}, 'noisy': {'prob': 0.3}}
    Path('theirs.yml').write_text(yaml.safe_dump(theirs), encoding='utf-8')

    said = {line: type_line(line, capsys) for line in list_commands('coming_from')}
    assert len(said) == 5
    assert Path('experiments/mine/models/net_g_2.pth').is_file()
    assert 'use_shuffle: BasicSR does not read it' in said['basicsr train -opt hat_options.yml --import hat --check']
    assert options.check(options.load(Path('ours.yml')), Path('ours.yml'), is_train=True) == []
    assert 'train.dukd_opt' in said['basicsr convert theirs.yml ours.yml']


@pytest.mark.usefixtures('_forgotten')
def test_a_teacher_beside_a_file_of_basicsr(tmp_path, monkeypatch, capsys):
    """What the page says to add, added to the file that the page begins with."""
    monkeypatch.chdir(tmp_path)
    write_pairs(tmp_path)
    save_weights(tmp_path / 'teacher.pth', TEACHER)
    (added,) = re.findall(r'```yaml\n(.*?)```', read_page('coming_from'), re.DOTALL)
    opt = stock_options('distilled')
    for key, value in yaml.safe_load(added).items():
        opt[key] = {**opt[key], **value} if isinstance(value, dict) and key in opt else value
    Path('my_options.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    said = type_line('basicsr train -opt my_options.yml', capsys)
    assert all(f'{term}: ' in said for term in ('l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix'))
