"""What only CUDA can show. Without a GPU there are no tests here; `make test` on a machine with one has them.

The fixture `device` brings the tests of step, views, teacher, guard, losses, tiling and accumulation to the GPU,
`real_device` those of AMP, compilation, validation, resumption and DUKDRealModel.
"""

from __future__ import annotations

import copy
import os

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import yaml
from basicsr.models import build_model

from dukd_basicsr.networks.build import load_network
from tests import toys
from tests.toys import L1, STUDENT, TEACHER, batch, save_weights, train_options
from tests.workplace import command

EVERYTHING = {**L1, 'consistency': {'prob': 0.5, 'views': ['lq', 'zoom_in', 'zoom_out']}}


def options_of(folder, **train):
    toys.NUM_GPU, before = 1, toys.NUM_GPU
    try:
        opt = train_options(folder, **{'dukd_opt': EVERYTHING, **train})
    finally:
        toys.NUM_GPU = before
    if not (folder / 'student.pth').exists():
        save_weights(folder / 'student.pth', STUDENT)
    opt['path']['pretrain_network_g'] = str(folder / 'student.pth')
    return opt


def train(model, steps, folder):
    for iteration in range(1, steps + 1):
        data = batch(8, seed=iteration)
        model.feed_data(data)
        model.optimize_parameters(iteration)
        model.guard.after_step(iteration, data, model.log_dict, folder)
    return model


def flat(net):
    return torch.cat([parameter.detach().flatten().cpu() for parameter in net.parameters()])


def nccl_rank(rank, folder):
    """Module-level, so that a spawned process finds it."""
    import dukd_basicsr.plugin  # noqa: F401

    torch.cuda.set_device(rank)
    dist.init_process_group('nccl', init_method=f'file://{folder}/rendezvous', rank=rank, world_size=2)
    opt = options_of(folder, dukd_opt={**L1, 'consistency': None, 'zoom_in': None})
    model = build_model(opt | {'dist': True, 'rank': rank, 'world_size': 2})
    for iteration in (1, 2):
        model.feed_data({name: value[rank::2] for name, value in batch(4, seed=iteration).items()})
        model.optimize_parameters(iteration)
        model.guard.after_step(iteration, {}, model.log_dict, folder)
    torch.save({'student': flat(model.net_g), 'log': dict(model.get_current_log())}, folder / f'rank{rank}.pth')
    dist.destroy_process_group()


if torch.cuda.is_available():

    def test_fp16_trains_as_fp32_under_its_scaler(tmp_path):
        """Overflows of the first scale are skipped and not held against the run."""
        exact = train(build_model(options_of(tmp_path)), 12, tmp_path)
        opt = options_of(tmp_path, amp='fp16', teacher_opt={'precision': 'fp16'}, nonfinite_limit=2)
        model = build_model(opt)
        dtypes = set()
        model.net_g.conv_last.register_forward_hook(lambda _, x, y: dtypes.add(y.dtype))
        train(model, 12, tmp_path)
        assert dtypes == {torch.float16}
        assert model.guard.skipped == 0
        assert model.scaler.is_enabled()
        assert {parameter.dtype for parameter in model.net_g.parameters()} == {torch.float32}
        torch.testing.assert_close(flat(model.net_g), flat(exact.net_g), rtol=0, atol=0.02)
        assert not torch.equal(flat(model.net_g), flat(exact.net_g))

    def test_a_step_waits_for_nothing(tmp_path):
        """torch counts what the host waits for; the guard's reading of the step before is an event, not a copy."""
        model = train(build_model(options_of(tmp_path)), 3, tmp_path)
        data = {name: value.cuda() for name, value in batch(8).items()}
        torch.cuda.synchronize()
        torch.cuda.set_sync_debug_mode('error')
        try:
            model.feed_data(data)
            model.optimize_parameters(4)
        finally:
            torch.cuda.set_sync_debug_mode('default')

    def test_compiled_by_inductor_it_is_the_same_training(tmp_path):
        plain = train(build_model(options_of(tmp_path)), 2, tmp_path)
        torch._dynamo.reset()
        compiled = train(build_model(options_of(tmp_path, compile=True)), 2, tmp_path)
        torch.testing.assert_close(flat(compiled.net_g), flat(plain.net_g), rtol=1e-3, atol=1e-4)

    def test_a_whole_run_on_the_gpu_is_resumed_exactly(workplace):
        """As typed: prefetch cuda, deterministic, validated, stopped and resumed; then labels and pictures."""
        opt = yaml.safe_load((workplace / 'toy.yml').read_text())
        opt['num_gpu'] = 1
        opt['train']['deterministic'] = True
        opt['datasets']['train'] |= {'prefetch_mode': 'cuda', 'pin_memory': True, 'num_worker_per_gpu': 1}
        for name in ('whole', 'parts'):
            (workplace / f'{name}.yml').write_text(yaml.safe_dump({**opt, 'name': name}), encoding='utf-8')
        runs = [('whole', []), ('parts', ['--force_yml', 'train:total_iter=2']), ('parts', ['--auto_resume'])]
        for name, more in runs:
            done = command('train', '-opt', f'{name}.yml', *more, cwd=workplace)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        whole, parts = (
            torch.load(workplace / 'experiments' / name / 'models' / 'net_g_4.pth', weights_only=True)['params']
            for name in ('whole', 'parts')
        )
        torch.testing.assert_close(parts, whole, rtol=0, atol=0)
        done = command('upcycle', '-opt', 'whole.yml', cwd=workplace)
        assert done.returncode == 0, done.stderr
        weights = 'experiments/whole/models/net_g_4.pth'
        for device in ('cuda', 'cpu'):
            done = command('upscale', 'toy_val', '-o', device, '--weights', weights, '--device', device, cwd=workplace)
            assert done.returncode == 0, done.stderr
        names = [sorted(os.listdir(workplace / device)) for device in ('cuda', 'cpu')]
        assert names[0] == names[1] != []

    def test_teacher_and_student_answer_as_on_the_cpu(tmp_path):
        for options in (STUDENT, TEACHER):
            net = save_weights(tmp_path / 'net.pth', options)
            lq = batch(1)['lq']
            found = load_network(options, str(tmp_path / 'net.pth')).cuda()(lq.cuda()).cpu()
            torch.testing.assert_close(found, net(lq), rtol=1e-3, atol=1e-3)

    @pytest.mark.skipif(torch.cuda.device_count() < 2, reason='two GPUs')
    def test_two_processes_under_nccl_train_as_one(tmp_path):
        save_weights(tmp_path / 'student.pth', STUDENT)
        opt = options_of(tmp_path, dukd_opt={**L1, 'consistency': None, 'zoom_in': None})
        alone = build_model(copy.deepcopy(opt))
        for iteration in (1, 2):
            alone.feed_data(batch(4, seed=iteration))
            alone.optimize_parameters(iteration)
            alone.guard.after_step(iteration, {}, alone.log_dict, tmp_path)
        mp.spawn(nccl_rank, args=(tmp_path,), nprocs=2)
        ranks = [torch.load(tmp_path / f'rank{rank}.pth', weights_only=True) for rank in (0, 1)]
        assert torch.equal(ranks[0]['student'], ranks[1]['student'])
        torch.testing.assert_close(ranks[0]['student'], flat(alone.net_g), rtol=1e-3, atol=1e-4)
        assert ranks[0]['log'] == pytest.approx(dict(alone.get_current_log()), rel=1e-3)
