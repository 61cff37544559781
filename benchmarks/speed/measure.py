"""Times and peak memory of jobs (benchmarks/speed/jobs.py), each in a process of its own, in turns.

Peak memory is a process's: that of the iterations, building and loading left out, above the process's baseline after
importing BasicSR (CPU: resident memory, Linux; CUDA: torch's allocator).
"""

from __future__ import annotations

import gc
import json
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from benchmarks.common import describe_machine, run_module
from benchmarks.speed.jobs import stepper

CUDA_ITERATIONS = 10
"""Iterations that one time on CUDA is the mean of: the host runs ahead of the device, as it does in training."""


def measure(job: dict, seconds: float = 0.0) -> dict:
    """Run one job in this process: `iterations` times, and longer until it has taken `seconds`."""
    import torch

    import dukd_basicsr.plugin  # noqa: F401

    cuda = job['device'] == 'cuda'
    baseline = resident()
    with tempfile.TemporaryDirectory() as folder:
        step = stepper(job, Path(folder))
        gc.collect()
        forget_peak()
        times, done, end = [], 0, time.perf_counter() + seconds
        while done <= job['iterations'] or time.perf_counter() < end:
            start, first = time.perf_counter(), done
            for _ in range(CUDA_ITERATIONS if cuda and done else 1):
                done += 1
                step(done)
            if cuda:
                torch.cuda.synchronize()
            times.append((time.perf_counter() - start) / (done - first))
        waits = count_waits(lambda: step(done + 1)) if cuda else None
    peak = torch.cuda.max_memory_allocated() if cuda else highest_resident() - baseline
    return {'times': times[1:], 'memory': peak, 'waits': waits, **describe_machine(job['device'])}


def count_waits(step: Callable[[], None]) -> int:
    """How often the host waits for the GPU in a step, as torch sees it."""
    import torch

    torch.cuda.set_sync_debug_mode('warn')
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            step()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    return sum('synchroniz' in str(warning.message) for warning in caught)


def resident() -> int:
    """Resident memory of this process in bytes."""
    return int(Path('/proc/self/statm').read_text().split()[1]) * os.sysconf('SC_PAGE_SIZE')


def forget_peak() -> None:
    """Set the kernel's mark of this process's highest resident memory to its present one (man proc, clear_refs)."""
    Path('/proc/self/clear_refs').write_text('5')


def highest_resident() -> int:
    """The highest resident memory since `forget_peak`, in bytes."""
    line = next(line for line in Path('/proc/self/status').read_text().splitlines() if line.startswith('VmHWM'))
    return int(line.split()[1]) * 1024


def in_own_process(job: dict) -> dict:
    done = run_module('benchmarks.speed.measure', json.dumps(job))
    if done.returncode:
        sys.exit(f'{job} failed:\n{done.stderr[-2000:]}')
    return json.loads(done.stdout.splitlines()[-1])


def in_turns(jobs: dict[str, dict], rounds: int) -> dict[str, dict]:
    """All jobs by name, each `rounds` times; times of all rounds pooled, memory at its highest."""
    runs: dict[str, list[dict]] = {name: [] for name in jobs}
    for round_ in range(rounds):
        for name, job in jobs.items():
            runs[name].append(in_own_process(job))
            best = min(runs[name][-1]['times'])
            sys.stderr.write(f'{job["pair"]}: round {round_ + 1}/{rounds}, {name}: {best:.3f} s\n')
    rows = {}
    for name, measured in runs.items():
        times = [seconds for run in measured for seconds in run['times']]
        rows[name] = {'best_s': min(times), 'median_s': statistics.median(times), 'times_s': times,
                      'memory_bytes': max(run['memory'] for run in measured), 'waits': measured[-1]['waits'],
                      'environment': {key: measured[-1][key] for key in ('torch', 'threads', 'device')}}  # fmt: skip
    return rows


if __name__ == '__main__':
    sys.stdout.write(json.dumps(measure(json.loads(sys.argv[1]))) + '\n')
