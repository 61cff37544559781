"""Two gloo processes train as one process that sees the samples of both."""

import pytest
import torch
from torch.nn.parallel import DistributedDataParallel

from dukd_basicsr.consistency import InvertibleTransform
from dukd_basicsr.distillation.views import View
from tests import warm
from tests.toys import L1, STUDENT, SWINIR, batch, join_ranks, leave_ranks, save_weights, train_options

STEPS, WORLD = 3, 2
DUKD = {**L1, 'zoom_in': {'num': 2}, 'consistency': {'prob': 0.5}}
IN_BATCH = {**L1, 'zoom_out': None, 'in_batch': 0.5, 'schedule': {'start': 1, 'end': 3}}


def options(folder, dukd):
    opt = train_options(folder, dukd_opt=dukd)
    opt['path']['pretrain_network_g'] = str(folder / 'student.pth')
    return opt


def data_of(rank, iteration):
    return batch(samples=2, seed=10 * iteration + rank)


def train_one_rank(rank, folder, dukd):
    """Module-level, so that another process finds it. Leaves the weights and what it saw of the teacher."""
    import dukd_basicsr.plugin  # noqa: F401

    join_ranks(rank, folder, WORLD)
    from basicsr.models import build_model

    model = build_model(options(folder, dukd) | {'dist': True, 'rank': rank, 'world_size': WORLD})
    teacher = {name: value.clone() for name, value in model.net_t.state_dict().items()}
    logs = []
    for iteration in range(1, STEPS + 1):
        model.feed_data(data_of(rank, iteration))
        model.optimize_parameters(iteration)
        logs.append(dict(model.get_current_log()))
    torch.save(
        {
            'student': model.get_bare_model(model.net_g).state_dict(),
            'ema': model.net_g_ema.state_dict(),
            'logs': logs,
            'student_wrapped': isinstance(model.net_g, DistributedDataParallel),
            'teacher_wrapped': any(isinstance(module, DistributedDataParallel) for module in model.net_t.modules()),
            'teacher_same': all(torch.equal(teacher[name], value) for name, value in model.net_t.state_dict().items()),
        },
        folder / f'rank{rank}.pth',
    )
    del model
    leave_ranks()


def train_in_one_process(folder, dukd):
    """The same steps by one model on the views of both ranks together."""
    from basicsr.models import build_model

    model = build_model(options(folder, dukd))
    of_one_rank = model.build_views

    def of_both_ranks(iteration):
        found = []
        for rank in range(WORLD):
            model.opt['rank'] = rank
            model.feed_data(data_of(rank, iteration))
            found.append(of_one_rank(iteration))
        return {name: merged([views[name] for views in found]) for name in found[0]}

    model.build_views = of_both_ranks
    logs = []
    for iteration in range(1, STEPS + 1):
        model.feed_data(data_of(0, iteration))
        model.optimize_parameters(iteration)
        logs.append(dict(model.get_current_log()))
    return model, logs


def merged(views):
    gt = None if views[0].gt is None else torch.cat([view.gt for view in views])
    transform = None
    if views[0].transform is not None:
        pairs = zip(*(view.transform.draws for view in views), strict=True)
        transform = InvertibleTransform(tuple((pair[0][0], torch.cat([mask for _, mask in pair])) for pair in pairs))
    return View(torch.cat([view.lq for view in views]), gt=gt, ask_teacher=views[0].ask_teacher, transform=transform)


@pytest.mark.parametrize('dukd', [DUKD, IN_BATCH], ids=['beside', 'in the batch, from iteration 2 on'])
def test_two_ranks_equal_one_process_with_the_samples_of_both(tmp_path, dukd):
    start = save_weights(tmp_path / 'student.pth', STUDENT)
    options(tmp_path, dukd)  # leaves the teacher's checkpoint there before two processes would
    warm.start_ranks(train_one_rank, (tmp_path, dukd), WORLD)
    ranks = [torch.load(tmp_path / f'rank{rank}.pth', weights_only=True) for rank in range(WORLD)]
    assert all(rank['student_wrapped'] and rank['teacher_same'] and not rank['teacher_wrapped'] for rank in ranks)
    torch.testing.assert_close(ranks[0]['student'], ranks[1]['student'], rtol=0, atol=0)

    model, logs = train_in_one_process(tmp_path, dukd)
    together = model.net_g.state_dict()
    assert (together['conv_first.weight'] - start.conv_first.weight).abs().max() > 1e-3  # three steps of 1e-3 were made
    torch.testing.assert_close(ranks[0]['student'], dict(together), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(ranks[0]['ema'], dict(model.net_g_ema.state_dict()), rtol=1e-4, atol=1e-6)
    for found, expected in zip(ranks[0]['logs'], logs, strict=True):  # rank 0 logs the mean over the ranks
        assert found == pytest.approx(expected, rel=1e-5)


def train_with_buffers(rank, folder):
    """SwinIR, whose index is a buffer, with another buffer that each rank draws for itself. Leaves its buffers."""
    import dukd_basicsr.plugin  # noqa: F401

    join_ranks(rank, folder, WORLD)
    from basicsr.archs.swinir_arch import SwinIR
    from basicsr.models import build_model

    build = SwinIR.__init__

    def build_with_draw(self, *args, **kwargs):
        build(self, *args, **kwargs)
        self.register_buffer('drawn', torch.full((1,), float(rank)))

    SwinIR.__init__ = build_with_draw
    broadcasts = []
    send = DistributedDataParallel._sync_buffers
    DistributedDataParallel._sync_buffers = lambda self: broadcasts.append(1) or send(self)
    opt = train_options(folder, dukd_opt=DUKD) | {'network_g': SWINIR, 'dist': True, 'rank': rank, 'world_size': WORLD}
    model = build_model(opt)
    for iteration in range(1, STEPS + 1):
        model.feed_data(data_of(rank, iteration))
        model.optimize_parameters(iteration)  # several forwards, then a backward
    found = {'buffers': dict(model.get_bare_model(model.net_g).named_buffers()), 'broadcasts': len(broadcasts)}
    torch.save(found, folder / f'rank{rank}.pth')
    del model
    leave_ranks()


def test_buffers_are_equal_from_the_start_and_not_written_between_the_forwards_of_a_step(tmp_path):
    train_options(tmp_path)
    warm.start_ranks(train_with_buffers, (tmp_path,), WORLD)
    ranks = [torch.load(tmp_path / f'rank{rank}.pth', weights_only=True) for rank in range(WORLD)]
    assert [rank['broadcasts'] for rank in ranks] == [0, 0]
    assert ranks[1]['buffers']['drawn'].item() == 0
    assert sum(value.dtype == torch.int64 for value in ranks[0]['buffers'].values()) > 1
