"""The options of a dry run: those of the file, for one process and one image, with random weights for missing ones."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch

from dukd_basicsr.data.paths import find_file
from dukd_basicsr.losses.csd_loss import RANDOM
from dukd_basicsr.options import dukd_options
from dukd_basicsr.options.plan import make_up
from dukd_basicsr.options.rules.losses import DUKD_MODELS
from dukd_basicsr.options.rules.teacher import as_list, is_cached


def complete(opt: Mapping[str, Any]) -> dict[str, Any]:
    """A copy as parse_options leaves it, for one process, without data sets and files that are not there."""
    complete: dict[str, Any] = copy.deepcopy(dict(opt))
    datasets = {'train': {'type': opt['datasets']['train'].get('type')}} if is_cached(opt) else {}
    complete.update(is_train=True, dist=False, rank=0, world_size=1, datasets=datasets, val=None)
    complete['num_gpu'] = min(1, torch.cuda.device_count()) if opt['num_gpu'] else 0
    seed = opt.get('manual_seed')
    complete['manual_seed'] = 0 if seed is None else seed
    torch.manual_seed(complete['manual_seed'])
    complete['dry_run'] = True  # labels and weights may be random
    complete['path'].update(resume_state=None, pretrain_network_g=find_file(opt['path'].get('pretrain_network_g')))
    if opt.get('network_t') is not None:
        networks, paths = as_list(opt['network_t']), as_list(opt['path'].get('pretrain_network_t'))
        complete['path']['pretrain_network_t'] = [
            path if network['type'] == 'Spandrel' else find_file(path)  # its file says which network it is
            for network, path in zip(networks, paths, strict=True)
        ]
    for loss in (complete['train'].get('feature_opt') or {}).values():
        if 'vgg' in loss:
            loss['vgg'] = find_file(loss['vgg']) or RANDOM
    complete['path']['pretrain_network_d'] = find_file(opt['path'].get('pretrain_network_d'))
    complete['train'].update(accumulate=1, compile=False)  # one image, and hooks in its layers
    complete['train'].update(net_d_iters=1, net_d_init_iters=0)  # the student too
    if complete['train'].get('dukd_opt'):  # all that the run will do in its course, of this one image
        complete['train']['dukd_opt'] = {**complete['train']['dukd_opt'], 'schedule': None, 'in_batch': None}
    return complete


def share_of_pixels(opt: Mapping[str, Any]) -> float:
    """The pixels of a batch with `train.dukd_opt.in_batch` over those of all its views beside each other."""
    dukd = dukd_options(opt['train']['dukd_opt']) if opt['model_type'] in DUKD_MODELS else None
    if dukd is None or dukd.in_batch is None:
        return 1.0
    samples, parts = opt['datasets']['train']['batch_size_per_gpu'], opt['train'].get('accumulate', 1)
    pixels = {'lq': 1, 'zoom_in': 1, 'zoom_out': 1 / opt['scale'] ** 2}
    counts = make_up(samples, dukd.in_batch, dukd.parts, parts)
    return sum(pixels[name] * count for name, count in counts.items()) / samples / sum(pixels[name] for name in counts)
