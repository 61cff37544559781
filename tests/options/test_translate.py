"""Options files in the structure of the authors' code: what they become, and what is said of the rest."""

from __future__ import annotations

import copy

import pytest
import yaml

from dukd_basicsr import cli, options
from dukd_basicsr.options.translate import translate
from tests.toys import REPOSITORY

L1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}


def of_authors(kind, **train):
    """A file of ours with the keys that differ written as the authors write them."""
    opt = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')
    opt['model_type'] = kind
    del opt['train']['dukd_opt']
    opt['train'] |= copy.deepcopy({'pixel_opt': L1 | {'loss_weight': 5.0}, 'kd_opt': L1} | train)
    opt['val']['self_ensemble'] = False
    return opt


def translated(opt):
    before = copy.deepcopy(opt)
    new, sentences = translate(opt)
    assert opt == before
    assert options.check(new, 'x.yml', True) == []
    return new, [sentence.split(': ')[0] for sentence in sentences]


def test_dukd():
    opt = of_authors('DUKD', dukd_opt={'n_gt_sub': [2], 'zoom_out': True}, noisy={'prob': 0.3})
    new, keys = translated(opt)
    assert new['model_type'] == 'DUKDModel'
    assert new['train']['dukd_opt'] == {
        **L1, 'zoom_in': {'num': 2, 'crops': 'grid'}, 'zoom_out': {'weight_gt': 5.0},
        'consistency': {'prob': 0.3, 'views': ['zoom_in']},
    }  # fmt: skip
    assert keys == ['train.dukd_opt.consistency', 'train.dukd_opt', 'train.dukd_opt.zoom_in']
    for key in ('pixel_opt', 'kd_opt', 'scheduler', 'optim_g', 'total_iter'):
        assert new['train'][key] == opt['train'][key]
    assert {**new, 'train': 0, 'val': 0, 'model_type': 0} == {**opt, 'train': 0, 'val': 0, 'model_type': 0}


def test_the_weights_of_all_terms_are_theirs():
    """L_zi and L_zo against the teacher have kd_opt's weight, L_zo against ground truth has pixel_opt's."""
    losses = {'kd_opt': L1 | {'loss_weight': 0.5}, 'pixel_opt': L1 | {'loss_weight': 2.0}}
    new, _ = translated(of_authors('DUKD', **losses, dukd_opt={'zoom_out': True}))
    read = options.dukd_options(new['train']['dukd_opt'])
    weights = {name: read.loss['loss_weight'] * weight for name, weight in read.weights.items()}
    assert weights == {'zoom_in': 0.5, 'zoom_out_kd': 0.5, 'zoom_out_pix': 2.0}
    assert read.consistency is None
    assert read.zoom_in.num == 1


@pytest.mark.parametrize('noisy', [None, {'prob': 0.0}])
def test_what_is_off_stays_off(noisy):
    new, keys = translated(of_authors('DUKD', dukd_opt={'n_gt_sub': [1], 'zoom_out': False}, noisy=noisy))
    dukd = new['train']['dukd_opt']
    assert (dukd['zoom_out'], dukd['consistency']) == (None, None)
    assert 'train.dukd_opt.consistency' not in keys


@pytest.mark.parametrize(
    ('kind', 'loss'),
    [
        ('SA', {'type': 'FAKDLoss', 'affinities': ['spatial'], 'largest_side': None}),
        ('CA', {'type': 'FAKDLoss', 'affinities': ['channel']}),
        ('IA', {'type': 'FAKDLoss', 'affinities': ['instance']}),
        ('AT', {'type': 'ATLoss'}), ('Fitnet', {'type': 'FitNetLoss'}), ('FSP', {'type': 'FSPLoss'}),
    ],
)  # fmt: skip
def test_fakd(kind, loss):
    positions = {'g': ['conv_first', 4, '7'], 't': ['conv_first', 10, 'conv_after_body']}
    given = {'type': kind, 'positions': positions}
    new, keys = translated(of_authors('FAKD', feature_distillation=given, feature_opt=L1 | {'loss_weight': 10.0}))
    assert new['model_type'] == 'DistillModel'
    assert new['train']['feature_opt'] == {kind.lower(): {
        **loss, 'loss_weight': 10.0,
        'taps': {'student': ['conv_first', 'body.4', 'body.7'],
                 'teacher': ['conv_first', 'body.10', 'conv_after_body']},
    }}  # fmt: skip
    assert keys == ['train.feature_opt', 'train.feature_opt']


def test_basekd_and_a_test_file():
    new, keys = translated(of_authors('BaseKD'))
    assert (new['model_type'], keys) == ('DistillModel', [])
    opt = options.load(REPOSITORY / 'options' / 'test_edsr_x4.yml')
    opt |= {'suffix': None, 'crop_border': None, 'save_img': True}
    new, sentences = translate(opt)
    assert sentences[0] == 'suffix: ~ is left out: nothing reads it.'
    assert len(sentences) == 3
    assert options.check(new, 'x.yml', False) == []


@pytest.mark.parametrize(
    ('kind', 'train', 'said'),
    [
        ('DUKD', {'kd_opt': None}, 'train.kd_opt: missing key, or weight 0'),
        ('DUKD', {'kd_opt': {'type': 'L1Loss', 'loss_weight': 0}}, 'train.kd_opt: missing key, or weight 0'),
        ('FAKD', {}, 'train.feature_distillation: missing key, or feature_opt'),
        ('FAKD', {'feature_distillation': {'type': 'SAA'}, 'feature_opt': L1},
         'train.feature_distillation.type: "SAA" is unknown to their code too. Allowed: SA, CA, IA, Fitnet, AT, FSP.'),
    ],
)  # fmt: skip
def test_what_cannot_be_translated(kind, train, said):
    with pytest.raises(options.OptionsError) as caught:
        translate(of_authors(kind, **train))
    assert caught.value.messages[0].startswith(said)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    opt = of_authors('DUKD', dukd_opt={'n_gt_sub': [1], 'zoom_out': True}, noisy={'prob': 0.3})
    (tmp_path / 'a.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
    assert cli.main(['convert', 'a.yml', 'b.yml']) == 0
    out, err = capsys.readouterr()
    assert out == ''
    assert err.count('basicsr convert: ') == 3
    text = (tmp_path / 'b.yml').read_text(encoding='utf-8')
    assert text.startswith('# Translated by basicsr convert from a.yml.\n# train.dukd_opt.consistency: their inverse')
    assert options.load(tmp_path / 'b.yml') == translate(opt)[0]
    assert cli.main(['convert', 'a.yml']) == 0
    assert capsys.readouterr().out == text
    for words, said in (
        (['a.yml', 'b.yml'], 'b.yml: there is such a file already; name a new .yml.'),
        (['b.yml'], 'b.yml: model_type: "DUKDModel": convert translates files of DUKD, BaseKD, FAKD '),
        (['none.yml'], 'none.yml: there is no such file'),
        (['x.pth'], 'x.pth: name the new file too, e.g. basicsr convert x.pth new.pth.'),
    ):
        assert cli.main(['convert', *words]) == 2
        assert capsys.readouterr().err.startswith(f'basicsr convert: {said}')
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.yml', 'b.yml']
