"""Options files changed at random end in acceptance or in sentences with exit code 2; what broke that, once each."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dukd_basicsr import options
from dukd_basicsr.cli import main
from dukd_basicsr.data.checks.files import check_files
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import build as networks
from tests.toys import REPOSITORY, STUDENT, TEACHER

SPEC = importlib.util.spec_from_file_location('mutate_options', REPOSITORY / 'tests' / 'torture' / 'mutate_options.py')
mutations = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(mutations)

FILE = REPOSITORY / 'options' / 'train_dukd_edsr_x2.yml'
SWINIR = {'type': 'SwinIR', 'upscale': 2, 'in_chans': 3, 'img_size': 16, 'window_size': 4, 'img_range': 1.0,
          'depths': [1], 'embed_dim': 4, 'num_heads': [1], 'mlp_ratio': 1, 'upsampler': 'pixelshuffle',
          'resi_connection': '1conv'}  # fmt: skip


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    mutations.images(folder)
    return folder


@settings(max_examples=250)
@given(st.randoms(use_true_random=False))
def test_a_mutated_file_is_accepted_or_refused_in_sentences(folder, rng):
    assert mutations.attempt(*mutations.example(rng), folder) in ('accepted', 'refused')


@pytest.mark.parametrize('file', mutations.FILES, ids=lambda file: file.stem)
def test_unchanged_data_survives_the_mutations_own_writer(file, folder):
    (folder / 'x.yml').write_bytes(mutations.dump(options.load(file)))
    assert options.load(folder / 'x.yml') == options.load(file)
    (folder / 'x.yml').unlink()


def test_the_judge_sees_tracebacks_files_and_hangs(folder, monkeypatch):
    text = FILE.read_bytes()
    for run, seen in ((lambda opt: 1 / 0, 'ZeroDivisionError'), (lambda opt: Path('made').touch(), "left.*'made'")):
        monkeypatch.setattr(mutations, '_without_networks', contextlib.nullcontext)
        monkeypatch.setattr(mutations.dry_run, 'run', run)
        with pytest.raises(mutations.MutationError, match=seen):
            mutations.attempt(FILE, text, [], folder)
    (folder / 'made').unlink()
    monkeypatch.setattr(mutations, 'SECONDS', 1)
    monkeypatch.setattr(mutations.dry_run, 'run', lambda opt: __import__('time').sleep(5))
    with pytest.raises(mutations.MutationError, match='TimeoutError'):
        mutations.attempt(FILE, text, [], folder)


DEEP = 'column 53: not plain YAML: more than 50 levels deep.'
TEXTS = {
    'scale: !!int ""': 'not plain YAML: string index out of range.',
    'scale: !!bool x': "not plain YAML: 'x'.",
    'scale: !!timestamp x': "not plain YAML: 'NoneType' object has no attribute 'groupdict'.",
    'a: ' + '[' * 100_000: 'line 1, column 53: not plain YAML: more than 50 levels deep.',
    'a: ' + '{a: ' * 100_000: 'line 1, column 200: not plain YAML: more than 50 levels deep.',
    'a: ' + '[' * 900 + ']' * 900: 'line 1, column 53: not plain YAML: more than 50 levels deep.',
    mutations.LAUGHS: 'line 4, column 45: not plain YAML: more than 10000 values.',
    'a: &b [*b]': 'line 1, column 8: not plain YAML: *b inside of &b.',
    'scale: 0x' + 'f' * 5000: 'scale: a whole number of more than 64 bits; write a smaller one.',
    'train: {total_iter: 1' + '0' * 400 + '}': 'train.total_iter: a whole number of more than 64 bits; write a '
                                               'smaller one.',
    '#' * 2**20 + '\n': 'larger than 1 MB; an options file has a few kilobytes of text.',
    '"\\e[2J": 1\n"\\e[2J": 2': 'line 2, column 1: "\\x1b[2J" stands here again; keep one of the two.',
}  # fmt: skip


@pytest.mark.parametrize(('text', 'message'), TEXTS.items(), ids=range(len(TEXTS)))
def test_files_that_broke_the_reader(text, message, tmp_path):
    file = tmp_path / 'x.yml'
    file.write_text(text)
    with pytest.raises(options.OptionsError) as caught:
        options.load(file)
    # A libyaml that reads ahead finds endless brackets itself, further on in the line.
    ahead = caught.value.messages[0].replace('column 1003: not plain YAML: exceeded maximum nesting depth.', DEEP)
    assert (ahead, *caught.value.messages[1:]) == (f'{file}: {message}',)


def test_values_said_twice_may_be_aliases(tmp_path):
    file = tmp_path / 'x.yml'
    file.write_text('a: &a {b: [1, 2]}\nc: *a\nd: &d 1\ne: *d')
    assert options.load(file) == {'a': {'b': [1, 2]}, 'c': {'b': [1, 2]}, 'd': 1, 'e': 1}


FORCED = {
    'scale=' + '9' * 5000: '--force_yml scale: a whole number of more than 64 bits; write a smaller one.',
    'scale=[0x' + 'f' * 5000 + ']': '--force_yml scale: a whole number of more than 64 bits; write a smaller one.',
    'scale=[!!int ""]': '--force_yml: [!!int ""] is not a list of plain values.',
    'scale={[]: 1}': '--force_yml: {[]: 1} is not a list of plain values.',
    'scale={a: &a [*a]}': '--force_yml: {a: &a [*a]} is not a list of plain values.',
    'scale=[\udcff]': '--force_yml: [\\udcff] is not a list of plain values.',
}


@pytest.mark.parametrize(('entry', 'message'), FORCED.items(), ids=range(len(FORCED)))
def test_overrides_that_broke_the_reader(entry, message):
    with pytest.raises(options.OptionsError) as caught:
        options.apply_overrides({'scale': 2}, [entry])
    assert caught.value.messages == (message,)


def test_overrides_nested_without_end():
    with pytest.raises(options.OptionsError, match='is not a list of plain values'):
        options.apply_overrides({'scale': 2}, ['scale=' + '[' * 100_000])
    signs = '-' * 100_000 + '1'  # too deep for Python's parser, and text in YAML
    assert options.apply_overrides({'scale': 2}, [f'scale=[{signs}]']) == {'scale': [signs]}


def test_sentences_stay_short_and_on_their_line(tmp_path):
    opt = options.load(FILE)
    opt['x' * 100_000] = opt['\x1b[2J\u2028'] = opt['.' * 100_000] = 1
    with pytest.raises(options.OptionsError) as caught:
        options.check(opt, Path('x.yml'), is_train=True)
    assert len(caught.value.messages) == 3
    assert all(message.isprintable() and len(message) < 1100 for message in caught.value.messages)
    assert 'x.yml: \\x1b[2J\\u2028: unknown key.' in caught.value.messages[1]


@pytest.mark.parametrize('path', ['x/' * 3000, 'x' * 300, '~nobody_of_this_name/x', 'a\0b', '\ud800'], ids=range(5))
def test_paths_that_no_system_has_are_missing(path, tmp_path):
    opt = options.load(FILE)
    opt['path']['pretrain_network_t'] = opt['datasets']['train']['dataroot_lq'] = path
    with pytest.raises(options.OptionsError, match=r'path\.pretrain_network_t: there is no file') as caught:
        check_files(opt, tmp_path, is_train=True)
    assert any('datasets.train.dataroot_gt: there is no ' in message for message in caught.value.messages)


EDSR_MISTAKES = {
    'num_feat: 0': 'network_g: EDSR of these arguments has nothing in conv_first.weight; a number is 0 that must not '
                   'be.',
    'num_feat: -3': 'network_g: EDSR cannot be built from these arguments (RuntimeError: Trying to create tensor with '
                    'negative dimension -3: [-3, 3, 3, 3]).',
    'num_feat: 1000000000': 'network_g.num_feat: no EDSR is that large; the most is 4096.',
    'num_block: [1]': "network_g: EDSR cannot be built from these arguments (TypeError: 'list' object cannot be "
                      'interpreted as an integer).',
    'upscale: 5': 'network_g: EDSR cannot be built from these arguments (ValueError: scale 5 is not supported. '
                  'Supported scales: 2^n and 3).',
}  # fmt: skip


@pytest.mark.filterwarnings('ignore:Initializing zero-element')
@pytest.mark.parametrize(('change', 'message'), EDSR_MISTAKES.items(), ids=EDSR_MISTAKES)
def test_arguments_that_make_no_network(change, message):
    with pytest.raises(UserError) as caught:
        networks.build({**STUDENT, **yaml.safe_load(change)})
    assert caught.value.messages == (message,)


@pytest.mark.parametrize(
    ('change', 'start'),
    [
        ('num_feat: -3', 'network_g: EDSR '),
        ('num_block: x', 'x.yml: network_g.num_block: "x" is text, and a number is due'),
        ('num_feat: 0', 'network_g: EDSR '),
    ],
)
@pytest.mark.filterwarnings('ignore:Initializing zero-element')
def test_a_real_run_says_it_too_and_creates_nothing(change, start, tmp_path, monkeypatch, capsys):
    opt = options.load(REPOSITORY / 'options' / 'train_edsr_x2.yml')
    mutations.with_images(opt)
    opt['network_g'] = {**STUDENT, **yaml.safe_load(change)}
    opt['num_gpu'] = 0
    mutations.images(tmp_path)
    (tmp_path / 'x.yml').write_bytes(mutations.dump(opt))
    monkeypatch.chdir(tmp_path)
    assert main(['train', '-opt', 'x.yml']) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f'basicsr train: {start}')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['images', 'x.yml']


def test_a_network_larger_than_the_memory_is_not_built(monkeypatch):
    monkeypatch.setattr(networks, 'read_physical_memory', lambda: networks.MEMORY_SHARE * 20_000)
    networks.build(STUDENT)
    with pytest.raises(UserError, match=r'EDSR of these arguments has more than 19\.5 KiB of weights'):
        networks.build({**STUDENT, 'num_feat': 16})


def test_a_network_of_too_many_layers_is_not_built(monkeypatch):
    monkeypatch.setattr(networks, 'MOST_TENSORS', 100)
    with pytest.raises(UserError, match='EDSR of these arguments has more than 100 layers'):
        networks.build({**STUDENT, 'num_block': 4000})


def test_windows_larger_than_any_image(monkeypatch):
    monkeypatch.setattr(networks, 'LARGEST_WINDOW', 3)
    with pytest.raises(UserError, match='takes no image smaller than 4 pixels'):
        networks.build(SWINIR)


@pytest.mark.parametrize('share', [float('nan'), float('inf'), 0, 1, -0.5])
def test_a_share_of_the_batch_that_is_none_is_said_once(share):
    """It once went on to the rules that compute with it."""
    opt = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4_in_batch.yml')
    opt['train']['dukd_opt']['in_batch'] = share
    with pytest.raises(UserError, match=r'train\.dukd_opt\.in_batch') as caught:
        options.check(opt, FILE, is_train=True)
    assert len(caught.value.messages) == 1


def test_a_path_of_100000_letters_is_missing_at_once(folder):
    """A search in it once went back at each of them, for minutes."""
    opt = options.load(FILE)
    opt['datasets']['train']['dataroot_gt'] = 'x/' * 50_000
    (folder / 'x.yml').write_bytes(mutations.dump(opt))
    with mutations.work_in(folder), mutations._limited():
        assert main(['train', '-opt', 'x.yml']) == 2
    (folder / 'x.yml').unlink()


ARGUMENTS = st.sampled_from([
    None, True, 0, 1, -1, 3, 5, 7, 64, 10**9, 0.5, 1e300, float('nan'), 'x', '', [], [0], [1, 2], [[1]], {}, [1e9]
])  # fmt: skip


@pytest.mark.slow
@settings(max_examples=100)
@given(st.data())
def test_a_mutated_network_or_loss_is_run_or_refused_in_sentences(folder, data):
    opt = options.load(FILE)
    opt['num_gpu'], opt['datasets']['train']['gt_size'] = 0, 16
    opt['network_g'], opt['network_t'] = copy.deepcopy(data.draw(st.sampled_from([STUDENT, SWINIR]))), dict(TEACHER)
    sections = [opt['network_g'], opt['network_t'], opt['train']['pixel_opt'], opt['train']['optim_g'], opt['train']]
    section = data.draw(st.sampled_from(sections))
    section[data.draw(st.sampled_from([key for key in section if key != 'type']))] = data.draw(ARGUMENTS)
    (folder / 'x.yml').write_bytes(mutations.dump(opt))
    errors = io.StringIO()
    with mutations.work_in(folder), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        code = main(['train', '-opt', 'x.yml', '--check'])
    (folder / 'x.yml').unlink()
    sentences = [line for line in errors.getvalue().splitlines() if not line.startswith('basicsr train: warning: ')]
    assert code in (0, 2)
    assert bool(code) == any(line.startswith('basicsr train: ') for line in sentences)
    assert [path.name for path in folder.iterdir()] == ['images']
