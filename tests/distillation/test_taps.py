"""Features of modules by their path: the right samples, untouched, in any network; adapters trained and resumed."""

import copy

import pytest
import torch
from basicsr.models import build_model
from torch import nn

from dukd_basicsr import options
from dukd_basicsr.distillation.taps import Taps, choose_pairs, find_blocks, find_shapes
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.weights import build_network
from tests.distillation.toy_features import BOTH, RCAN, SWINIR, step
from tests.toys import L1, REPOSITORY, STUDENT, TEACHER, batch, save_weights, train_options

FEATURES = {
    'fitnet': {'type': 'FitNetLoss', 'loss_weight': 0.1},
    'at': {'type': 'ATLoss', 'loss_weight': 0.2, 'taps': BOTH},
    'fakd': {'type': 'FAKDLoss', 'affinities': ['spatial', 'channel'], 'taps': BOTH},
    'fsp': {'type': 'FSPLoss', 'loss_weight': 1e-3, 'taps': BOTH},
    'wavelet': {'type': 'WaveletLoss', 'levels': 2},
}
NAMES = [f'l_{name}' for name in FEATURES]


# --- reading ---


def test_a_tap_is_what_the_module_answers_though_the_network_changes_it_in_place():
    net = build_network(STUDENT)
    taps = Taps(net, ['conv_after_body', 'body.0'], 'taps')
    x = torch.rand(2, 3, 8, 8)
    with taps.record(2):
        net(x)
        found = taps.read('conv_after_body', (8, 8))
        body = taps.read('body.0', (8, 8))
    first = net.conv_first((x - net.mean) * net.img_range)
    torch.testing.assert_close(body, net.body(first))
    torch.testing.assert_close(found, net.conv_after_body(net.body(first)))  # the authors' is this plus `first`


def test_the_first_samples_are_kept_over_several_passes_and_nothing_else():
    net = build_network(STUDENT)
    taps = Taps(net, ['body.0'], 'taps')
    images = torch.rand(5, 3, 6, 6)
    with taps.record(3):
        for part in images.split(2):
            net(part)
        kept = taps.read('body.0', (6, 6))
    with taps.record(5):
        net(images)
        torch.testing.assert_close(kept, taps.read('body.0', (6, 6))[:3])
    net(images)
    assert not taps._passes
    assert taps._current is None


def test_tokens_are_maps_and_padding_is_cut():
    net = build_network(SWINIR).eval()
    taps = Taps(net, ['layers.1', 'conv_after_body'], 'taps')
    x = torch.rand(2, 3, 12, 10)
    with torch.no_grad(), taps.record(2):
        padding.forward(net, x, padding.find_size_requirement(net))
        tokens, after = taps.read('layers.1', (12, 10)), taps.read('conv_after_body', (12, 10))
        padded = padding.pad(x, padding.find_size_requirement(net))
    assert tokens.shape == after.shape == (2, 12, 12, 10)
    assert padded.shape == (2, 3, 16, 16)
    mean = net.mean
    body = net.patch_embed(net.conv_first((padded - mean) * net.img_range))
    for layer in net.layers:
        body = layer(body, (16, 16))
    expected = body.reshape(2, 16, 16, 12).permute(0, 3, 1, 2)[..., :12, :10]
    torch.testing.assert_close(tokens, expected)


def test_maps_of_another_scale_are_cut_in_proportion():
    net = nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.Upsample(scale_factor=4))
    taps = Taps(net, ['0', '1'], 'taps')
    with taps.record(1):
        net(torch.rand(1, 3, 16, 8))
        assert taps.read('0', (9, 8)).shape == (1, 4, 5, 4)
        assert taps.read('1', (9, 8)).shape == (1, 4, 18, 16)


def test_shapes_are_probed_without_a_trace():
    net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.Conv2d(5, 7, 3, padding=1)).train()
    before = copy.deepcopy(net.state_dict())
    taps = Taps(net, ['1', '2'], 'taps')
    assert find_shapes(net, taps, ['2', '1'], torch.zeros(1, 3, 16, 16)) == [(7, 16, 16), (5, 16, 16)]
    assert net.training
    torch.testing.assert_close(dict(net.state_dict()), dict(before), rtol=0, atol=0)


@pytest.mark.parametrize(
    ('path', 'sentence'),
    [
        ('bodi.0', r'key: EDSR has no module "bodi\.0"\. Did you mean "body\.0"\?'),
        (
            'layer4',
            r'key: EDSR has no module "layer4"\. Allowed: body, conv_after_body, conv_first, conv_last, upsample',
        ),
        ('', 'key: EDSR has no module ""'),
    ],
)
def test_a_path_that_does_not_exist_is_a_sentence(path, sentence):
    with pytest.raises(UserError, match=sentence):
        Taps(build_network(STUDENT), [path], 'key')


def test_modules_that_give_no_map_or_are_not_called_are_sentences():
    net = build_network(SWINIR)
    taps = Taps(net, ['layers.0', 'layers.0.residual_group.blocks.0.attn', 'patch_embed'], 'key')
    with (
        taps.record(1),
        pytest.raises(UserError, match=r'key: "layers.0.residual_group.blocks.0.attn" answers \(4, 64'),
    ):
        net(torch.rand(1, 3, 16, 16))
    net = build_network(SWINIR)
    taps = Taps(net, ['layers'], 'key')  # a ModuleList, whose members are called one by one
    with taps.record(1):
        net(torch.rand(1, 3, 16, 16))
        with pytest.raises(UserError, match='key: the network does not call its module "layers"'):
            taps.read('layers', (16, 16))


# --- default pairs ---


@pytest.mark.parametrize(
    ('name', 'student', 'teacher'),
    [
        ('edsr', ['body.10', 'body.21', 'body.31'], ['body.10', 'body.21', 'body.31']),
        ('rcan', ['body.3', 'body.6', 'body.9'], ['body.3', 'body.6', 'body.9']),
        ('swinir', ['layers.1', 'layers.2', 'layers.3'], ['layers.1', 'layers.3', 'layers.5']),
        ('edsr_to_rcan', ['body.3', 'body.6', 'body.9'], ['body.10', 'body.21', 'body.31']),
    ],
)
def test_default_pairs_lie_at_the_same_relative_depths(name, student, teacher):

    opt = options.load(REPOSITORY / 'options' / f'train_dukd_{name}_x4.yml')
    thin = {'EDSR': {'num_feat': 4}, 'SwinIR': {'embed_dim': 12},
            'RCAN': {'num_feat': 4, 'squeeze_factor': 4, 'num_block': 1}}  # fmt: skip
    nets = [build_network({**opt[key], **thin[opt[key]['type']]}) for key in ('network_g', 'network_t')]
    assert choose_pairs(*nets) == (student, teacher)


def test_the_body_is_the_list_of_blocks():
    assert find_blocks(build_network({**STUDENT, 'upscale': 4})) == ['body.0']  # its upsampler has four layers
    compact = build_network({'type': 'SRVGGNetCompact', 'num_conv': 3, 'num_feat': 4})
    assert find_blocks(compact) == [f'body.{place}' for place in range(9)]
    wrapped = nn.ModuleDict({'model': build_network(TEACHER)})
    assert find_blocks(wrapped) == ['model.body.0', 'model.body.1']
    assert find_blocks(nn.Conv2d(3, 3, 3)) == []


# --- in a model ---


def test_terms_are_those_of_the_plain_view_read_by_hand(tmp_path):
    opt = train_options(tmp_path, feature_opt=FEATURES)
    model, data = build_model(opt), batch(3)
    student, teacher = copy.deepcopy(model.net_g), copy.deepcopy(model.net_t.net)
    features = copy.deepcopy(model.features)
    log = step(model, data)
    assert list(log) == ['l_pix', 'l_kd', *NAMES, 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix']
    answers = {}
    for role, net in (('student', student), ('teacher', teacher)):
        x = net.conv_first((data['lq'] - net.mean) * 255)
        for place, block in enumerate(net.body):
            x = answers[role, f'body.{place}'] = block(x)
        answers[role, 'conv_after_body'] = net.conv_after_body(x)
    for name, loss in features.losses.items():
        if name == 'wavelet':
            value = loss(student(data['lq']), teacher(data['lq']))
        else:
            taps = FEATURES[name].get('taps', {'student': ['body.0'], 'teacher': ['body.1']})
            value = loss(*([answers[role, path] for path in taps[role]] for role in ('student', 'teacher')))
        assert log[f'l_{name}'] == pytest.approx(value.item(), rel=1e-5), name


def test_the_gradient_of_every_term_reaches_the_student(tmp_path):
    for name, given in FEATURES.items():
        opt = train_options(tmp_path, 'DistillModel', pixel_opt=None, kd_opt=None, feature_opt={name: given})
        model = build_model(opt)
        log = step(model, batch(3))
        assert list(log) == ['l_pix', 'l_kd', f'l_{name}']
        assert log['l_pix'] == log['l_kd'] == 0 < log[f'l_{name}']
        gradient = model.net_g.body[0].conv1.weight.grad
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0, name
        assert all(p.grad is None for p in model.net_t.parameters())
        trained = model.features.list_trained()
        assert (len(trained) > 0) == (name in ('fitnet', 'fakd', 'fsp'))
        assert all(p.grad.abs().max() > 0 for p in trained.values())


def test_without_feature_losses_nothing_is_hooked_and_the_state_is_as_before(tmp_path):
    model = build_model(train_options(tmp_path))
    assert not model.features
    hooked = [
        m for net in (model.net_g, model.net_t) for m in net.modules() if m._forward_hooks or m._forward_pre_hooks
    ]
    assert not hooked
    model.save_training_state(0, 1)
    assert 'adapters' not in torch.load(tmp_path / '1.state', weights_only=True)


def test_the_teacher_is_asked_once_and_the_student_too(tmp_path):
    model = build_model(train_options(tmp_path, feature_opt=FEATURES))
    calls = []
    for net in (model.net_t, model.net_g):
        net.register_forward_hook(lambda net, x, y: calls.append((type(net).__name__, x[0].shape[-1])))
    step(model, batch(2))
    assert calls == [('Teacher', 8), ('Teacher', 4), ('EDSR', 8), ('EDSR', 4)]


def test_adapters_are_trained_by_the_optimizer_and_left_out_of_the_checkpoint(tmp_path):
    model = build_model(train_options(tmp_path, feature_opt=FEATURES))
    before = model.features.copy_trained()
    assert set(before) == {'losses.fitnet.adapters.0.weight', 'losses.fitnet.adapters.0.bias',
                           *(f'losses.{name}.adapters.{place}.{kind}' for name in ('fakd', 'fsp') for place in (0, 1)
                             for kind in ('weight', 'bias'))}  # fmt: skip
    step(model, batch(3))
    for name, value in model.features.copy_trained().items():
        assert not torch.equal(value, before[name]), name
    assert len(model.optimizer_g.param_groups) == 1
    model.save(0, 1)
    saved = torch.load(tmp_path / 'net_g_1.pth', weights_only=True)
    assert set(saved['params']) == set(saved['params_ema']) == set(build_network(STUDENT).state_dict())


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

    del opt['train']['feature_opt']['fitnet']
    other = build_model(opt)
    with pytest.raises(UserError, match=r'2\.state has adapters of another train\.feature_opt'):
        other.resume_training(torch.load(tmp_path / '2.state', weights_only=True))


@pytest.mark.parametrize('parts', [2, 4])
def test_parts_of_a_batch_make_the_step_of_the_batch(tmp_path, parts):
    opt = train_options(tmp_path, feature_opt={**FEATURES, 'sum': {**L1, 'reduction': 'sum'}})
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
        found, expected = (
            {name: p.grad for name, p in getattr(each, net).named_parameters()} for each in (model, whole)
        )
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(('student', 'teacher'), [(SWINIR, TEACHER), (STUDENT, SWINIR), (RCAN, SWINIR)])
def test_networks_of_any_kind_teach_each_other(tmp_path, student, teacher):
    save_weights(tmp_path / 'teacher.pth', teacher)
    given = {'fakd': {'type': 'FAKDLoss'}, 'fitnet': {'type': 'FitNetLoss'}}
    opt = train_options(tmp_path, feature_opt=given) | {'network_g': student, 'network_t': teacher}
    model = build_model(opt)
    log = step(model, batch(2, size=12))  # 12 is no multiple of the window
    assert all(0 < log[f'l_{name}'] < float('inf') for name in given)


def test_in_bf16_features_are_compared_in_fp32(tmp_path):
    model = build_model(train_options(tmp_path, feature_opt=FEATURES, amp='bf16', teacher_opt={'precision': 'bf16'}))
    exact = build_model(train_options(tmp_path, feature_opt=FEATURES))
    exact.net_g.load_state_dict(model.net_g.state_dict())
    found, expected = (step(each, batch(3)) for each in (model, exact))
    assert all(value.dtype == torch.float32 for value in model.log_dict.values())
    assert found == pytest.approx(dict(expected), rel=0.1)
    assert found != pytest.approx(dict(expected), rel=1e-6)


def test_features_beside_an_output_loss_as_kd(tmp_path):
    opt = train_options(tmp_path, 'DistillModel', kd_opt={'type': 'WaveletLoss', 'levels': 1}, feature_opt=None)
    assert step(build_model(opt), batch())['l_kd'] > 0


# --- mistakes ---


@pytest.mark.parametrize(
    ('given', 'sentence'),
    [
        ({'type': 'ATLoss', 'taps': {'student': ['body.9'], 'teacher': ['body.1']}},
         r'the taps of the student in train\.feature_opt: EDSR has no module "body\.9"\. Did you mean "body\.0"'),
        ({'type': 'ATLoss', 'taps': {'student': ['body.0'], 'teacher': ['body.0', 'body.1']}},
         r'train\.feature_opt\.x\.taps: 1 of the student, but 2 of the teacher; write as many'),
        ({'type': 'FSPLoss'}, r'train\.feature_opt\.x\.taps: FSPLoss needs 2 or more of each network, 1 are found'),
        ({'type': 'WaveletLoss', 'taps': BOTH}, r'train\.feature_opt\.x\.taps: WaveletLoss compares the outputs'),
        ({'type': 'FAKDLoss', 'affinities': ['pixel']}, r'train\.feature_opt\.x: FAKDLoss: affinities'),
        ({'type': 'CSDLoss', 'vgg': 'nowhere.pth'}, r'train\.feature_opt\.x: CSDLoss: vgg: nowhere\.pth'),
        ({'type': 'ATLoss', 'powr': 2}, r'train\.feature_opt\.x: ATLoss cannot be built from these arguments'),
    ],
)  # fmt: skip
def test_mistakes_are_sentences_before_the_first_iteration(tmp_path, given, sentence):
    with pytest.raises(UserError, match=sentence):
        build_model(train_options(tmp_path, 'DistillModel', feature_opt={'x': given}))


def test_several_teachers_cannot_be_tapped_but_compared(tmp_path):
    opt = train_options(tmp_path, 'DistillModel', feature_opt={'x': {'type': 'WaveletLoss'}})
    path = opt['path']['pretrain_network_t']
    opt['network_t'], opt['path']['pretrain_network_t'] = [opt['network_t']] * 2, [path] * 2
    assert step(build_model(copy.deepcopy(opt)), batch())['l_x'] > 0
    opt['train']['feature_opt'] = {'x': {'type': 'ATLoss'}}
    with pytest.raises(UserError, match=r'train\.feature_opt\.x\.taps: 2 teachers in network_t'):
        build_model(opt)
    from dukd_basicsr.distillation.features import FeatureTerms

    with pytest.raises(UserError, match='UpcycledImageDataset brings its outputs only; write PairedImageDataset'):
        FeatureTerms(opt['train']['feature_opt'], build_network(STUDENT), [], 3, 0)


def test_options_are_checked_without_torch():
    from pathlib import Path

    file = REPOSITORY / 'options' / 'train_kd_edsr_x4.yml'

    def messages(feature_opt, **changed):
        opt = options.load(file) | changed
        opt['train']['feature_opt'] = feature_opt
        try:
            options.check(opt, Path('x.yml'), True)
        except UserError as error:
            return list(error.messages)
        return []

    assert messages(FEATURES) == []
    start = 'x.yml: train.feature_opt'
    assert messages({'kd': {'type': 'ATLoss'}}) == [f'{start}.kd: l_kd is logged already; write another name.']
    assert messages({'a b': {'type': 'ATLoss'}}) == [
        f'{start}.a b: a name is letters, digits and _, as in the log: l_NAME.'
    ]
    assert messages({'x': {'type': 'FAKD'}})[0].startswith(f'{start}.x.type: "FAKD" is not registered. Did you mean "')
    assert messages({'x': {'type': 'FAKDLoss', 'afinities': ['spatial']}}) == [
        f'{start}.x.afinities: unknown key. Did you mean "affinities"?'
    ]
    assert messages({'x': {'type': 'CSDLoss'}}) == [f'{start}.x.vgg: missing key: CSDLoss needs this argument.']
    assert messages({'x': {'type': 'ATLoss', 'loss_weight': -1}}) == [
        f'{start}.x.loss_weight: -1 is too small; the least is 0.'
    ]
    assert messages({'x': {'type': 'ATLoss', 'taps': {'student': ['body.0']}}}) == [
        f'{start}.x.taps.teacher: missing key: modules of network_t, as many.'
    ]
    assert f'{start}: SRModel has no teacher; write model_type: DistillModel.' in messages(
        FEATURES, model_type='SRModel'
    )
    without = options.load(file)
    without['train'] |= {'kd_opt': None, 'feature_opt': FEATURES, 'pixel_opt': L1}
    assert options.check(without, Path('x.yml'), True) is not None


def test_a_cache_of_labels_serves_losses_of_outputs():
    from dukd_basicsr.options.rules.teacher import read_needs

    assert read_needs({'train': {'feature_opt': {'x': {'type': 'WaveletLoss'}}}}).parts == ('lq',)
    assert read_needs({'train': {'pixel_opt': L1}}).parts == ()


def test_features_on_several_gpus_in_one_process_are_a_sentence(tmp_path):
    model = build_model(train_options(tmp_path, feature_opt=FEATURES))
    model.net_g = nn.DataParallel(model.net_g)
    with pytest.raises(UserError, match=r'train\.feature_opt: .* one process for each; add --launcher pytorch'):
        model._build_features(FEATURES)
    assert model._build_features({'x': {'type': 'WaveletLoss'}})
