"""docs/losses.md: its example is a method, its options are read, its files are there."""

import copy
import re
from pathlib import Path

import pytest
import torch
import yaml
from basicsr.models import build_model
from basicsr.utils.registry import LOSS_REGISTRY

from dukd_basicsr import options
from tests.toys import REPOSITORY, batch, train_options

PAGE = (REPOSITORY / 'docs' / 'losses.md').read_text(encoding='utf-8')


def block(language, word=''):
    """The one block of code in this language that has the word."""
    (found,) = (each for each in re.findall(rf'```{language}\n(.*?)```', PAGE, re.DOTALL) if word in each)
    return found


@pytest.fixture
def _registered():
    exec(compile(block('python'), 'docs/losses.md', 'exec'), {'__name__': 'somebody'})
    yield
    LOSS_REGISTRY._obj_map.pop('CosineLoss')


def test_the_example_has_ten_lines():
    assert len([line for line in block('python').splitlines() if line.strip()]) <= 10


@pytest.mark.usefixtures('_registered')
def test_the_example_is_a_method_that_trains_with_the_others(tmp_path):
    given = yaml.safe_load(re.search(r'# feature_opt: (.*)', block('python')).group(1))
    opt = train_options(tmp_path, feature_opt={**given, 'at': {'type': 'ATLoss'}})
    model = build_model(copy.deepcopy(opt))
    before = model.features.copy_trained()
    model.feed_data(batch(3))
    with model.features.record(3):
        output, label = model.net_g(model.lq), model.net_t(model.lq)
        features = [
            taps.read(path, (8, 8)) for taps, path in zip(model.features.taps, ('body.0', 'body.1'), strict=True)
        ]
        value = model.features(model.lq, output, label)['l_cosine'].item()
    adapted = model.features.losses['cosine'].adapters[0](features[0])
    cosines = [
        (s * t).sum() / (s.square().sum() * t.square().sum()).sqrt() for s, t in zip(adapted, features[1], strict=True)
    ]
    assert value == pytest.approx(0.1 * (1 - sum(cosines).item() / 3), rel=1e-4)
    model.optimize_parameters(1)
    assert model.get_current_log()['l_cosine'] == pytest.approx(value, rel=1e-5)
    assert before.keys() == {'losses.cosine.adapters.0.weight', 'losses.cosine.adapters.0.bias'}
    assert all(not torch.equal(value, before[name]) for name, value in model.features.copy_trained().items())


@pytest.mark.usefixtures('_registered')
def test_the_options_of_the_page_pass():
    opt = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')
    opt['train'] |= yaml.safe_load(block('yaml', 'feature_opt'))['train']
    assert options.check(opt, Path('x.yml'), True) == []
    opt['train']['feature_opt']['cosine'] = {'type': 'CosineLoss', 'loss_weight': 0.1}
    assert options.check(opt, Path('x.yml'), True) == []


def test_the_options_of_a_discriminator_pass():
    opt = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')
    written = yaml.safe_load(block('yaml', 'gan_opt'))
    for section in ('path', 'train'):
        opt[section] |= written.pop(section)
    assert options.check(opt | written, Path('x.yml'), True) == []


def test_the_table_lists_every_loss_and_its_file():
    listed = set(re.findall(r'^\| `(\w+Loss)` \|', PAGE, re.MULTILINE))
    own = {name for name, loss in LOSS_REGISTRY if loss.__module__.startswith('dukd_basicsr.losses.')}
    own -= {'DUKDLoss', 'FFTLoss'}  # of dukd_opt, and against ground truth
    assert listed == own
    methods = re.search(r'train_\{([\w,]+)\}_edsr_x4', PAGE).group(1).split(',')
    found = set()
    for method in methods:
        (entry,) = options.load(REPOSITORY / 'options' / f'train_{method}_edsr_x4.yml')['train']['feature_opt'].values()
        found.add(entry['type'])
    assert found == own
