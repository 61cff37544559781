"""Fewer bits: for the teacher alone, for the student with its losses in float32, and fp16's scale under the guard."""

import copy
from pathlib import Path

import pytest
import torch
from basicsr.models import build_model

from dukd_basicsr import options
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.acceleration import reduce_precision, set_tf32
from dukd_basicsr.options import OptionsError
from tests.toys import REPOSITORY, TEACHER, batch, save_weights, train_options

SHIPPED = options.load(REPOSITORY / 'options' / 'train_dukd_edsr_x4.yml')


def weights(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def scaled(folder, scale, **train):
    """A model whose loss is scaled as fp16 would have it, computing in float32."""
    model = build_model(train_options(folder, **train))
    model.scaler = torch.amp.GradScaler(model.device.type, init_scale=scale)
    return model


def overflowing(model):
    model.net_g.conv_first.weight.register_hook(lambda grad: grad * float('inf'))
    return model


def step(model, folder, iteration=1, **change):
    data = batch(seed=iteration) | change
    model.feed_data(data)
    model.optimize_parameters(iteration)
    model.guard.after_step(iteration, data, model.log_dict, folder)
    while model.guard._steps:  # what CUDA's guard would read a step later
        model.guard._judge(model.guard._steps.popleft(), folder)


def test_reduced_answers_in_the_precision_of_its_input():
    net = torch.nn.Conv2d(3, 3, 3)
    seen = []
    net.register_forward_hook(lambda _, x, y: seen.append((x[0].dtype, y.dtype)))
    x = torch.rand(1, 3, 8, 8)
    answer = reduce_precision(net, torch.bfloat16)(x)
    assert seen == [(torch.float32, torch.bfloat16)]
    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer, net(x), rtol=0.02, atol=0.02)
    assert reduce_precision(net, None) is net


@pytest.mark.usefixtures('real_device')
def test_the_teachers_precision_is_the_teachers_alone(tmp_path):
    opt = train_options(tmp_path, teacher_opt={'precision': 'bf16'})
    net = save_weights(tmp_path / 'teacher.pth', TEACHER)
    model = build_model(opt)
    dtypes = {}
    model.net_t.net.conv_last.register_forward_hook(lambda _, x, y: dtypes.update(teacher=y.dtype))
    model.net_g.conv_last.register_forward_hook(lambda _, x, y: dtypes.update(student=y.dtype))
    step(model, tmp_path)
    assert dtypes == {'teacher': torch.bfloat16, 'student': torch.float32}
    lq = batch()['lq'].to(model.device)
    label = model.net_t(lq)
    assert label.dtype == torch.float32
    net.to(model.device)
    error = (label - net(lq)).abs().max().item()
    assert 0 < error < 0.05  # rounded, and still that label


@pytest.mark.usefixtures('real_device')
def test_amp_trains_float32_weights_on_float32_losses(tmp_path):
    opt = train_options(tmp_path, amp='bf16')
    model, exact = build_model(copy.deepcopy(opt)), build_model({**opt, 'train': {**opt['train'], 'amp': None}})
    exact.net_g.load_state_dict(model.net_g.state_dict())
    dtypes = {}
    model.net_t.net.conv_last.register_forward_hook(lambda _, x, y: dtypes.update(teacher=y.dtype))
    model.net_g.conv_last.register_forward_hook(lambda _, x, y: dtypes.update(student=y.dtype))
    model.cri_pix.register_forward_pre_hook(lambda _, x: dtypes.update(loss={each.dtype for each in x}))
    for each in (model, exact):
        step(each, tmp_path)
    assert dtypes == {'teacher': torch.float32, 'student': torch.bfloat16, 'loss': {torch.float32}}
    assert all(parameter.dtype == parameter.grad.dtype == torch.float32 for parameter in model.net_g.parameters())
    assert model.get_current_log() == pytest.approx(exact.get_current_log(), rel=0.05)
    found, expected = (torch.cat([p.grad.flatten() for p in each.net_g.parameters()]) for each in (model, exact))
    assert not torch.equal(found, expected)
    assert torch.cosine_similarity(found, expected, dim=0) > 0.99


@pytest.mark.parametrize('train', [{'amp': 'fp16'}, {'teacher_opt': {'precision': 'fp16'}}])
def test_fp16_on_the_cpu_is_a_sentence(tmp_path, train):
    with pytest.raises(UserError, match=r'^train\.(amp|teacher_opt\.precision): fp16 needs a GPU; on the CPU write'):
        build_model(train_options(tmp_path, **train))


def test_tf32_sets_torch_and_none_leaves_it():
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        for allowed, precision in ((True, 'high'), (False, 'highest')):
            set_tf32(allowed)
            set_tf32(None)
            assert torch.get_float32_matmul_precision() == precision
            assert torch.backends.cudnn.allow_tf32 is allowed
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


@pytest.mark.usefixtures('real_device')
def test_a_scaled_loss_makes_the_same_step_and_is_clipped_as_itself(tmp_path):
    start = train_options(tmp_path, grad_clip=0.01)
    plain, model = build_model(copy.deepcopy(start)), scaled(tmp_path, 2.0**12, grad_clip=0.01)
    for each in (model.net_g, model.net_g_ema):
        each.load_state_dict(plain.net_g.state_dict())
    plain.net_g_ema.load_state_dict(plain.net_g.state_dict())
    for iteration in (1, 2):
        step(plain, tmp_path, iteration)
        step(model, tmp_path, iteration)
    torch.testing.assert_close(weights(model.net_g), weights(plain.net_g), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weights(model.net_g_ema), weights(plain.net_g_ema), rtol=1e-5, atol=1e-6)
    norm = torch.stack([parameter.grad.norm() for parameter in model.net_g.parameters()]).norm()
    assert norm.item() == pytest.approx(0.01, rel=1e-4)


@pytest.mark.usefixtures('real_device')
def test_an_overflow_lowers_the_scale_and_is_not_held_against_the_run(tmp_path):
    model = overflowing(scaled(tmp_path, 2.0**16, nonfinite_limit=2))
    before, ema = weights(model.net_g), weights(model.net_g_ema)
    for iteration in (1, 2, 3):
        step(model, tmp_path, iteration)
    assert model.scaler.get_scale() == 2**13
    assert (model.guard.skipped, model.guard.in_a_row) == (0, 0)
    torch.testing.assert_close(weights(model.net_g), before, rtol=0, atol=0)
    torch.testing.assert_close(weights(model.net_g_ema), ema, rtol=0, atol=0)


@pytest.mark.usefixtures('real_device')
def test_what_no_scale_can_mend_is_counted(tmp_path):
    bad = batch()
    bad['lq'][0, 0, 0, 0] = float('nan')
    model = scaled(tmp_path, 2.0**10)
    step(model, tmp_path, **bad)  # the loss is none
    assert (model.guard.skipped, model.guard.in_a_row) == (1, 1)
    step(model, tmp_path, 2)
    assert (model.guard.skipped, model.guard.in_a_row) == (1, 0)
    model = overflowing(scaled(tmp_path, 1.0))  # the gradient alone
    step(model, tmp_path)
    assert model.guard.skipped == 1


@pytest.mark.usefixtures('real_device')
def test_the_scale_is_part_of_the_training_state(tmp_path):
    model = overflowing(scaled(tmp_path, 2.0**16))
    for iteration in (1, 2):
        step(model, tmp_path, iteration)
    model.save_training_state(0, 2)
    state = torch.load(tmp_path / '2.state', weights_only=True)
    again = scaled(tmp_path, 2.0**10)
    again.resume_training(state)
    assert again.scaler.state_dict() == model.scaler.state_dict()
    assert again.scaler.get_scale() == 2**14
    without = build_model(train_options(tmp_path))  # a run that goes on without fp16
    without.resume_training(state)
    assert without.scaler.state_dict() == {}


MISTAKES = [
    ({'amp': 'fp8'}, 'train.amp: "fp8" is not "bf16" or "fp16" or ~.'),
    ({'amp': 'fp16'}, 'train.amp: fp16 needs a GPU, but num_gpu: 0; write bf16 or leave it out.'),
    ({'teacher_opt': {'precision': 'fp16'}},
     'train.teacher_opt.precision: fp16 needs a GPU, but num_gpu: 0; write bf16 or leave it out.'),
    ({'accumulate': 3}, 'train.accumulate: 3 does not divide batch_size_per_gpu: 16; write e.g. 2.'),
    ({'accumulate': 32}, 'train.accumulate: 32 does not divide batch_size_per_gpu: 16; write e.g. 16.'),
    ({'accumulate': 0}, 'train.accumulate: 0 is too small; the least is 1.'),
]  # fmt: skip


@pytest.mark.parametrize(('train', 'sentence'), MISTAKES)
def test_mistakes_are_sentences(train, sentence):
    opt = copy.deepcopy(SHIPPED) | {'num_gpu': 0}
    opt['train'] |= train
    with pytest.raises(OptionsError) as caught:
        options.check(opt, Path('x.yml'), is_train=True)
    assert list(caught.value.messages) == [f'x.yml: {sentence}']


def test_stock_models_do_not_pass_over_them_in_silence():
    opt = options.load(REPOSITORY / 'options' / 'train_edsr_x4.yml')
    opt['train'] |= {'amp': 'bf16', 'compile': True}
    with pytest.raises(OptionsError) as caught:
        options.check(opt, Path('x.yml'), is_train=True)
    text = 'SRModel does not read it; DistillModel, DUKDModel and DUKDRealModel do.'
    assert list(caught.value.messages) == [f'x.yml: train.amp: {text}', f'x.yml: train.compile: {text}']


def test_the_allowed_values_pass():
    opt = copy.deepcopy(SHIPPED)
    opt['train'] |= {'amp': 'fp16', 'teacher_opt': {'precision': 'fp16'}, 'tf32': True, 'channels_last': True,
                     'compile': True, 'accumulate': 8}  # fmt: skip
    assert options.check(opt, Path('x.yml'), is_train=True) == []
