"""Students that are folded when they are deployed, as the shipped files train them: they learn, and are validated as
what they will be."""

import copy

import pytest
import torch
import yaml
from basicsr.models import build_model

from dukd_basicsr.networks.deploy import deploy
from tests.toys import REPOSITORY, TEACHER, batch, train_options

SMALLER = {
    'compact': {'num_feat': 8, 'num_conv': 2},
    'ecbsr': {'num_block': 1, 'num_channel': 8},
    'span': {'feature_channels': 8},
}


def make_model(folder, name):
    """The network_g of a shipped file, thinned and of x2, in a toy training."""
    network = yaml.safe_load((REPOSITORY / 'options' / f'train_dukd_edsr_to_{name}_x4.yml').read_text())['network_g']
    size = {'scale' if 'scale' in network else 'upscale': 2} | SMALLER[name]
    opt = train_options(folder, optim_g={'type': 'Adam', 'lr': 2e-3, 'betas': [0.9, 0.99]}, total_iter=40)
    torch.manual_seed(5)
    return build_model({**opt, 'network_g': network | size, 'network_t': TEACHER})


def smooth_batch(seed=3):
    """Images that a student can learn to enlarge: each pixel repeated."""
    pair = batch(samples=4, size=12, seed=seed)
    pair['gt'] = pair['lq'].repeat_interleave(2, -1).repeat_interleave(2, -2)
    return pair


@pytest.mark.parametrize('name', SMALLER)
def test_the_loss_falls(tmp_path, name):
    model = make_model(tmp_path, name)
    before = {key: tensor.clone() for key, tensor in model.net_g.state_dict().items()}
    losses = []
    for step in range(1, 41):
        model.feed_data(smooth_batch())
        model.optimize_parameters(step)
        losses.append(model.get_current_log()['l_pix'])
    assert sum(losses[-5:]) < 0.7 * sum(losses[:5])
    moved = {key for key, tensor in model.net_g.state_dict().items() if not torch.equal(tensor, before[key])}
    fixed = {key for key in before if key.endswith('.mask') or '.eval_conv.' in key}
    assert moved == set(before) - fixed  # every branch has a gradient


@pytest.mark.parametrize('name', SMALLER)
def test_validation_sees_the_weights_of_now(tmp_path, name):
    """SPAN's eval_conv is computed from the branches; a stale one would validate the weights of the start."""
    model = make_model(tmp_path, name)
    model.feed_data(smooth_batch())
    model.test()
    first = model.output.clone()
    for step in (1, 2):
        model.feed_data(smooth_batch())
        model.optimize_parameters(step)
    model.test()
    branches = copy.deepcopy(model.net_g_ema).train()
    with torch.no_grad():
        expected = branches(model.lq)
    size = expected.abs().max().clamp(min=1)
    assert (model.output - expected).abs().max() <= 1e-5 * size
    assert (deploy(model.net_g_ema)(model.lq) - expected).abs().max() <= 1e-5 * size
    assert (first - expected).abs().max() > 1e-4


def test_spans_options_are_checked_like_any_other(tmp_path):
    from dukd_basicsr import options
    from dukd_basicsr.errors import UserError

    text = (REPOSITORY / 'options' / 'train_dukd_edsr_to_span_x4.yml').read_text()
    (tmp_path / 'a.yml').write_text(text.replace('feature_channels: 48', 'feature_chanels: 48'))
    with pytest.raises(UserError, match=r'network_g.feature_chanels: unknown key. Did you mean "feature_channels"\?'):
        options.check(options.load(tmp_path / 'a.yml'), tmp_path / 'a.yml', is_train=True)
