"""Iterations to be timed: of the bare networks, of our models, of stock's and of the authors'.

A job is a mapping: mode (below), pair (of PAIRS), device, batch, iterations, and perhaps train (options of it), patch,
thin (toy networks), peer (a checkout of yun224/DUKD), model (a model_type) and parts (of a cached batch).

floor:   the teacher's forwards without a graph and the student's forward + backward on the same tensors, bare.
ours:    DUKDModel.feed_data + optimize_parameters: upcycling, label consistency, five terms, Adam, EMA, all of it.
student: the floor of a run whose labels come with its batches: the student's forward + backward alone.
cached:  as ours with such batches.
alone:   SRModel's loss, step and EMA on the samples of such batches: no teacher, no distillation.
peer:    the authors' DUKD with the same networks, batch and views; for SwinIR without zoom-out, which their code does
         not pad.

The networks are the paper's, from the shipped options files; images and weights are random and seeded: the time of a
convolution does not depend on them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import REPOSITORY

PAIRS = {
    'small': ('EDSR 128x16 -> 64x16, x4', 4),
    'edsr': ('EDSR 256x32 -> 64x32, x4', 2),
    'rcan': ('RCAN 10x20 -> 10x6, x4', 2),
    'swinir': ('SwinIR 180x36 -> 60x24, x4', 2),
}
"""What a pair is called, and the batch that two CPU cores do in seconds."""
SCALE, PATCH = 4, 48
MODELS = {'peer': 'DUKD', 'alone': 'SRModel'}
THIN = {
    'EDSR': {'num_feat': 8, 'num_block': 2},
    'RCAN': {'num_feat': 8, 'num_group': 1, 'num_block': 1, 'squeeze_factor': 4},
    'SwinIR': {'embed_dim': 12, 'depths': [2], 'num_heads': [2]},
}
"""Arguments that make a network of any size a toy, to try a benchmark out with."""


def networks(pair: str, thin: bool = False) -> dict:
    """`network_t` and `network_g`."""
    if pair == 'small':
        edsr = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 16, 'upscale': SCALE}
        found = {'network_t': {**edsr, 'num_feat': 128}, 'network_g': {**edsr, 'num_feat': 64}}
    else:
        from dukd_basicsr import options

        opt = options.load(REPOSITORY / 'options' / f'train_dukd_{pair}_x{SCALE}.yml')
        found = {key: opt[key] for key in ('network_t', 'network_g')}
    return {key: {**net, **(THIN[net['type']] if thin else {})} for key, net in found.items()}


def options_of(job: dict, folder: Path) -> dict:
    """The same task in our spelling and in the authors'."""
    l1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
    pads = job['pair'] != 'swinir'
    ours = {'dukd_opt': l1, **job.get('train', {})}
    theirs = {'dukd_opt': {'n_gt_sub': [1], 'zoom_out': pads}, 'noisy': {'prob': 0.3}}
    return {
        'name': 'step_time', 'model_type': MODELS.get(job['mode'], job.get('model', 'DUKDModel')), 'scale': SCALE,
        'num_gpu': int(job['device'] == 'cuda'), 'manual_seed': 0, 'is_train': True, 'dist': False, 'rank': 0,
        'world_size': 1, 'datasets': {}, **networks(job['pair'], job.get('thin', False)),
        'path': {'pretrain_network_t': str(folder / 'teacher.pth')},
        'train': {
            'ema_decay': 0.999, 'total_iter': 1000,
            'optim_g': {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]},
            'scheduler': {'type': 'MultiStepLR', 'milestones': [500], 'gamma': 0.1},
            'pixel_opt': l1, 'kd_opt': l1, **(theirs if job['mode'] == 'peer' else ours),
        },
    }  # fmt: skip


def batch_of(job: dict) -> dict:
    """What the loader gives: LR and HR patches; in cached mode their labels, crops and zoomed-out patches too."""
    import torch

    size, patch = job['batch'], job.get('patch', PATCH)

    def image(side: int, *crops: int):  # noqa: ANN202
        return torch.rand(size, *crops, 3, side, side)

    data = {'lq': image(patch), 'gt': image(SCALE * patch)}
    if job['mode'] in ('cached', 'alone'):
        parts = {'lq': {'lq_label': image(SCALE * patch)},
                 'zoom_in': {'zoom_in': image(patch, 1), 'zoom_in_label': image(SCALE * patch, 1)},
                 'zoom_out': {'zoom_out': image(patch // SCALE), 'zoom_out_label': image(patch)}}  # fmt: skip
        for part in job.get('parts', parts):
            data |= parts[part]
    return {name: value.pin_memory() for name, value in data.items()} if job['device'] == 'cuda' else data


def stepper(job: dict, folder: Path) -> Callable[[int], None]:
    """One iteration of a job."""
    import torch

    torch.manual_seed(0)
    torch.backends.cudnn.benchmark = True  # as a training sets it
    makers = {'floor': bare_step, 'student': bare_step, 'alone': alone_step}
    return makers.get(job['mode'], model_step)(job, folder)


def bare_step(job: dict, folder: Path) -> Callable[[int], None]:
    """The networks alone on tensors of the sizes that the views have."""
    import torch

    from dukd_basicsr.networks import padding
    from dukd_basicsr.networks.acceleration import set_tf32
    from dukd_basicsr.networks.weights import build_network

    set_tf32(job.get('train', {}).get('tf32'))
    pair, device = networks(job['pair'], job.get('thin', False)), job['device']
    patch, data = job.get('patch', PATCH), batch_of(job)
    student = build_network(pair['network_g']).to(device)
    needs = padding.find_size_requirement(student)
    views = [torch.cat([data['lq'], data['gt'][..., :patch, :patch]]).to(device),
             data['lq'][..., ::SCALE, ::SCALE].contiguous().to(device)]  # fmt: skip
    views = [padding.pad(view, needs) for view in views]
    teacher = None
    if job['mode'] == 'floor':
        teacher = build_network(pair['network_t']).to(device).eval().requires_grad_(False)

    def step(iteration: int) -> None:
        if teacher is not None:
            with torch.no_grad():
                for view in views:
                    teacher(view)
        student.zero_grad()
        sum(student(view).mean() for view in views).backward()

    return step


def model_step(job: dict, folder: Path) -> Callable[[int], None]:
    """A registered model, fed as the train loop feeds it."""
    import torch
    from basicsr.models import build_model

    from dukd_basicsr.distillation.teacher import NoTeacher
    from dukd_basicsr.models.distill_model import DistillModel
    from dukd_basicsr.networks.weights import build_network

    opt, build_teacher = options_of(job, folder), DistillModel._build_teacher
    if job['mode'] == 'peer':
        sys.path.insert(0, job['peer'])
        import models  # noqa: F401  registers the authors' classes
    if job['mode'] == 'cached':
        DistillModel._build_teacher = lambda self: NoTeacher()
    else:
        torch.save({'params': build_network(opt['network_t']).state_dict()}, folder / 'teacher.pth')
    try:
        model = build_model(opt)
    finally:
        DistillModel._build_teacher = build_teacher
    data = batch_of(job)

    def step(iteration: int) -> None:
        model.feed_data(data)
        model.optimize_parameters(iteration)
        if job['mode'] != 'peer':
            model.guard.after_step(iteration, data, model.log_dict, folder)

    return step


def alone_step(job: dict, folder: Path) -> Callable[[int], None]:
    """Stock's model and step on the samples of a cached batch, those of one size together."""
    import torch
    from basicsr.models import build_model

    from dukd_basicsr.networks import padding

    model, data = build_model(options_of(job, folder)), batch_of(job)
    needs = padding.find_size_requirement(model.get_bare_model(model.net_g))

    def step(iteration: int) -> None:
        to = {name: value.to(model.device) for name, value in data.items()}
        pairs = [
            (torch.cat([to['lq'], to['zoom_in'][:, 0]]), torch.cat([to['gt'], to['zoom_in_label'][:, 0]])),
            (to['zoom_out'], to['lq']),
        ]
        model.optimizer_g.zero_grad()
        sum(model.cri_pix(padding.forward(model.net_g, lq, needs), gt) for lq, gt in pairs).backward()
        model.optimizer_g.step()
        model.model_ema(decay=model.ema_decay)

    return step
