"""Losses that are given outputs and both networks, in a model: trained, cut in parts, resumed."""

import copy

import pytest
import torch
from basicsr.models import build_model
from basicsr.utils.registry import LOSS_REGISTRY
from torch import nn

from dukd_basicsr.data.seeds import step_seed
from dukd_basicsr.errors import UserError
from dukd_basicsr.losses import FeatureLoss, TappedLoss
from tests.distillation.toy_features import BOTH, RCAN, SWINIR, step
from tests.toys import REPOSITORY, STUDENT, TEACHER, batch, save_weights, train_options

FEATURES = {
    'rkd': {'type': 'RKDLoss', 'loss_weight': 0.1},
    'crosskd': {'type': 'CrossKDLoss', 'taps': BOTH},
    'mipkd': {'type': 'MiPKDLoss', 'loss_weight': 0.1, 'taps': BOTH},
}
GOING_ON = {name: FEATURES[name] for name in ('crosskd', 'mipkd')}


def features_of(net, x):
    """What the toy EDSR answers at each of its modules, and the rest of it from there."""
    first = net.conv_first((x - net.mean) * net.img_range)

    def tail(after):
        return net.conv_last(net.upsample(after + first)) / net.img_range + net.mean

    maps, rests, y = {}, {}, first
    for place, block in enumerate(net.body):
        y = maps[f'body.{place}'] = block(y)
        rests[f'body.{place}'] = lambda z, place=place: tail(net.conv_after_body(net.body[place + 1 :](z)))
    maps['conv_after_body'], rests['conv_after_body'] = net.conv_after_body(y), tail
    return maps, rests


@pytest.mark.parametrize('iteration', [1, 2, 3])
def test_terms_are_those_of_the_networks_gone_through_by_hand(tmp_path, iteration):
    model, data = build_model(train_options(tmp_path, feature_opt=FEATURES)), batch(3)
    student, teacher, features = (copy.deepcopy(net) for net in (model.net_g, model.net_t.net, model.features))
    log = step(model, data, iteration)
    assert list(log) == ['l_pix', 'l_kd', *(f'l_{name}' for name in FEATURES), 'l_zoom_in', 'l_zoom_out_kd',
                         'l_zoom_out_pix']  # fmt: skip
    sides = {'student': features_of(student, data['lq']), 'teacher': features_of(teacher, data['lq'])}

    def going(role):
        return lambda place, z: sides[role][1][BOTH[role][place]](z)

    features.draw(step_seed(10, 0, iteration), step_seed(10, 0, iteration))
    given = {'label': teacher(data['lq']), 'student_from': going('student'), 'teacher_from': going('teacher')}
    for name, loss in features.losses.items():
        taps = FEATURES[name].get('taps', {'student': ['body.0'], 'teacher': ['body.1']})
        maps = [[sides[role][0][path] for path in taps[role]] for role in ('student', 'teacher')]
        value = loss(*maps, **{need: given[need] for need in loss.needs})
        assert log[f'l_{name}'] == pytest.approx(value.item(), rel=1e-5), name


def test_both_networks_go_on_in_some_steps(tmp_path):
    model, routes = build_model(train_options(tmp_path, feature_opt=GOING_ON)), set()
    for iteration in range(1, 9):
        step(model, batch(2), iteration)
        routes |= {model.features.losses['mipkd'].is_students_turn(place) for place in (0, 1)}
    assert routes == {True, False}


@pytest.mark.parametrize('name', FEATURES)
def test_the_gradient_reaches_the_student_and_what_is_trained_with_it_and_never_the_teacher(tmp_path, name):
    opt = train_options(tmp_path, 'DistillModel', pixel_opt=None, kd_opt=None, feature_opt={name: FEATURES[name]})
    model = build_model(opt)
    for iteration in (1, 2, 3):
        step(model, batch(3), iteration)
        gradient = model.net_g.body[0].conv1.weight.grad
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0
        assert all(p.grad is None and not p.requires_grad for p in model.net_t.parameters())
        assert all(p.grad.abs().max() > 0 for p in model.features.list_trained().values())
    assert (len(model.features.list_trained()) > 0) == (name != 'rkd')
    before = dict(model.net_t.net.state_dict())
    torch.testing.assert_close(before, torch.load(tmp_path / 'teacher.pth', weights_only=True)['params'])


def test_crosskd_leaves_the_students_tail_to_ground_truth(tmp_path):
    given = {'x': {'type': 'CrossKDLoss', 'taps': {'student': ['body.0'], 'teacher': ['body.1']}}}
    model = build_model(train_options(tmp_path, 'DistillModel', pixel_opt=None, kd_opt=None, feature_opt=given))
    step(model, batch(2))
    for name, parameter in model.net_g.named_parameters():
        trained = parameter.grad is not None and parameter.grad.abs().max() > 0
        assert trained == name.startswith(('conv_first', 'body')), name


@pytest.mark.parametrize('parts', [2, 4])
def test_parts_of_a_batch_make_the_step_of_the_batch(tmp_path, parts):
    opt = train_options(tmp_path, feature_opt=GOING_ON)
    whole, model = (build_model(copy.deepcopy(opt) | {'train': {**copy.deepcopy(opt['train']), 'accumulate': each}})
                    for each in (1, parts))  # fmt: skip
    for each in (whole, model):
        for net in (each.net_g, each.net_t, each.net_g_ema, each.features):
            net.double()
    model.net_g.load_state_dict(whole.net_g.state_dict())
    for each in (whole, model):
        step(each, batch(4, dtype=torch.float64), 7)
    torch.testing.assert_close(model.log_dict, whole.log_dict, rtol=1e-9, atol=0)
    for net in ('net_g', 'features'):
        found, expected = ({n: p.grad for n, p in getattr(each, net).named_parameters()} for each in (model, whole))
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(('batch_size', 'accumulate', 'angles', 'wrong'), [
    (16, 8, 2.0, True), (16, 4, 2.0, False), (2, 1, 2.0, True), (2, 1, 0, False), (2, 2, 0, True)
])  # fmt: skip
def test_too_few_samples_together_are_a_sentence(batch_size, accumulate, angles, wrong):
    from pathlib import Path

    from dukd_basicsr import options

    opt = options.load(REPOSITORY / 'options' / 'train_rkd_edsr_x4.yml')
    opt['datasets']['train']['batch_size_per_gpu'] = batch_size
    opt['train'] |= {'accumulate': accumulate}
    opt['train']['feature_opt']['rkd']['angle_weight'] = angles
    try:
        found = options.check(opt, Path('x.yml'), True)
    except options.OptionsError as error:
        (message,) = error.messages
        assert (
            f'feature_opt.rkd: RKDLoss relates {3 if angles else 2} samples or more, but {batch_size // accumulate} '
            in message
        )
        found = None
    assert (found is None) == wrong


def test_a_resumed_run_is_the_uninterrupted_one(tmp_path):
    opt = train_options(tmp_path, feature_opt=FEATURES)
    whole = build_model(copy.deepcopy(opt))
    for iteration in (1, 2):
        step(whole, batch(3, seed=iteration), iteration)
    whole.save(0, 2)
    expected = step(whole, batch(3, seed=3), 3)
    opt['path'] |= {'pretrain_network_g': str(tmp_path / 'net_g_2.pth'), 'resume_state': str(tmp_path / '2.state')}
    torch.manual_seed(99)
    resumed = build_model(copy.deepcopy(opt))
    resumed.resume_training(torch.load(tmp_path / '2.state', weights_only=True))
    assert step(resumed, batch(3, seed=3), 3) == expected
    for net in ('net_g', 'net_g_ema', 'features'):
        found, wanted = (dict(getattr(model, net).state_dict()) for model in (resumed, whole))
        torch.testing.assert_close(found, wanted, rtol=0, atol=0)


def test_in_bf16_the_terms_are_about_those_of_fp32(tmp_path):
    given = {'feature_opt': FEATURES}
    model = build_model(train_options(tmp_path, amp='bf16', teacher_opt={'precision': 'bf16'}, **given))
    exact = build_model(train_options(tmp_path, **given))
    exact.net_g.load_state_dict(model.net_g.state_dict())
    found, expected = (step(each, batch(3)) for each in (model, exact))
    assert all(value.dtype == torch.float32 for value in model.log_dict.values())
    assert found == pytest.approx(dict(expected), rel=0.1)
    assert all(found[f'l_{name}'] != expected[f'l_{name}'] for name in FEATURES)


@pytest.mark.parametrize(('student', 'teacher'), [(SWINIR, TEACHER), (STUDENT, SWINIR), (RCAN, SWINIR)])
def test_networks_of_any_kind_go_on_from_each_others_features(tmp_path, student, teacher):
    save_weights(tmp_path / 'teacher.pth', teacher)
    given = {name: {'type': FEATURES[name]['type']} for name in FEATURES}  # at the default taps
    opt = train_options(tmp_path, feature_opt=given) | {'network_g': student, 'network_t': teacher}
    model = build_model(opt)
    assert len(model.features.pairs['crosskd'].teacher) == 1
    log = step(model, batch(3, size=12))  # 12 is no multiple of the window
    assert all(0 < log[f'l_{name}'] < float('inf') for name in given)


def test_a_loss_without_need_of_them_makes_no_networks_go_on(tmp_path):
    model = build_model(train_options(tmp_path, feature_opt={'rkd': FEATURES['rkd']}))
    assert model.features.continuations == {}
    model = build_model(train_options(tmp_path, feature_opt={'crosskd': FEATURES['crosskd']}))
    assert list(model.features.continuations) == ['teacher']


# --- what anyone's loss may need ---


class OutputsToo(FeatureLoss):
    needs = ('gt', 'output', 'label', 'lq')

    def forward(self, student, teacher, gt, output, label, lq):
        return sum((index + 1) * x.mean() for index, x in enumerate((student[0], teacher[0], gt, output, label, lq)))


class Three(nn.Module):
    needs = ('gt',)

    def forward(self, output, label, gt):
        return (output - 2 * label + gt).mean()


class Wrong(TappedLoss):
    needs = ('labels',)


class WrongOutputs(nn.Module):
    needs = ('teacher_from',)


@pytest.fixture
def _registered():
    own = (OutputsToo, Three, Wrong, WrongOutputs)
    for loss in own:
        LOSS_REGISTRY.register(loss)
    yield
    for loss in own:
        LOSS_REGISTRY._obj_map.pop(loss.__name__)


@pytest.mark.usefixtures('_registered')
def test_outputs_ground_truth_and_input_are_given_by_name(tmp_path):
    taps = {'student': ['conv_after_body'], 'teacher': ['body.1']}
    given = {'a': {'type': 'OutputsToo', 'taps': taps}, 'b': {'type': 'Three'}}
    model, data = build_model(train_options(tmp_path, feature_opt=given)), batch(2)
    student, teacher = copy.deepcopy(model.net_g), model.net_t.net
    log = step(model, data)
    output, label = student(data['lq']), teacher(data['lq'])
    ours = features_of(student, data['lq'])[0]['conv_after_body']
    theirs = features_of(teacher, data['lq'])[0]['body.1']
    means = [x.mean().item() for x in (ours, theirs, data['gt'], output, label, data['lq'])]
    assert log['l_a'] == pytest.approx(sum((n + 1) * mean for n, mean in enumerate(means)), rel=1e-5)
    assert log['l_b'] == pytest.approx(means[3] - 2 * means[4] + means[2], rel=1e-5)


@pytest.mark.usefixtures('_registered')
@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        ({'type': 'Wrong'}, 'x: Wrong needs "labels", which it cannot have; allowed in its `needs`: lq, gt, .*_from'),
        ({'type': 'WrongOutputs'}, 'x: WrongOutputs needs "teacher_from", .*: lq, gt, output, label'),
        ({'type': 'CrossKDLoss', 'taps': {'student': ['body.0'], 'teacher': ['upsample.1']}},
         r'x\.taps: CrossKDLoss goes on from features, .* the student\'s "body\.0" is 16x16 and the teacher\'s '
         r'"upsample\.1" 32x32; write other taps'),
    ],
)  # fmt: skip
def test_mistakes_are_sentences_before_the_first_iteration(tmp_path, given, sentence):
    with pytest.raises(UserError, match=sentence):
        build_model(train_options(tmp_path, 'DistillModel', feature_opt={'x': given}))
