"""Stock's validation on the same model and data is the oracle: numbers, log lines and files to the last byte."""

from __future__ import annotations

import copy
import logging
import threading
from types import SimpleNamespace

import dukd_basicsr.plugin  # noqa: F401  first: a spawned process has no conftest
from tests.evaluation.toy_validation import METRICS, SIZES, loader_of, options, write_images

# isort: split
import numpy as np
import pytest
import torch
from basicsr.data import build_dataloader
from basicsr.models import build_model
from basicsr.models.sr_model import SRModel
from basicsr.utils.registry import METRIC_REGISTRY
from torch.nn.parallel import DistributedDataParallel

from dukd_basicsr import compat
from dukd_basicsr.data.prefetch import map_in_order, read_ahead
from dukd_basicsr.errors import UserError
from dukd_basicsr.evaluation import validation
from dukd_basicsr.evaluation import validation as batching
from tests import warm
from tests.toys import IdentityUp, batch, join_ranks, leave_ranks

WORLD = 2


def model_of(opt):
    torch.manual_seed(3)
    return build_model(copy.deepcopy(opt))


@pytest.fixture
def log(caplog):
    logger = logging.getLogger('basicsr')
    logger.addHandler(caplog.handler)
    logger.setLevel('INFO')
    yield lambda: [each.getMessage() for each in caplog.records if 'Validation' in each.getMessage()]
    logger.removeHandler(caplog.handler)


class Board:
    def __init__(self):
        self.scalars = []

    def add_scalar(self, *scalar):
        self.scalars.append(scalar)


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob('*.png'))}


def outcome(model, validate, loader, log):
    """Two validations with an update of the weights between them: everything that is left behind."""
    board, before = Board(), len(log())
    for iteration in (5, 10):
        validate(model, loader, iteration, board, True)
        net = getattr(model, 'net_g_ema', model.net_g)
        with torch.no_grad():
            next(net.parameters()).mul_(0.5)
    left = sorted(name for name in ('lq', 'gt', 'output') if hasattr(model, name))
    return model.metric_results, model.best_metric_results, board.scalars, log()[before:], left, model.net_g.training


@pytest.mark.usefixtures('real_device')
@pytest.mark.parametrize('is_train', [True, False])
@pytest.mark.parametrize(
    ('model_type', 'ema'), [('SRModel', 0), ('DistillModel', 0.9), ('SwinIRModel', 0.9), ('SwinIRModel', 0)]
)
def test_everything_equals_stock(tmp_path, log, model_type, ema, is_train):
    write_images(tmp_path)
    found = []
    for out, function in (('ours', SRModel.nondist_validation), ('stock', compat.stock(compat.nondist_validation))):
        model = model_of(options(tmp_path, model_type, out, ema))
        model.opt['is_train'] = is_train
        torch.manual_seed(7)
        left = outcome(model, function, loader_of(tmp_path), log)
        found.append((left, files(tmp_path / out), torch.rand(1).item()))
    assert found[0] == found[1]
    results, best, _, lines, *_ = found[0][0]
    assert list(results) == list(METRICS)
    assert len(lines) == 2
    assert best['toys']['psnr']['iter'] in (5, 10)
    assert len(found[0][1]) == (2 if is_train else 1) * len(SIZES)  # a test run writes the same names twice
    assert ('photo0/photo0_5.png' if is_train else 'toys/photo0_toy.png') in found[0][1]


@pytest.mark.usefixtures('real_device')
def test_without_metrics_and_images_nothing_is_left_behind(tmp_path):
    write_images(tmp_path)
    model = model_of(options(tmp_path, metrics=None))
    model.validation(loader_of(tmp_path), 5, None, False)
    assert not hasattr(model, 'metric_results')
    assert files(tmp_path / 'results') == {}


def test_suffix_set_and_missing(tmp_path):
    write_images(tmp_path, SIZES[:1])
    opt = options(tmp_path, suffix='ours') | {'is_train': False}
    model_of(opt).validation(loader_of(tmp_path), 'toy', None, True)
    del opt['val']['suffix']
    model = model_of(opt)
    with pytest.raises(KeyError, match='suffix'):
        compat.stock(compat.nondist_validation)(model, loader_of(tmp_path), 'toy', None, True)
    model.validation(loader_of(tmp_path), 'toy', None, True)
    assert list(files(tmp_path / 'results')) == ['toys/photo0_ours.png', 'toys/photo0_toy.png']


def test_an_empty_set_is_a_sentence(tmp_path):
    write_images(tmp_path, [])
    model = model_of(options(tmp_path))
    with pytest.raises(UnboundLocalError, match='idx'):
        compat.stock(compat.nondist_validation)(model, loader_of(tmp_path), 5, None, False)
    with pytest.raises(UserError, match='The validation set toys has no images; put images where'):
        model.validation(loader_of(tmp_path), 5, None, False)


@pytest.mark.usefixtures('real_device')
def test_without_gt_the_last_training_batch_is_not_compared_with(tmp_path):
    """As a metric without reference would be used: BasicSR's NIQE."""
    write_images(tmp_path, [(100, 110)])
    opt = options(tmp_path, metrics={'niqe': {'type': 'calculate_niqe', 'crop_border': 2, 'better': 'lower'}})
    seen, model = [], model_of(opt)
    model.feed_data(batch())  # as training does
    stale = model.gt
    model.get_current_visuals = lambda: seen.append(hasattr(model, 'gt')) or SRModel.get_current_visuals(model)
    model.validation(loader_of(tmp_path, with_gt=False), 5, None, True)
    assert seen == [False]
    assert np.isfinite(model.metric_results['niqe'])
    assert len(files(tmp_path / 'results')) == 1
    model = model_of(options(tmp_path))
    model.gt = stale
    with pytest.raises(AssertionError, match='Image shapes are different'):
        compat.stock(compat.nondist_validation)(model, loader_of(tmp_path, with_gt=False), 5, None, False)


def test_methods_of_a_model_are_used(tmp_path, log):
    class Negative(SRModel):
        def test(self):
            super().test()
            self.output = 1 - self.output

        def get_current_visuals(self):
            visuals = super().get_current_visuals()
            return {'result': visuals['result'][0, :, :, :], 'gt': visuals['gt'] / 2}

    write_images(tmp_path)
    options(tmp_path)  # leaves the teacher's checkpoint, which is drawn, before the models are
    found = []
    for out, function in (('ours', Negative.nondist_validation), ('stock', compat.stock(compat.nondist_validation))):
        torch.manual_seed(3)
        model = Negative(options(tmp_path, out=out))
        function(model, loader_of(tmp_path), 5, None, True)
        found.append((model.metric_results, log()[-1], files(tmp_path / out)))
    assert found[0] == found[1]


def test_progress_bar_counts_images(tmp_path, capsys):
    write_images(tmp_path)
    model = model_of(options(tmp_path, pbar=True))
    model.validation(loader_of(tmp_path), 5, None, False)
    bar = capsys.readouterr().err
    assert 'Test photo4: 100%' in bar
    assert '5/5' in bar
    model.opt['val']['pbar'] = False
    model.validation(loader_of(tmp_path), 5, None, False)
    assert 'Test' not in capsys.readouterr().err


def test_errors_of_every_stage_surface(tmp_path, monkeypatch):
    write_images(tmp_path)
    model, loader = model_of(options(tmp_path)), loader_of(tmp_path)

    def broken(img, img2, **_):
        raise ArithmeticError('no number')

    monkeypatch.setitem(METRIC_REGISTRY._obj_map, 'calculate_ssim', broken)
    with pytest.raises(ArithmeticError, match='no number'):
        model.validation(loader, 5, None, False)
    monkeypatch.undo()
    (tmp_path / 'results').write_text('a file where the folder should be')
    with pytest.raises(OSError, match='results'):
        model.validation(loader, 5, None, True)
    monkeypatch.setattr(loader, 'collate_fn', lambda samples: {}[samples[0]['lq_path']])
    with pytest.raises(KeyError, match='photo0'):
        model.validation(loader, 5, None, False)


def test_map_in_order_is_bounded_and_overlaps():
    made, taken, together = [], [], threading.Barrier(2, timeout=120)

    def items():
        for item in range(9):
            assert len(made) - len(taken) <= 3  # two threads: what runs, and one more
            made.append(item)
            yield item

    def work(item):
        if item < 8:
            together.wait()  # passes only if two items are worked on at the same time
        return -item

    for value in map_in_order(work, items(), workers=2):
        taken.append(value)
    assert taken == [-item for item in range(9)]


def test_read_ahead_reads_one_more_and_passes_none_and_errors():
    read = []

    def samples():
        for value in (None, 1, 2):
            read.append(value)
            yield value
        raise OSError('gone')

    ahead = read_ahead(samples())
    assert next(ahead) is None
    assert next(ahead) == 1
    assert next(ahead) == 2
    assert read == [None, 1, 2]
    with pytest.raises(OSError, match='gone'):
        next(ahead)


@pytest.mark.usefixtures('real_device')
def test_neighbours_of_one_size_share_a_batch(tmp_path, monkeypatch, log):
    """With a network that cannot round, since a batch of convolutions may differ from its images in the last bit."""
    write_images(tmp_path)
    found, batches = [], []
    for pixels in (0, 2 * 20 * 24, 2 * 20 * 24 - 1):
        model = model_of(options(tmp_path, out=str(pixels)))
        model.net_g_ema = IdentityUp()
        model.net_g_ema.register_forward_pre_hook(lambda _, inputs: batches.append(tuple(inputs[0].shape)))
        monkeypatch.setattr(validation, 'find_batch_pixels', lambda _, pixels=pixels: pixels)
        model.validation(loader_of(tmp_path), 5, None, True)
        found.append((model.metric_results, log()[-1], files(tmp_path / str(pixels))))
    assert found[0] == found[1] == found[2]
    one_by_one = [(1, 3, *size) for size in SIZES]
    assert batches == [*one_by_one, (2, 3, 20, 24), *one_by_one[2:], *one_by_one]


def test_who_may_share_a_batch(monkeypatch):
    class Own(SRModel):
        def test(self):
            raise NotImplementedError

    def model(cls, device):
        made = cls.__new__(cls)
        made.device = torch.device(device)
        return made

    assert batching.find_batch_pixels(model(SRModel, 'cpu')) == 0
    assert batching.find_batch_pixels(model(SRModel, 'cuda')) == batching.BATCH_PIXELS
    assert batching.find_batch_pixels(model(Own, 'cuda')) == 0
    monkeypatch.setattr(torch.backends.cudnn, 'deterministic', True)
    assert batching.find_batch_pixels(model(SRModel, 'cuda')) == 0


def test_worker_threads_share_the_cores(monkeypatch):
    from dukd_basicsr.data import prefetch as overlap

    monkeypatch.setattr(overlap, 'os', SimpleNamespace(cpu_count=lambda: 6, environ={}))
    assert overlap.count_threads() == overlap.MAX_WORKERS
    monkeypatch.setattr(overlap.os, 'environ', {'LOCAL_WORLD_SIZE': '3'})
    assert overlap.count_threads() == 2
    monkeypatch.setattr(overlap.os, 'environ', {'LOCAL_WORLD_SIZE': '8'})
    assert overlap.count_threads() == 1


CASES = {
    # Without EMA the forward goes through DDP; SwinIR has buffers, which DDP broadcasts in every forward.
    'swinir': {'model_type': 'SwinIRModel', 'ema': 0},
    'distill': {'model_type': 'DistillModel', 'ema': 0.9},
}


def validate_as(folder, rank, world, out):
    """What one rank has after validating five images and then one image, which only rank 0 gets."""
    left = {}
    for name, case in CASES.items():
        opt = options(folder, out=f'{out}/{name}', **case)
        model = model_of(opt | {'dist': world > 1, 'rank': rank, 'world_size': world})
        if world > 1:
            for buffer in model.net_g.module.buffers():  # as statistics of batch norm, which differ; rank 0's count
                buffer.add_(rank)
        lines, handler = [], logging.Handler()
        handler.addFilter(lambda record: 'Validation' in record.getMessage())
        handler.emit = lambda record, lines=lines: lines.append(record.getMessage())
        logging.getLogger('basicsr').addHandler(handler)
        logging.getLogger('basicsr').setLevel('INFO')
        asked, test = [], model.test
        model.test = lambda model=model, asked=asked, test=test: (asked.append(type(model.net_g)), test())
        wrapped, loader, board = model.net_g, loader_of(folder), Board() if rank == 0 else None
        model.validation(loader, 5, board, True)
        loader.dataset.paths = loader.dataset.paths[:1]
        loader = build_dataloader(loader.dataset, loader.dataset.opt, num_gpu=0)
        model.validation(loader, 10, board, True)
        logging.getLogger('basicsr').removeHandler(handler)
        left[name] = {
            'results': model.metric_results, 'best': model.best_metric_results, 'log': lines,
            'board': board and board.scalars, 'same_net': model.net_g is wrapped,
            'ddp_asked': DistributedDataParallel in asked,  # under gloo it may get away with it, under nccl it hangs
            'buffers': [buffer.sum().item() for buffer in wrapped.buffers()],
        }  # fmt: skip
    return left


def validate_one_rank(rank, folder):
    """Module-level, so that another process finds it."""
    join_ranks(rank, folder, WORLD)
    torch.save(validate_as(folder, rank, WORLD, 'two'), folder / f'rank{rank}.pth')
    leave_ranks()


def test_two_ranks_equal_one_process(tmp_path):
    write_images(tmp_path)
    one = validate_as(tmp_path, 0, 1, 'one')  # leaves the teacher's checkpoint there before two processes would
    warm.start_ranks(validate_one_rank, (tmp_path,), WORLD)
    first, second = (torch.load(tmp_path / f'rank{rank}.pth', weights_only=False) for rank in range(WORLD))
    assert first == one
    assert one['swinir']['buffers']
    assert len(one['swinir']['log']) == 2
    for name in CASES:
        assert second[name] == one[name] | {'log': [], 'board': None}
    assert files(tmp_path / 'two') == files(tmp_path / 'one')
    assert len(files(tmp_path / 'one')) == len(CASES) * (len(SIZES) + 1)


def test_a_model_with_a_nondist_validation_of_its_own_runs_it_on_every_rank(tmp_path):
    """RealESRNet's calls super(); the share reaches it, and is gone after an error."""
    seen = []

    class Own(SRModel):
        def nondist_validation(self, *args):
            seen.append(self.validation_share)
            raise ArithmeticError

    model = Own(options(tmp_path))
    model.opt |= {'dist': True, 'rank': 1, 'world_size': 3}
    with pytest.raises(ArithmeticError):
        model.validation(None, 5, None, False)
    assert seen == [validation.Share(1, 3)]
    assert not hasattr(model, 'validation_share')
