"""Training from a cache: the same losses by the same code, and no teacher."""

import copy

import pytest
import torch
from basicsr.data import build_dataset
from basicsr.models import build_model
from torch.utils.data import default_collate

from dukd_basicsr.distillation.teacher import NoTeacher, build_teacher
from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.training import dry_run
from dukd_basicsr.training.launch import _complete_datasets
from tests.toys import L1, Exploding
from tests.upcycled import cached, make_pairs, run_options

STEPS = 3


@pytest.fixture
def toy(tmp_path, monkeypatch):
    make_pairs(tmp_path)
    return tmp_path, cached(tmp_path, monkeypatch, per_image=4)


def complete(opt, folder):
    """As BasicSR's parse_options leaves options."""
    opt = copy.deepcopy(opt)
    opt |= {'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1}
    opt['path'] |= {'models': str(folder), 'training_states': str(folder)}
    _complete_datasets(opt)
    return opt


def batches(opt):
    dataset = build_dataset(opt['datasets']['train'])
    return [default_collate([dataset[(2 * step + n) % len(dataset)] for n in range(2)]) for step in range(STEPS)]


def trained(model, data):
    logs = []
    for iteration, batch in enumerate(data, 1):
        model.feed_data(batch)
        model.optimize_parameters(iteration)
        logs.append(model.get_current_log())
    return logs


@pytest.mark.parametrize(('dukd', 'asked_times'), [
    ({'zoom_in': {'num': 1}}, 2 * STEPS),  # once for each size
    ({'zoom_in': {'num': 3}}, 2 * STEPS),
    ({'zoom_in': {'num': 1}, 'zoom_out': None, 'in_batch': 0.5}, STEPS),
    ({'zoom_in': {'num': 1}, 'schedule': {'start': 1, 'end': 3}}, 2 * STEPS - 1),
])  # fmt: skip
def test_cached_steps_are_live_steps_on_the_same_inputs(toy, dukd, asked_times):
    """The live run gets the same inputs without labels, and a teacher whose answers are rounded as a cache rounds."""
    folder, cache = toy
    dukd = {**L1, 'consistency': {'prob': 0.5}, **dukd}
    opt = complete(run_options(folder, cache, dukd_opt=dukd), folder)
    data = batches(opt)
    assert data[0]['zoom_in'].shape == (2, dukd['zoom_in']['num'], 3, 6, 6)
    torch.manual_seed(0)
    model = build_model(opt)
    model.net_t = Exploding()
    with_cache = trained(model, data)

    live = complete(run_options(folder, cache, dukd_opt=dukd), folder)
    live['datasets'] = {}
    torch.manual_seed(0)
    asked = build_model(live)
    asked.net_t = Lookup(data)
    unlabelled = [{name: value for name, value in batch.items() if 'label' not in name} for batch in data]
    assert trained(asked, unlabelled) == with_cache
    assert asked.net_t.calls == asked_times
    torch.testing.assert_close(dict(model.net_g.state_dict()), dict(asked.net_g.state_dict()), rtol=0, atol=0)


class Lookup(torch.nn.Module):
    """A teacher that knows by heart what the cache says of these inputs."""

    def __init__(self, data):
        super().__init__()
        self.known, self.calls = {}, 0
        for batch in data:
            for name in ('lq', 'zoom_in', 'zoom_out') if 'zoom_out' in batch else ('lq', 'zoom_in'):
                inputs, labels = (batch[key].flatten(0, -4) for key in (name, f'{name}_label'))
                self.known |= {u.numpy().tobytes(): label for u, label in zip(inputs, labels, strict=True)}

    def forward(self, lq):
        self.calls += 1
        return torch.stack([self.known[u.numpy().tobytes()] for u in lq])


def test_the_teachers_live_labels_differ_by_rounding_and_border_only(toy):
    """Zoom-in crops are asked whole, so that the cache holds what the live teacher says of them."""
    folder, cache = toy
    opt = complete(run_options(folder, cache), folder)
    opt['datasets']['train'] |= {'use_hflip': False, 'use_rot': False}
    teacher = build_teacher(run_options(folder, cache))
    for batch in batches(opt):
        live = teacher(batch['zoom_in'].flatten(0, 1))
        assert (batch['zoom_in_label'].flatten(0, 1) - live).abs().max() < 1.5 / 1023 / 2 + 1e-5


def test_no_teacher_is_built_and_none_can_be_asked(toy):
    folder, cache = toy
    opt = run_options(folder, cache)
    del opt['network_t'], opt['path']['pretrain_network_t']
    model = build_model(complete(opt, folder))
    assert isinstance(model.net_t, NoTeacher)
    data = batches(complete(opt, folder))
    trained(model, data)
    del data[0]['lq_label']
    model.feed_data(data[0])
    with pytest.raises(RunError, match='brought no label for a view that needs one'):
        model.optimize_parameters(1)


@pytest.mark.parametrize(('losses', 'parts'), [
    ({'dukd_opt': {**L1, 'zoom_in': None}}, {'lq_label', 'zoom_out', 'zoom_out_label'}),
    ({'dukd_opt': {**L1, 'zoom_out': None}, 'kd_opt': None}, {'zoom_in', 'zoom_in_label'}),
])  # fmt: skip
def test_a_run_reads_what_its_losses_need(toy, losses, parts):
    folder, cache = toy
    opt = complete(run_options(folder, cache, **losses), folder)
    data = batches(opt)
    assert data[0].keys() - {'lq', 'gt', 'lq_path', 'gt_path'} == parts
    trained(build_model(opt), data)


def test_distill_and_student_alone_train_from_it_too(toy):
    folder, cache = toy
    for model_type, losses in (('DistillModel', {'kd_opt': L1}), ('SRModel', {})):
        opt = run_options(folder, cache)
        opt['model_type'] = model_type
        opt['train'] |= {'kd_opt': None, 'dukd_opt': None} | losses
        opt = complete(opt, folder)
        data = batches(opt)
        assert data[0].keys() - {'lq', 'gt', 'lq_path', 'gt_path'} == ({'lq_label'} if losses else set())
        trained(build_model(opt), data)


def test_a_wrong_cache_is_refused_by_the_model_itself(toy):
    """A train.py of one's own does not go through the command's checks."""
    folder, cache = toy
    opt = complete(run_options(folder, cache), folder)
    opt['network_t']['num_feat'] = 6
    with pytest.raises(UserError, match=r'dataroot_upcycled: .* has labels of another network_t; make another with'):
        build_model(opt)


def test_the_check_of_a_cached_run_needs_neither_cache_nor_teacher(tmp_path):
    opt = run_options(tmp_path, tmp_path / 'nowhere.lmdb', dukd_opt={**L1, 'zoom_in': {'num': 2}})
    del opt['network_t'], opt['path']['pretrain_network_t']
    found = dry_run.measure(opt)
    assert found.teachers == []
    assert min(found.terms.values()) > 0
