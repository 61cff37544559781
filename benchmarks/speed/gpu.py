"""All pairs of the paper on one GPU in under 8 minutes: iterations per second, memory, and how far from the roofline.

    python -m benchmarks.speed.gpu [--peer DIR] [--pairs edsr rcan swinir] [--jobs ...] [--batch 16] [--minutes 8]
        [--json FILE] [--readme README.md]
    python -m benchmarks.speed.gpu --device cpu --small     # toy networks, to try it out where there is no GPU

Jobs, in this order; what the minutes do not allow is left out and said so:
    floor fp32, floor tf32      the bare networks' forwards and backwards (benchmarks/speed/jobs.py)
    peer                        the authors' code, with torch's settings
    ours fp32, ours tf32        DUKDModel's whole iteration
    bf16 teacher, bf16, channels_last, compile     each with all before it
    student, cached             the bare student, and DUKDModel on batches that have their labels, in tf32
    cached bf16, cached compile     with the levers from above

All in one process. Times are medians of the means of 10 iterations, the host never waiting in between, best beside
them; memory is the peak of torch's allocator. 'waits' counts synchronisations that torch sees in one iteration.
`--readme` puts the report between `<!-- gpu -->` and `<!-- /gpu -->` of a page, in the place of what stands there.
Roofline: the multiply-accumulates of the networks (forward; three times that for the student), at the faster of a
measured matrix product and a measured convolution in the precision of each network, over the time that was taken.
"""

from __future__ import annotations

import argparse
import gc
import re
import statistics
import sys
import time
from pathlib import Path

from benchmarks.common import describe_machine, write_json
from benchmarks.speed import jobs
from benchmarks.speed.measure import measure

TF32, TEACHER = {'tf32': True}, {'teacher_opt': {'precision': 'bf16'}}
JOBS = {
    'floor fp32': ('floor', {'tf32': False}),
    'floor tf32': ('floor', TF32),
    'peer': ('peer', {}),
    'ours fp32': ('ours', {'tf32': False}),
    'ours tf32': ('ours', TF32),
    'bf16 teacher': ('ours', TF32 | TEACHER),
    'bf16': ('ours', TF32 | TEACHER | {'amp': 'bf16'}),
    'channels_last': ('ours', TF32 | TEACHER | {'amp': 'bf16', 'channels_last': True}),
    'compile': ('ours', TF32 | TEACHER | {'amp': 'bf16', 'channels_last': True, 'compile': True}),
    'student': ('student', TF32),
    'cached': ('cached', TF32),
    'cached bf16': ('cached', TF32 | {'amp': 'bf16', 'channels_last': True}),
    'cached compile': ('cached', TF32 | {'amp': 'bf16', 'channels_last': True, 'compile': True}),
}
"""Mode of step_time and options of `train` by name."""
SECONDS = 3.0
"""Of measuring a job, at least."""


def peaks(device: str, small: bool) -> dict[str, float]:
    """Multiply-accumulates a second, by precision: the faster of a large matrix product and a large convolution."""
    import torch

    from dukd_basicsr.networks.acceleration import set_tf32

    side, batch = (256, 1) if small else (8192, 32)
    modes = {'fp32': (torch.float32, False), 'tf32': (torch.float32, True), 'bf16': (torch.bfloat16, False)}
    found = {}
    for name, (dtype, tf32) in modes.items():
        set_tf32(tf32)
        a, b = (torch.rand(side, side, device=device, dtype=dtype) for _ in range(2))
        image = torch.rand(batch, 256, 48, 48, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        weight = torch.rand(256, 256, 3, 3, device=device, dtype=dtype).to(memory_format=torch.channels_last)
        rates = [side**3 / best_seconds(lambda a=a, b=b: a @ b, device),
                 batch * 48**2 * 256**2 * 9 / best_seconds(
                     lambda image=image, weight=weight: torch.conv2d(image, weight, padding=1), device)]  # fmt: skip
        found[name] = max(rates)
    return found


def best_seconds(work, device: str, repeats: int = 10) -> float:  # noqa: ANN001
    times = []
    for _ in range(3 if device == 'cpu' else repeats):
        start = time.perf_counter()
        for _ in range(1 if device == 'cpu' else repeats):
            work()
        synchronize(device)
        times.append((time.perf_counter() - start) / (1 if device == 'cpu' else repeats))
    return min(times)


def synchronize(device: str) -> None:
    import torch

    if device == 'cuda':
        torch.cuda.synchronize()


def macs(pair: str, batch: int, patch: int, small: bool) -> dict[str, int]:
    """Multiply-accumulates of an iteration's forwards, for the plain and the zoomed-in patch and the zoomed-out one."""
    from dukd_basicsr.networks.cost import count_macs
    from dukd_basicsr.networks.weights import build_network

    counts = {}
    for key, network in jobs.networks(pair, small).items():
        net = build_network(network).eval()
        sides = [patch, patch, patch // jobs.SCALE]
        counts[key] = batch * sum(count_macs(net, side, side) for side in sides)
    return counts


def ideal_seconds(mode: str, train: dict, counts: dict[str, int], rates: dict[str, float]) -> float:
    """What the iteration takes at the measured peaks."""
    plain = {True: 'tf32', False: 'fp32', None: 'tf32'}[train.get('tf32')]  # torch's convolutions may use TF32
    teacher = rates['bf16' if 'teacher_opt' in train else plain]
    student = rates['bf16' if 'amp' in train else plain]
    asked = 0 if mode in ('student', 'cached') else counts['network_t'] / teacher
    return asked + 3 * counts['network_g'] / student


def measured(job: dict, seconds: float) -> dict:
    """One job in this process; what fails is an entry too."""
    import torch

    torch._dynamo.reset()
    gc.collect()
    if job['device'] == 'cuda':
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    try:
        return measure(job, seconds)
    except Exception as error:  # one job may not fit the device, the others do
        return {'error': f'{type(error).__name__}: {str(error).strip().splitlines()[0][:200]}'}


def one_pair(pair: str, args: argparse.Namespace, rates: dict[str, float], end: float) -> dict:
    patch = jobs.PATCH // 2 if args.small else jobs.PATCH
    counts = macs(pair, args.batch, patch, args.small)
    rows = {}
    for name in args.jobs:
        mode, train = JOBS[name]
        if mode == 'peer' and not args.peer:
            continue
        if time.perf_counter() > end:
            rows[name] = {'error': 'left out: no time'}
            continue
        job = {'mode': mode, 'pair': pair, 'device': args.device, 'batch': args.batch, 'patch': patch, 'train': train,
               'thin': args.small, 'peer': args.peer, 'iterations': 2}  # fmt: skip
        result = measured(job, 0 if args.small else SECONDS)
        if 'error' not in result:
            best, median = min(result['times']), statistics.median(result['times'])
            result = {'iterations_per_s': 1 / median, 'best_s': best, 'median_s': median, 'waits': result['waits'],
                      'memory_bytes': result['memory'],
                      'roofline': ideal_seconds(mode, train, counts, rates) / median}  # fmt: skip
        rows[name] = result
        took = result.get('error') or f'{result["median_s"] * 1000:.1f} ms'
        sys.stderr.write(f'{pair}, {name}: {took}\n')
    return {'pair': jobs.PAIRS[pair][0], 'batch': args.batch, 'patch': patch, 'macs': counts, 'rows': rows}


def environment(device: str) -> dict:
    import torch

    found = describe_machine(device)
    if device == 'cuda':
        properties = torch.cuda.get_device_properties(0)
        found |= {'cuda': torch.version.cuda, 'cudnn': torch.backends.cudnn.version(),
                  'memory_bytes': properties.total_memory}  # fmt: skip
    return found


def report(result: dict) -> str:
    rates = ', '.join(f'{name} {2 * rate / 1e12:.2f}' for name, rate in result['peaks'].items())
    place = result['environment']
    lines = [f'{place["device"]}, torch {place["torch"]}; measured peaks in TFLOP/s: {rates}']
    for pair in result['pairs']:
        lines += ['', f'{pair["pair"]}, batch {pair["batch"]} of {pair["patch"]}x{pair["patch"]}: '
                  f'{pair["macs"]["network_t"] / 1e12:.3f} T multiply-accumulates of the teacher, '
                  f'3 x {pair["macs"]["network_g"] / 1e12:.3f} T of the student', '',
                  '| | iterations/s | median ms | best ms | peak GiB | of the roofline | waits |',
                  '|---|---|---|---|---|---|---|']  # fmt: skip
        for name, row in pair['rows'].items():
            if 'error' in row:
                lines.append(f'| {name} | {row["error"]} | | | | | |')
                continue
            lines.append(f'| {name} | {row["iterations_per_s"]:.2f} | {row["median_s"] * 1000:.1f} '
                         f'| {row["best_s"] * 1000:.1f} | {row["memory_bytes"] / 2**30:.2f} | {row["roofline"]:.2f} '
                         f'| {"" if row["waits"] is None else row["waits"]} |')  # fmt: skip
    return '\n'.join(lines)


def fill(page: Path, text: str) -> None:
    """Put a report between the marks of a page.

    Raises:
        ValueError: The page has not each mark once, one after the other.
    """
    parts = re.split('(<!-- /?gpu -->)', page.read_text(encoding='utf-8'))
    if parts[1::2] != ['<!-- gpu -->', '<!-- /gpu -->']:
        raise ValueError(f'{page} has not <!-- gpu --> and <!-- /gpu --> once.')
    parts[2] = f'\n{text}\n'
    page.write_text(''.join(parts), encoding='utf-8')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pairs', nargs='+', choices=jobs.PAIRS, default=['edsr', 'rcan', 'swinir'])
    parser.add_argument('--jobs', nargs='+', choices=JOBS, default=list(JOBS))
    parser.add_argument('--batch', type=int, default=16, help="the paper's")
    parser.add_argument('--minutes', type=float, default=7.5, help='no job is started later')
    parser.add_argument('--device', choices=['cuda', 'cpu'], default='cuda')
    parser.add_argument('--small', action='store_true', help='toy networks and patches')
    parser.add_argument('--peer', help='a checkout of yun224/DUKD')
    parser.add_argument('--json', type=Path)
    parser.add_argument('--readme', type=Path, help='a page whose part between the marks becomes the report')
    args = parser.parse_args()
    end = time.perf_counter() + 60 * args.minutes
    import dukd_basicsr.plugin  # noqa: F401

    # isort: split
    import torch

    if args.device == 'cuda' and not torch.cuda.is_available():
        sys.exit('There is no CUDA device; to try this out without one: --device cpu --small --batch 2')
    rates = peaks(args.device, args.small)
    # Each pair has its share of the minutes, so that none is left out as a whole.
    pairs = []
    for number, pair in enumerate(args.pairs):
        now = time.perf_counter()
        pairs.append(one_pair(pair, args, rates, now + (end - now) / (len(args.pairs) - number)))
    result = {'environment': environment(args.device), 'peaks': rates, 'pairs': pairs}
    print(report(result))
    write_json(args.json, result)
    if args.readme:
        fill(args.readme, report(result))


if __name__ == '__main__':
    main()
