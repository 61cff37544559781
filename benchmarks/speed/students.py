"""Sizes and speeds of every network that a shipped options file trains or learns from, teachers included.

    python -m benchmarks.speed.students [--rounds 3] [--json docs/which_student.json]

All with random weights, on which neither depends, and in the form that is deployed (`networks/deploy.py`). Parameters
are counted, multiply-accumulates and memory too (for a 1280x720 output). Times are of one thread of this CPU and an
output of 320x180; the networks of a scale take turns, and what is kept is each one's time over that of EDSR 64x32 in
the same round: ratios stand where seconds would not, on a machine that others use too. `python -m benchmarks.pages`
makes docs/which_student.md of the record.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

# isort: split
import torch
from torch import nn

from benchmarks.common import REPOSITORY, describe_machine, write_json
from dukd_basicsr import options
from dukd_basicsr.networks.build import build
from dukd_basicsr.networks.cost import count_macs, count_parameters, find_lr_size, measure_peak_memory
from dukd_basicsr.networks.deploy import deploy

REFERENCE = 'EDSR 64x32'
COMMAND = 'python -m benchmarks.speed.students --json docs/which_student.json'
_SIZES = {  # by type: what its name says of its size
    'EDSR': '{num_feat}x{num_block}',
    'RCAN': '{num_feat}x{num_group}x{num_block}',
    'SRVGGNetCompact': '{num_feat}x{num_conv}',
    'RRDBNet': '{num_feat}x{num_block}',
    'ECBSR': '{num_channel}x{num_block}',
    'SPAN': '{feature_channels}',
}


def name_network(opt: dict[str, Any]) -> str:
    """A network's type and size, as in sentences."""
    if opt['type'] == 'SwinIR':
        size = f'{opt["embed_dim"]}x{sum(opt["depths"])}'
        return f'SwinIR {size}' + (f' ({opt["upsampler"]})' if opt['upsampler'] != 'pixelshuffle' else '')
    return f'{opt["type"]} {_SIZES.get(opt["type"], "").format(**opt)}'.strip()


def list_networks() -> list[dict[str, Any]]:
    """Every network of the shipped files once: scale, name, options, and the files by what it is in them.

    Those that spandrel reads from a file of weights are left out: what they are is in that file.
    """
    found: dict[tuple[int, str], dict[str, Any]] = {}
    for file in sorted((REPOSITORY / 'options').glob('*.yml')):
        opt = options.load(file)
        for role, key in (('student', 'network_g'), ('teacher', 'network_t')):
            given = opt.get(key) or []
            for network in given if isinstance(given, list) else [given]:
                if network['type'] == 'Spandrel':
                    continue
                place = opt['scale'], name_network(network)
                one = found.setdefault(
                    place, {'scale': place[0], 'name': place[1], 'options': network, 'student': [], 'teacher': []}
                )
                one[role].append(file.stem)
    return sorted(found.values(), key=lambda one: (one['scale'], one['name']))


def measure_cost(net: nn.Module, scale: int) -> dict[str, int | None]:
    """Parameters, multiply-accumulates and bytes."""
    height, width = find_lr_size(scale)
    memory = measure_peak_memory(net, height, width, 3, torch.device('cpu'))
    return {'params': count_parameters(net), 'macs': count_macs(net, height, width), 'memory': memory}


def measure_ratios(nets: dict[str, nn.Module], scale: int, rounds: int) -> dict[str, list[float]]:
    """Each network's time over that of REFERENCE, round by round; the networks take turns."""
    lq = torch.rand(1, 3, 180 // scale // 8 * 8, 320 // scale // 8 * 8)
    seconds: dict[str, list[float]] = {name: [] for name in nets}
    with torch.inference_mode():
        for turn in range(rounds + 1):
            for name, net in nets.items():
                start = time.perf_counter()
                net(lq)
                if turn:  # the first warms up
                    seconds[name].append(time.perf_counter() - start)
    return {
        name: [own / other for own, other in zip(times, seconds[REFERENCE], strict=True)]
        for name, times in seconds.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--json', type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    networks = list_networks()
    for scale in sorted({one['scale'] for one in networks}):
        own = [one for one in networks if one['scale'] == scale]
        nets = {one['name']: deploy(build(one['options']).eval()).requires_grad_(False) for one in own}
        for one in own:
            one |= measure_cost(nets[one['name']], scale)
        ratios = measure_ratios(nets, scale, args.rounds)
        for one in own:
            one['time'] = [round(ratio, 4) for ratio in ratios[one['name']]]
            print(f'x{scale} {one["name"]:<32} {one["params"]:>12,} {one["macs"] / 1e9:>9.1f} G '
                  f'{statistics.median(one["time"]):>8.3f}')  # fmt: skip
    measured = [{key: one[key] for key in ('scale', 'name', 'params', 'macs', 'memory', 'time')} for one in networks]
    record = {'command': COMMAND, 'reference': REFERENCE, 'rounds': args.rounds, 'machine': describe_machine()}
    write_json(args.json, record | {'networks': measured})


if __name__ == '__main__':
    main()
