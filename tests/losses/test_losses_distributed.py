"""Two gloo processes train student and adapters as one process that sees the samples of both."""

import gc

import torch

from tests import warm
from tests.toys import STUDENT, batch, join_ranks, leave_ranks, save_weights, train_options

FEATURES = {
    'fitnet': {'type': 'FitNetLoss', 'loss_weight': 0.1},
    'at': {'type': 'ATLoss'},
    'fakd': {'type': 'FAKDLoss', 'affinities': ['spatial', 'channel']},
    'crosskd': {'type': 'CrossKDLoss'},
}
OWN = {'rkd': {'type': 'RKDLoss', 'angle_weight': 0}, 'mipkd': {'type': 'MiPKDLoss'}}
"""What relates the samples of a process, or draws for them."""


def options(folder, features=FEATURES):
    opt = train_options(folder, 'DistillModel', feature_opt=features)
    opt['path']['pretrain_network_g'] = str(folder / 'student.pth')
    return opt


def steps(model, ranks):
    """Two steps on the samples of these ranks."""
    for iteration in (1, 2):
        parts = [batch(2, seed=10 * iteration + rank) for rank in ranks]
        model.feed_data({key: torch.cat([part[key] for part in parts]) for key in ('lq', 'gt')})
        model.optimize_parameters(iteration)


def train_one_rank(rank, folder):
    """Module-level, so that another process finds it."""
    import dukd_basicsr.plugin  # noqa: F401

    join_ranks(rank, folder, 2)
    torch.manual_seed(rank)  # as BasicSR: ranks draw differently
    from basicsr.models import build_model

    states = []
    for features in (FEATURES, OWN):
        model = build_model(options(folder, features) | {'dist': True, 'rank': rank, 'world_size': 2})
        steps(model, [rank])
        student = model.get_bare_model(model.net_g).state_dict()
        states.append({'student': student, 'adapters': model.features.copy_trained()})
        del model
        gc.collect()  # a DDP module that outlives its group can hang gloo's thread
    torch.save(states, folder / f'rank{rank}.pth')
    leave_ranks()


def test_two_ranks_train_student_and_adapters_as_one_process_with_the_samples_of_both(tmp_path):
    from basicsr.models import build_model

    save_weights(tmp_path / 'student.pth', STUDENT)
    model = build_model(options(tmp_path))
    before = model.features.copy_trained()
    warm.start_ranks(train_one_rank, (tmp_path,), 2)
    ranks = [torch.load(tmp_path / f'rank{rank}.pth', weights_only=True) for rank in (0, 1)]
    steps(model, [0, 1])
    torch.testing.assert_close(ranks[0], ranks[1], rtol=0, atol=0)
    adapters = model.features.copy_trained()
    assert all((adapters[name] - before[name]).abs().max() > 1e-3 for name in before)
    torch.testing.assert_close(ranks[0][0]['adapters'], adapters, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(ranks[0][0]['student'], dict(model.net_g.state_dict()), rtol=1e-4, atol=1e-5)
