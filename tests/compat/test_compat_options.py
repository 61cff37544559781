"""Option files and command lines: first the stock failure, then ours, and otherwise the same options."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
from basicsr.utils import dist_util
from basicsr.utils import options as stock_module

from dukd_basicsr import compat
from dukd_basicsr.errors import UserError
from dukd_basicsr.options import overrides

OPTIONS = """
name: run
model_type: SRModel
scale: 4
num_gpu: auto
manual_seed: 7
datasets:
  train: {name: a, type: PairedImageDataset, dataroot_gt: ~/gt, dataroot_lq: x}
  val_1: {name: b, dataroot_lq: ~}
network_g: {type: EDSR, num_feat: 4}
path: {pretrain_network_g: ~/net.pth, strict_load_g: true, resume_state: ~}
train:
  optim_g: {type: Adam, lr: !!float 1e-4, betas: [0.9, 0.99]}
  milestones: [1, 2]
  dukd_opt: ~
val: {val_freq: 100}
logger: {print_freq: 100, save_checkpoint_freq: 100}
"""


@pytest.fixture
def parse(monkeypatch, tmp_path):
    """Run ours, or stock's with stock's own YAML loader, on a command line."""

    def run(*flags, text=OPTIONS, by_stock=False, is_train=True):
        file = tmp_path / 'options.yml'
        file.write_text(text, encoding='utf-8')
        monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(file), *flags])
        with monkeypatch.context() as patch:
            if by_stock:
                patch.setattr(stock_module, 'ordered_yaml', compat.stock(compat.ordered_yaml))
            function = compat.stock(compat.parse_options) if by_stock else stock_module.parse_options
            return function('root', is_train=is_train)

    return run


def _plain(value):
    """Types and order too, which == on OrderedDict and int/float/bool does not see."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in sorted(value.items())}
    return [_plain(item) for item in value] if isinstance(value, list) else (type(value), value)


@pytest.mark.parametrize('is_train', [True, False])
@pytest.mark.parametrize(
    'flags',
    [
        [],
        ['--debug', '--auto_resume', '--local_rank', '1'],
        ['--force_yml', 'train:total_iter=10', 'name=debug_x', 'scale=2', 'train:a=0.5', 'train:b=!!float 1e-4',
         'train:optim_g:betas=[0.9, 1e-3]', 'val:save_img=False', 'train:dukd_opt=~', 'train:c=.5'],
    ],
)  # fmt: skip
def test_same_options_as_stock(parse, flags, is_train):
    theirs, their_args = parse(*flags, by_stock=True, is_train=is_train)
    ours, our_args = parse(*flags, is_train=is_train)
    assert _plain(ours) == _plain(theirs)
    assert list(ours) == list(theirs)
    assert vars(our_args) == vars(their_args)


def test_without_a_seed_one_is_drawn(parse):
    opt, _ = parse(text=OPTIONS.replace('manual_seed: 7', ''))
    assert 1 <= opt['manual_seed'] <= 10000


def test_a_forced_seed_seeds(parse):
    def draw(**kwargs):
        parse('--force_yml', 'manual_seed=8', **kwargs)
        return torch.rand(1)

    wanted = torch.rand(1, generator=torch.Generator().manual_seed(8))
    assert draw(by_stock=True) != wanted
    assert draw() == wanted


@pytest.mark.parametrize(
    ('launcher', 'forced', 'wanted'),
    [
        ('pytorch', 'num_gpu=2', {'backend': 'nccl'}),
        ('pytorch', 'num_gpu=0', {'backend': 'gloo'}),  # the network stays on the CPU, CUDA or not
        ('pytorch', 'dist_params:backend=gloo', {'backend': 'gloo'}),
        ('slurm', 'num_gpu=2', {'backend': 'nccl', 'port': 29500}),
    ],
)
def test_backend(parse, monkeypatch, launcher, forced, wanted):
    asked = {}
    monkeypatch.setattr(dist_util, 'init_dist', lambda _, **kwargs: asked.update(kwargs))
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    text = OPTIONS + 'dist_params: {backend: nccl, port: 29500}\n'
    opt, _ = parse('--launcher', launcher, '--force_yml', forced, text=text)
    assert asked == wanted
    assert opt['dist'] is True


def test_local_rank_with_a_hyphen(parse, capsys):
    with pytest.raises(SystemExit):
        parse('--local-rank=3', by_stock=True)
    assert 'unrecognized arguments: --local-rank=3' in capsys.readouterr().err
    assert parse('--local-rank=3')[1].local_rank == 3
    assert parse('--local-rank', '3')[1].local_rank == 3
    assert parse('--force_yml', 'name=a--local-rank=1')[0]['name'] == 'a--local-rank=1'


def test_a_tag_in_the_file_is_not_executed(parse, tmp_path):
    marker = tmp_path / 'marker'
    text = f'{OPTIONS}\nevil: !!python/object/apply:os.mkdir ["{marker}"]\n'
    parse(text=text, by_stock=True)
    assert marker.exists()
    marker.rmdir()
    with pytest.raises(UserError, match=r'not plain YAML: could not determine a constructor .*os\.mkdir'):
        parse(text=text)
    assert not marker.exists()


@pytest.mark.parametrize(
    'entry', ['train:a=[__import__("os").mkdir(r"MARKER")]', 'name"];__import__("os").mkdir(r"MARKER");opt["b=1']
)
def test_force_yml_is_not_executed(parse, tmp_path, entry):
    marker = tmp_path / 'marker'
    entry = entry.replace('MARKER', str(marker))
    parse('--force_yml', entry, by_stock=True)
    assert marker.exists()
    marker.rmdir()
    opt, _ = parse('--force_yml', entry)
    assert not marker.exists()
    assert str(marker) in str([opt['train'].get('a'), list(opt)])  # it is text


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        ('trian:total_iter=1', r'there is no "trian"\. Did you mean "train"\?'),
        ('train:optim:lr=1', r'there is no "optim"\. Did you mean "optim_g"\?'),
        ('train:dukd_opt:zoom_in=1', '"dukd_opt" holds None and no options of its own'),
        ('train:total_iter', 'write key:key=value'),
        ('train:lr=!!float x', 'is not a number'),
        ('train:betas=[0.9,', 'is not a list of plain values'),
    ],
)
def test_a_wrong_override_is_a_sentence(parse, entry, message):
    with pytest.raises(UserError, match=message):
        parse('--force_yml', entry)


@pytest.mark.parametrize(
    'text',
    ['~', 'None', 'true', 'FALSE', '12', '012', '1.5', '5.', '.5', '!!float 2e-4', '[1, 2.5, None, "a"]', 'abc', '',
     '1.2.3', 'yes', 'a/b_0.pth', '.', 'nan', '1:30'],
)  # fmt: skip
def test_values_are_read_as_stock_reads_them(text):
    theirs = stock_module._postprocess_yml_value(text)
    assert _plain(overrides.parse_value(text)) == _plain(theirs)


@pytest.mark.parametrize(('text', 'value'), [('-1', -1), ('1e-4', 1e-4), ('-2.5E3', -2500.0), ('[a, ~]', ['a', None]),
                                             ('{a: 1}', {'a': 1}), ('{"a": -1}', {'a': -1})])  # fmt: skip
def test_values_that_stock_leaves_as_text_or_refuses(text, value):
    assert _plain(overrides.parse_value(text)) == _plain(value)


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'name: \xff', 'not UTF-8'),
        (b'name: [', 'not plain YAML'),
        (b'- a', 'there are no "key: value" lines'),
        (None, 'there is no such file'),
    ],
)
def test_a_file_that_is_no_options_file_is_a_sentence(tmp_path, monkeypatch, content, message):
    file = tmp_path / 'a.yml'
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setattr(sys, 'argv', ['train.py', '-opt', str(file)])
    with pytest.raises(UserError, match=message):
        compat.parse_options('root')


IN_THE_C_LOCALE = """
import os, sys
import dukd_basicsr.plugin
from basicsr.utils import options
from dukd_basicsr import compat

file, folder = sys.argv[2:]
del sys.argv[3:]
for function, arguments in ((compat.parse_options, ('.',)), (compat.copy_opt_file, (file, folder))):
    try:
        compat.stock(function)(*arguments)
    except UnicodeDecodeError:
        print('stock failed')
print(ascii(options.parse_options('.')[0]['name']))
options.copy_opt_file(file, folder)
"""


def test_utf8_in_the_c_locale(tmp_path):
    file = tmp_path / 'options.yml'
    file.write_text('\ufeff# \u00e9\n' + OPTIONS.replace('name: run', 'name: \u8d85'), encoding='utf-8')
    folder = tmp_path / 'experiment'
    folder.mkdir()
    done = subprocess.run(
        [sys.executable, '-c', IN_THE_C_LOCALE, '-opt', str(file), str(folder)],
        env={**os.environ, 'LC_ALL': 'C', 'PYTHONUTF8': '0'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('stock failed') == 2
    assert r"'\u8d85'" in done.stdout
    copy = (folder / 'options.yml').read_text(encoding='utf-8')
    assert copy.startswith('# GENERATE TIME: ')
    assert copy.endswith(file.read_text(encoding='utf-8-sig'))
