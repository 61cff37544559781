import copy
import logging

import pytest
import torch
from basicsr.models import build_model
from basicsr.models.sr_model import SRModel

from dukd_basicsr.errors import UserError
from tests.toys import L1, Exploding, batch, save_weights, train_options


def parameters(net):
    return {name: value.detach().clone() for name, value in net.named_parameters()}


def step(model, data, current_iter=1):
    model.feed_data(data)
    model.optimize_parameters(current_iter)
    return model.get_current_log()


@pytest.mark.usefixtures('device')
def test_logged_terms_and_update_equal_the_formula(tmp_path):
    opt = train_options(tmp_path, 'DistillModel', pixel_opt={**L1, 'loss_weight': 2.0})
    model, data = build_model(opt), batch()
    student = copy.deepcopy(model.net_g)
    lq, gt = (data[name].to(model.device) for name in ('lq', 'gt'))
    answer = student(lq)
    l_pix = 2 * (answer - gt).abs().mean()
    l_kd = (answer - model.net_t(lq)).abs().mean()
    log = step(model, data)
    assert list(log) == ['l_pix', 'l_kd']
    assert log['l_pix'] == pytest.approx(l_pix.item(), rel=1e-6)
    assert log['l_kd'] == pytest.approx(l_kd.item(), rel=1e-6)
    optimizer = torch.optim.Adam(student.parameters(), 1e-3, betas=(0.9, 0.99))
    (l_pix + l_kd).backward()
    optimizer.step()
    torch.testing.assert_close(parameters(model.net_g), parameters(student), rtol=1e-5, atol=1e-7)


@pytest.mark.usefixtures('device')
def test_the_teacher_is_frozen_unwrapped_and_unchanged(tmp_path):
    model = build_model(train_options(tmp_path, 'DistillModel'))
    before = parameters(model.net_t)
    for iteration in range(1, 4):
        step(model, batch(seed=iteration), iteration)
    torch.testing.assert_close(parameters(model.net_t), before, rtol=0, atol=0)
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in model.net_t.parameters())
    assert not any(module.training for module in model.net_t.modules())
    optimized = {id(p) for group in model.optimizer_g.param_groups for p in group['params']}
    assert not optimized & {id(parameter) for parameter in model.net_t.parameters()}


@pytest.mark.usefixtures('device')
def test_training_on_the_teacher_alone(tmp_path):
    opt = train_options(tmp_path, 'DistillModel')
    del opt['train']['pixel_opt']
    model = build_model(opt)
    before = parameters(model.net_g)
    log = step(model, batch())
    assert log['l_pix'] == 0 < log['l_kd']
    assert not torch.equal(before['conv_first.weight'], model.net_g.conv_first.weight)


@pytest.mark.usefixtures('device')
def test_without_kd_the_teacher_is_not_asked_and_the_step_is_stock(tmp_path):
    opt = train_options(tmp_path, 'DistillModel')
    del opt['train']['kd_opt']
    model = build_model(opt)
    model.net_t = Exploding()
    stock = SRModel(copy.deepcopy(opt))
    stock.net_g.load_state_dict(model.net_g.state_dict())
    stock.net_g_ema.load_state_dict(model.net_g.state_dict())
    for iteration in (1, 2):
        data = batch(seed=iteration)
        assert step(model, data, iteration)['l_pix'] == pytest.approx(step(stock, data, iteration)['l_pix'], rel=1e-6)
    torch.testing.assert_close(parameters(model.net_g), parameters(stock.net_g), rtol=0, atol=0)
    torch.testing.assert_close(parameters(model.net_g_ema), parameters(stock.net_g_ema), rtol=0, atol=0)


@pytest.mark.usefixtures('device')
def test_ema_starts_equal_also_for_weights_that_the_checkpoint_lacks(tmp_path):
    opt = train_options(tmp_path, 'DistillModel')
    net = save_weights(tmp_path / 'student.pth', {**opt['network_g'], 'num_feat': 4, 'num_block': 1})
    partial = {name: value for name, value in net.state_dict().items() if not name.startswith('conv_last')}
    torch.save({'params': partial}, tmp_path / 'student.pth')
    opt['path'] |= {'pretrain_network_g': str(tmp_path / 'student.pth'), 'strict_load_g': False}
    model = build_model(opt)
    torch.testing.assert_close(parameters(model.net_g_ema), parameters(model.net_g), rtol=0, atol=0)
    assert torch.equal(model.net_g.conv_first.weight.cpu(), net.conv_first.weight)


@pytest.mark.usefixtures('device')
def test_testing_needs_no_teacher(tmp_path):
    opt = train_options(tmp_path, 'DistillModel') | {'is_train': False}
    opt['path']['pretrain_network_t'] = None
    model = build_model(opt)
    model.feed_data(batch())
    model.test()
    assert model.output.shape == (2, 3, 16, 16)
    assert not hasattr(model, 'net_t')


@pytest.mark.usefixtures('device')
def test_a_teacher_that_does_not_fit_is_a_sentence(tmp_path):
    opt = train_options(tmp_path, 'DistillModel')
    opt['network_t']['upscale'] = 4
    with pytest.raises(UserError, match='does not fit EDSR as configured: upsample'):
        build_model(opt)


@pytest.mark.usefixtures('real_device')
def test_teacher_metrics_are_logged_before_training(tmp_path, caplog):
    import cv2
    import numpy as np

    from dukd_basicsr.distillation.teacher import build_teacher

    opt = train_options(tmp_path, 'DistillModel')
    expected = []
    for place in range(3):
        pair = batch(1, size=12, seed=place)
        for kind in ('lq', 'gt'):
            image = pair[kind][0].permute(1, 2, 0).mul(255).round().numpy().astype(np.uint8)[..., ::-1]
            (tmp_path / kind).mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / kind / f'{place}.png'), image)
        lq, gt = ((pair[kind] * 255).round() / 255 for kind in ('lq', 'gt'))
        output = (build_teacher(opt)(lq).clamp(0, 1) * 255).round()
        mse = ((output - gt * 255)[..., 2:-2, 2:-2] ** 2).double().mean().item()
        expected.append(10 * np.log10(255**2 / mse))
    opt['datasets']['val'] = {
        'name': 'toys', 'type': 'PairedImageDataset', 'dataroot_gt': str(tmp_path / 'gt'), 'phase': 'val', 'scale': 2,
        'dataroot_lq': str(tmp_path / 'lq'), 'io_backend': {'type': 'disk'},
    }  # fmt: skip
    opt['val'] = {'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 2}}}
    logger = logging.getLogger('basicsr')
    logger.addHandler(caplog.handler)
    logger.setLevel('INFO')
    try:
        build_model(opt)
    finally:
        logger.removeHandler(caplog.handler)
    lines = [record.getMessage() for record in caplog.records if 'Teacher on toys' in record.getMessage()]
    assert lines == [f'Teacher on toys (iteration 0)\n\t # psnr: {np.mean(expected):.4f}']
