"""Two gloo processes train student and discriminator as one process that sees the samples of both."""

from __future__ import annotations

import pytest
import torch
import torch.multiprocessing as mp
from torch.nn.parallel import DistributedDataParallel

from tests.toys import STUDENT, batch, join_ranks, leave_ranks, save_weights, train_options

STEPS, WORLD = 4, 2
UNET = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}
FEATURES = {'fit': {'type': 'FitNetLoss', 'loss_weight': 0.1}}


def options(folder, **changes):
    opt = train_options(
        folder, 'DistillModel', optim_d={'type': 'Adam', 'lr': 1e-3}, net_d_iters=2, feature_opt=FEATURES,
        gan_opt={'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1},
    )  # fmt: skip
    opt['path'] |= {f'pretrain_network_{each}': str(folder / f'{each}.pth') for each in 'gd'}
    return opt | {'network_d': UNET} | changes


def data_of(iteration, ranks):
    """With `bad`, iteration 3 has a number that is none on rank 1 alone."""
    each = [batch(samples=2, seed=10 * iteration + rank) for rank in ranks]
    return {name: torch.cat([one[name] for one in each]) for name in each[0]}


def train(model, ranks, bad=False):
    logs = []
    for iteration in range(1, STEPS + 1):
        data = data_of(iteration, ranks)
        if bad and iteration == 3 and 1 in ranks:
            data['gt'][-1] = torch.nan
        model.feed_data(data)
        model.optimize_parameters(iteration)
        logs.append(dict(model.get_current_log()))
    return {
        **{name: dict(model.get_bare_model(getattr(model, name)).state_dict()) for name in ('net_g', 'net_d')},
        'ema': dict(model.net_g_ema.state_dict()), 'logs': logs,
    }  # fmt: skip


def train_one_rank(rank, folder, unused, bad):
    """Module-level, so that a spawned process finds it."""
    import dukd_basicsr.plugin  # noqa: F401

    join_ranks(rank, folder, WORLD)
    from basicsr.models import build_model

    changes = {'dist': True, 'rank': rank, 'world_size': WORLD, 'find_unused_parameters': unused}
    model = build_model(options(folder, **changes))
    wrapped = [isinstance(net, DistributedDataParallel) for net in (model.net_g, model.net_d)]
    torch.save({**train(model, [rank], bad), 'wrapped': wrapped}, folder / f'rank{rank}.pth')
    del model
    leave_ranks()


@pytest.mark.parametrize(('unused', 'bad'), [(False, False), (True, False), (False, True)],
                         ids=['', 'find_unused_parameters', 'a bad batch on one rank'])  # fmt: skip
def test_two_ranks_equal_one_process_with_the_samples_of_both(tmp_path, unused, bad):
    from basicsr.models import build_model

    save_weights(tmp_path / 'g.pth', STUDENT)
    start = save_weights(tmp_path / 'd.pth', UNET)
    options(tmp_path)  # leaves the teacher's checkpoint there before two processes would
    mp.spawn(train_one_rank, args=(tmp_path, unused, bad), nprocs=WORLD)
    ranks = [torch.load(tmp_path / f'rank{rank}.pth', weights_only=True) for rank in range(WORLD)]
    together = train(build_model(options(tmp_path)), range(WORLD), bad)
    for rank in ranks:
        assert rank['wrapped'] == [True, True]
    for name in ('net_g', 'net_d'):
        torch.testing.assert_close(ranks[0][name], ranks[1][name], rtol=0, atol=0)
    for name in ('net_g', 'net_d', 'ema'):
        torch.testing.assert_close(ranks[0][name], together[name], rtol=1e-4, atol=2e-6)
    assert (together['net_d']['conv0.weight'] - start.conv0.weight).abs().max() > 1e-3
    for found, expected in zip(ranks[0]['logs'], together['logs'], strict=True):  # rank 0 logs the mean over the ranks
        assert found == pytest.approx(expected, rel=1e-4, nan_ok=True)
