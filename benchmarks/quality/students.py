"""Students as they are trained and as they are deployed: parameters, graph, milliseconds, and the PSNR of both.

    python -m benchmarks.quality.students [--data ../shared/data] [--iterations 300] [--rounds 9] [--only NAME ...]
        [--json FILE]

--data holds Set5/, Set14/ and train_HR/ with HR images, and weights/. The networks are those of
options/train_dukd_edsr_to_*_x4.yml, and EDSR 24x4 x2; those without weights in --data are trained here for
--iterations, so that they make pictures, though not good ones: the PSNR is there to be the same before and after.
'Before' is the graph of the network as it was trained. Times are the best of --rounds on one image of 64x64, one
thread, all four in turns; 'open' is the time onnxruntime takes to read the file and be ready, the best of three.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

# isort: split
import torch
import yaml
from torch import nn

from benchmarks.common import REPOSITORY, describe_machine, write_json
from benchmarks.quality import export, int8
from dukd_basicsr.networks.build import load_network
from dukd_basicsr.networks.cost import count_parameters
from dukd_basicsr.networks.deploy import deploy
from dukd_basicsr.networks.onnx.graph import INPUT, to_onnx
from dukd_basicsr.networks.onnx.session import open_session
from dukd_basicsr.networks.padding import super_resolve

STUDENTS = ('edsr', 'compact', 'ecbsr', 'span')
COMPACT = export.NETWORKS['SRVGGNetCompact 64x16, x4']
SIDE = 64


def read_network(name: str) -> dict[str, Any]:
    """network_g of the shipped file."""
    if name == 'edsr':
        return dict(export.NETWORKS['EDSR 24x4, x2'][0])
    file = REPOSITORY / 'options' / f'train_dukd_edsr_to_{name}_x4.yml'
    return yaml.safe_load(file.read_text())['network_g']


def make(name: str, args: argparse.Namespace) -> nn.Module:
    opt = read_network(name)
    if name == 'compact':
        return load_network(opt, str(args.data / 'weights' / COMPACT[1]))
    return int8.trained(opt, args.data, args.iterations)


def best(runs: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Milliseconds of each, the best of all rounds, in turns, after one round that is not timed."""
    found = [float('inf')] * len(runs)
    for turn in range(rounds + 1):
        for index, run in enumerate(runs):
            start = time.perf_counter()
            run()
            if turn:
                found[index] = min(found[index], 1000 * (time.perf_counter() - start))
    return found


def measure(name: str, args: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """A row: everything as a pair of before and after."""
    opt = read_network(name)
    scale = opt.get('upscale', opt.get('scale'))
    trained = make(name, args).eval().requires_grad_(False)
    nets = [trained, deploy(trained)]
    graphs = [to_onnx(net, scale, 3) for net in nets]
    files = [folder / 'before.onnx', folder / 'after.onnx']
    for file, graph in zip(files, graphs, strict=True):
        file.write_bytes(graph.SerializeToString())
    sessions, lq = [open_session(file) for file in files], torch.rand(1, 3, SIDE, SIDE)
    asks = [lambda session=session: session.run(None, {INPUT: lq.numpy()}) for session in sessions]
    asks += [lambda net=net: super_resolve(net, lq) for net in nets]
    ms = best(asks, args.rounds)
    answers = [ask() for ask in asks[2:]]
    return {
        'network': f'{opt["type"]} x{scale}',
        'difference': float((answers[0] - answers[1]).abs().max()),
        'params': [count_parameters(net) for net in nets],
        'nodes': [len(graph.graph.node) for graph in graphs],
        'bytes': [file.stat().st_size for file in files],
        'open_ms': best([lambda file=file: open_session(file) for file in files], 3),
        'onnxruntime_ms': ms[:2],
        'torch_ms': ms[2:],
        'psnr': {test: int8.psnr('', files, int8.pairs(args.data, test, scale, None), scale) for test in int8.SETS},
    }


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    heads = ['network', 'parameters', 'nodes', 'KB', 'open ms', 'onnxruntime ms', 'torch ms', *int8.SETS, 'difference']
    lines = [f'| {" | ".join(heads)} |', '|---|' + '---:|' * (len(heads) - 1)]
    for row in rows:
        cells = [row['network'], *(_pair(row[key], ',d') for key in ('params', 'nodes'))]
        cells.append(_pair([size / 1000 for size in row['bytes']], ',.0f'))
        cells += [_pair(row[key], '.1f') for key in ('open_ms', 'onnxruntime_ms', 'torch_ms')]
        cells += [_pair(row['psnr'][test], '.3f') for test in int8.SETS]
        cells.append(f'{row["difference"]:.1e}')
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines) + '\n'


def _pair(values: Sequence[float], form: str) -> str:
    return ' / '.join(f'{value:{form}}' for value in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, default=REPOSITORY.parent / 'shared' / 'data')
    parser.add_argument('--iterations', type=int, default=300)
    parser.add_argument('--rounds', type=int, default=9)
    parser.add_argument('--only', nargs='+', choices=STUDENTS, default=list(STUDENTS))
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for name in args.only:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(name, args, Path(folder)))
        print(markdown(rows[-1:]).splitlines()[-1], flush=True)
        write_json(args.json, {'machine': describe_machine(), 'iterations': args.iterations, 'rows': rows})
    print(f'\n{markdown(rows)}')


if __name__ == '__main__':
    main()
