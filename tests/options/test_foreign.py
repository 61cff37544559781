"""Unknown keys: slips of the pen are mistakes, other people's keys are not, and numbers in text are numbers."""

from __future__ import annotations

import copy
import dataclasses
import string
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dukd_basicsr import options
from dukd_basicsr.options.foreign import find_misspelt
from dukd_basicsr.options.schema.file import Logger, Options, TrainDataset, Validation
from dukd_basicsr.options.schema.train import Train
from tests.toys import REPOSITORY

SECTIONS = {'': Options, 'datasets.train': TrainDataset, 'train': Train, 'val': Validation, 'logger': Logger}
NAMES = {path: sorted(field.name for field in dataclasses.fields(section)) for path, section in SECTIONS.items()}
ALL = sorted({name for names in NAMES.values() for name in names})
DUKD = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')
OTHERS = [
    *('use_shuffle', 'task', 'use_chop', 'tile', 'notes', 'x_scale', 'x_ema_decay', 'note_kd_opt', 'gt_sized_by'),
    *('tea1_network_g', 'tea1_path', 'dis_opt', 'stu_opt', 'alpha', 'network_d', 'optim_d', 'sd_opt'),
    *('use_rot90', 'crop_border', 'suffix', 'self_ensemble', 'degradation', 'l1_gt_usm'),
]  # fmt: skip
"""Keys as other repositories have them, and notes."""


@pytest.mark.parametrize('name', OTHERS)
def test_keys_of_others_are_not_taken_for_slips(name):
    for names in NAMES.values():
        assert find_misspelt(name, set(names) - {name}) is None


@pytest.mark.parametrize(
    ('written', 'meant'),
    [
        ('ema_decai', 'ema_decay'), ('scael', 'scale'), ('kd_op', 'kd_opt'), ('use_rott', 'use_rot'),
        ('total_itr', 'total_iter'), ('use_hfilp', 'use_hflip'), ('print_frequency', 'print_freq'),
        ('val_frequency', 'val_freq'), ('Total-Iter', 'total_iter'), ('gt_sze', 'gt_size'), ('metric', 'metrics'),
    ],
)  # fmt: skip
def test_slips_are_found(written, meant):
    assert find_misspelt(written, ALL) == meant


def slip(name, place, letter, kind):
    """One letter left out, added, exchanged, or transposed with the next."""
    head, tail = name[:place], name[place:]
    return {
        'leave out': head + tail[1:],
        'add': head + letter + tail,
        'exchange': head + letter + tail[1:],
        'transpose': head + tail[1:2] + tail[:1] + tail[2:],
    }[kind]


@given(st.data())
def test_one_slip_in_a_word_of_three_letters_is_always_found(data):
    name = data.draw(st.sampled_from(ALL))
    inside, start = [], 0
    for word in name.split('_'):
        inside += range(start + 1, start + len(word) - 1) if len(word) > 3 else []
        start += len(word) + 1
    assume(inside)
    kind = data.draw(st.sampled_from(['leave out', 'add', 'exchange', 'transpose']))
    written = slip(name, data.draw(st.sampled_from(inside)), data.draw(st.sampled_from(string.ascii_lowercase)), kind)
    assume(written != name)
    found = find_misspelt(written, ALL)
    assert found is not None
    assert found == name or written in ALL or abs(len(found) - len(written)) <= 1


@pytest.mark.parametrize('path', SECTIONS)
def test_an_unknown_key_of_a_shared_section_is_said_and_changes_nothing(path):
    opt = copy.deepcopy(DUKD)
    node = opt
    for part in filter(None, path.split('.')):
        node = node[part]
    node['use_teacher_forcing'] = True
    (warning,) = options.check(opt, Path('x.yml'), True)
    where = f'{path}.use_teacher_forcing'.lstrip('.')
    assert warning == f'x.yml: {where}: nothing reads this key, and it changes nothing.'


@pytest.mark.parametrize('path', ['train.dukd_opt', 'train.dukd_opt.zoom_in', 'train.optim_g', 'network_g'])
def test_sections_that_only_this_plugin_or_torch_reads_stay_strict(path):
    opt = copy.deepcopy(DUKD)
    node = opt
    for part in path.split('.'):
        node = node.get(part) or node.setdefault(part, {})
    node['use_teacher_forcing'] = True
    with pytest.raises(options.OptionsError, match=r'use_teacher_forcing: unknown key'):
        options.check(opt, Path('x.yml'), True)


def test_numbers_in_text_are_what_trains():
    opt = copy.deepcopy(DUKD)
    opt['train']['optim_g']['lr'] = '1e-4'
    opt['train']['total_iter'] = '2.5e5'
    opt['train']['scheduler']['milestones'] = ['1E+5', 200000]
    opt['datasets']['train']['gt_size'] = '1.92e2'
    opt['network_g']['res_scale'] = '1e-1'
    warnings = options.check(opt, Path('x.yml'), True)
    assert {warning.split(': ')[1] for warning in warnings} == {
        'datasets.train.gt_size', 'train.total_iter', 'train.optim_g.lr', 'train.scheduler.milestones[0]',
        'network_g.res_scale',
    }  # fmt: skip
    assert len(warnings) == 5
    assert opt['train']['optim_g']['lr'] == 1e-4
    assert opt['train']['total_iter'] == 250_000
    assert opt['train']['scheduler']['milestones'] == [100_000, 200_000]
    assert (opt['datasets']['train']['gt_size'], opt['network_g']['res_scale']) == (192, 0.1)
    assert isinstance(opt['datasets']['train']['gt_size'], int)
    assert options.check(opt, Path('x.yml'), True) == []


@pytest.mark.parametrize(('key', 'value'), [('gt_size', '1.5e0'), ('gt_size', '1e400'), ('batch_size_per_gpu', '1e9')])
def test_numbers_in_text_have_their_limits(key, value):
    opt = copy.deepcopy(DUKD)
    opt['datasets']['train'][key] = value
    with pytest.raises(options.OptionsError, match=rf'datasets\.train\.{key}: '):
        options.check(opt, Path('x.yml'), True)


def test_the_same_key_twice_with_one_value_is_one_key(tmp_path):
    file = tmp_path / 'x.yml'
    file.write_text('path:\n  resume_state: ~\n  resume_state: ~\n', encoding='utf-8')
    assert options.load(file) == {'path': {'resume_state': None}}
