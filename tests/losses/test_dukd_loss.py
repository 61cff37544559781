"""DUKDLoss: the three terms written out once more, its weights, and the short and long form of `train.dukd_opt`."""

import pytest
import torch
from basicsr.losses import build_loss
from basicsr.models import build_model

from dukd_basicsr import options
from dukd_basicsr.consistency import InvertibleTransform
from dukd_basicsr.losses.dukd_loss import TERMS, Answer, DUKDLoss
from tests.toys import L1, REPOSITORY, batch, train_options

OPTIONS = REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml'


def image(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_terms_are_means_of_what_is_turned_back():
    """Sample by sample with torch.rot90 and its inverse: a transpose and a flip make a quarter turn."""
    both = torch.tensor([True, False, True])
    turn = InvertibleTransform((('hflip', both), ('transpose', both)))
    output, label, gt = (image(3, 3, 4, 4, seed=seed) for seed in range(3))
    loss = build_loss({'type': 'DUKDLoss', 'loss_weight': 0.5, 'weights': {'zoom_in': 3.0, 'zoom_out_pix': 5.0}})
    terms = loss(zoom_in=Answer(output, label, transform=turn), zoom_out=Answer(output, label, gt, turn))
    answers = [torch.rot90(one, -1, (1, 2)) if turned else one for one, turned in zip(output, both, strict=True)]
    assert torch.equal(turn(output)[0], torch.rot90(output[0], 1, (1, 2)))
    to_label, to_gt = (
        sum((answer - one).abs().mean() for answer, one in zip(answers, target, strict=True)) / 3
        for target in (label, gt)
    )
    expected = {'zoom_in': 1.5 * to_label, 'zoom_out_kd': 0.5 * to_label, 'zoom_out_pix': 2.5 * to_gt}
    assert list(terms) == list(TERMS)
    torch.testing.assert_close(terms, expected, rtol=1e-12, atol=0)


def test_what_has_no_input_or_target_is_left_out():
    loss, output = DUKDLoss(), image(2, 3, 4, 4)
    target = image(2, 3, 4, 4, seed=1)
    assert loss() == {}
    assert list(loss(zoom_in=Answer(output, target))) == ['zoom_in']
    assert list(loss(zoom_out=Answer(output, gt=target))) == ['zoom_out_pix']
    assert list(loss(zoom_out=Answer(output, label=target))) == ['zoom_out_kd']


def test_the_right_answer_costs_nothing_whatever_it_was_turned_by():
    loss, label = DUKDLoss(), image(8, 3, 6, 6)
    turn = InvertibleTransform.sample(8, ops=('hflip', 'vflip', 'transpose'), prob=0.5,
                                      generator=torch.Generator().manual_seed(1))  # fmt: skip
    assert loss(zoom_in=Answer(turn(label), label, transform=turn))['zoom_in'] == 0
    assert loss(zoom_in=Answer(turn(label), label))['zoom_in'] > 0


def test_gradients_reach_the_output_alone():
    output, label = image(2, 3, 4, 4).requires_grad_(), image(2, 3, 4, 4, seed=1)
    turn = InvertibleTransform.sample(2, ops=('invert',), prob=1)
    DUKDLoss(weights={'zoom_in': 2.0})(zoom_in=Answer(output, label, transform=turn))['zoom_in'].backward()
    # d |1 - o - t| / do = -sign(1 - o - t)
    torch.testing.assert_close(output.grad, -2 * torch.sign(1 - output.detach() - label) / output.numel())


@pytest.mark.parametrize('weights', [{'zoom_out': 1.0}, {'zoom_in': -1.0}])
def test_weights_of_no_term_and_negative_ones_are_refused(weights):
    with pytest.raises(ValueError, match=r'allowed are numbers from 0 on for zoom_in, zoom_out_kd, zoom_out_pix'):
        DUKDLoss(weights=weights)


def logged(folder, **train):
    opt = train_options(folder, **train)
    torch.manual_seed(0)
    model = build_model(opt)
    model.feed_data(batch())
    model.optimize_parameters(1)
    return model.get_current_log()


def test_the_authors_weights_can_be_written(tmp_path):
    """EDSR: pixel 5, kd 1, zoom_in 1, zoom_out by the teacher 1 and by ground truth 5."""
    once = logged(tmp_path)
    authors = logged(tmp_path, pixel_opt={**L1, 'loss_weight': 5.0},
                     dukd_opt={**L1, 'zoom_out': {'gt': True, 'weight_teacher': 1.0, 'weight_gt': 5.0}})  # fmt: skip
    factors = {'l_pix': 5, 'l_kd': 1, 'l_zoom_in': 1, 'l_zoom_out_kd': 1, 'l_zoom_out_pix': 5}
    assert authors == pytest.approx({name: factor * once[name] for name, factor in factors.items()}, rel=1e-6)


def test_weights_of_terms_multiply_the_weight_of_all(tmp_path):
    once = logged(tmp_path)
    parts = {'zoom_in': {'weight': 3.0}, 'zoom_out': {'weight_teacher': 0.5}}
    found = logged(tmp_path, dukd_opt={**L1, 'loss_weight': 2.0, **parts})
    factors = {'l_pix': 1, 'l_kd': 1, 'l_zoom_in': 6, 'l_zoom_out_kd': 1, 'l_zoom_out_pix': 2}
    assert found == pytest.approx({name: factor * once[name] for name, factor in factors.items()}, rel=1e-6)


def test_the_short_form_and_the_long_one_are_the_same_loss(tmp_path):
    short = logged(tmp_path, dukd_opt={'type': 'CharbonnierLoss', 'loss_weight': 0.5, 'eps': 1e-6})
    for criterion, weight in (({'eps': 1e-6}, 0.5), ({'eps': 1e-6, 'loss_weight': 0.25}, 2.0)):
        criterion = {'type': 'CharbonnierLoss', **criterion}
        dukd = {'type': 'DUKDLoss', 'loss_weight': weight, 'criterion': criterion}
        assert logged(tmp_path, dukd_opt=dukd) == short
    assert logged(tmp_path, dukd_opt={'type': 'DUKDLoss'}) == logged(tmp_path)


@pytest.mark.parametrize(('train', 'said'), [
    ({'dukd_opt': {'type': 'DUKDLoss', 'weights': {'zoom_in': 2}}},
     r'dukd_opt\.weights: weights stand with the views: write zoom_in: \{weight: 1\}'),
    ({'dukd_opt': {'type': 'DUKDLoss', 'criterion': {'type': 'L1Los'}}}, r'criterion\.type: "L1Los" is not registered'),
    ({'dukd_opt': {'type': 'DUKDLoss', 'criterion': 'L1Loss'}}, r'criterion: a criterion is a section; write e\.g\.'),
    ({'dukd_opt': {'type': 'L1Loss', 'zoom_out': {'weight_gt': 0}}}, 'weight_gt: 0 is too small; it must be above 0'),
    ({'feature_opt': {'dukd': {'type': 'DUKDLoss'}}}, 'DUKDLoss compares upcycled inputs; write it as train.dukd_opt'),
])  # fmt: skip
def test_mistakes_are_sentences(train, said):
    opt = options.load(OPTIONS)
    opt['train'] |= train
    with pytest.raises(options.OptionsError, match=said):
        options.check(opt, OPTIONS, True)


def test_the_long_form_passes():
    opt = options.load(OPTIONS)
    opt['train']['dukd_opt'] = {'type': 'DUKDLoss', 'criterion': {'type': 'CharbonnierLoss', 'eps': 1e-6}}
    assert options.check(opt, OPTIONS, True) == []


def test_options_say_what_is_read():
    dukd = options.dukd_options({'type': 'L1Loss', 'zoom_in': {'weight': 2}, 'zoom_out': None, 'in_batch': 0.25})
    assert (dukd.weights, dukd.parts, dukd.in_batch, dukd.schedule) == ({'zoom_in': 2}, ['zoom_in'], 0.25, None)
    assert dukd.loss == {'type': 'L1Loss'}
