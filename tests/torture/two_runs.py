"""Two runs of one name, started at the same moment again and again: no folder may hold files of both.

    python -m tests.torture.two_runs --tries 20

The runs differ in their seed, which every training state holds. Both are forked children of one process that has
imported everything, and start up to a second apart; in every second try both have --auto_resume. In every third try
the one that holds the folder is killed, so that the next run of that name must take its lock over.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import re
import signal
import tempfile
import time
from pathlib import Path

import torch
import yaml

from tests.torture.kill_resume import cli, generations, make_data, options

MISTAKE = 2


def start(folder: Path, argv: list[str], log: Path) -> int:
    """Run the command in a forked child; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.chdir(folder)
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for number in (1, 2):
            os.dup2(descriptor, number)
        code = cli.main(argv)
    finally:
        os._exit(code)


def find_mixtures(folder: Path, resumed: bool) -> list[str]:
    """What is wrong with a run's folder: states of two seeds among each other, or one that is not complete.

    A run that goes on from a killed one may follow it, once.
    """
    states = folder / 'training_states'
    paths = sorted(states.glob('*.state'), key=lambda path: int(path.stem))
    seeds = [generations.read(path, folder / 'models').state['manual_seed'] for path in paths]
    changes = sum(before != after for before, after in itertools.pairwise(seeds))
    return [f'{folder.name}: states of seeds {seeds}'] if changes > resumed else []


def attempt(number: int, folder: Path, rng: random.Random) -> dict[str, object]:
    """Two runs at once."""
    torch.set_num_threads(1)
    words = ['train', '-opt', 'run.yml', *(['--auto_resume'] if number % 2 else [])]
    logs = [folder / f'{name}.txt' for name in 'ab']
    pids = []
    for seed, log in enumerate(logs, 1):
        pids.append(start(folder, [*words, '--force_yml', f'manual_seed={seed}'], log))
        time.sleep(rng.uniform(0, 1) if number % 4 else 0)
    if number % 3 == 2:
        time.sleep(rng.uniform(0, 1))
        os.kill(pids[0], signal.SIGKILL)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    refused = [log.read_text() for log, code in zip(logs, codes, strict=True) if code == MISTAKE]
    named = all(re.search(r'is being written to by process \d+ on \S+; wait until', text) for text in refused)
    folders = [path for path in (folder / 'experiments').iterdir() if path.is_dir()]
    problems = [problem for each in folders for problem in find_mixtures(each, bool(number % 2))]
    if not set(codes) <= {0, MISTAKE, -signal.SIGKILL} or not named:
        problems.append(f'exit codes {codes}: ' + ' '.join(log.read_text()[-300:] for log in logs))
    return {'codes': codes, 'refused': len(refused), 'problems': problems}


def run(tries: int, seed: int, iterations: int) -> dict[str, object]:
    """Many attempts, each in a folder of its own."""
    rng, results = random.Random(seed), []
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        make_data(root / 'data')
        for number in range(tries):
            folder = root / str(number)
            folder.mkdir()
            opt = options(root / 'data', iterations, 'SRModel')
            opt['datasets']['train']['num_worker_per_gpu'] = 0
            (folder / 'run.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
            results.append(attempt(number, folder, rng))
    problems = [problem for result in results for problem in result['problems']]
    return {'tries': tries, 'refused': sum(result['refused'] for result in results), 'problems': problems,
            'codes': [result['codes'] for result in results]}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--tries', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--iterations', type=int, default=600,
                        help='of a run: for some seconds, since one waits a second for a lock')  # fmt: skip
    args = parser.parse_args()
    result = run(args.tries, args.seed, args.iterations)
    print(json.dumps(result, indent=1))
    return 1 if result['problems'] else 0


if __name__ == '__main__':
    raise SystemExit(main())
