"""A tiny run killed at random moments and resumed each time, compared bit for bit with one that was left alone.

    python -m tests.torture.kill_resume --kills 50 --json kill_resume.json

Every attempt is a forked child of one process that has imported everything; the child tells by a shared byte whether it
starts, steps, saves or validates, and the parent kills it (with its loader workers) a random moment after it has
entered one of these. The child's disk is slow: a checkpoint is written in four parts, and before each of them, each
flush and each move there is time to be killed. One attempt in five gets SIGTERM instead and must say that it can be
resumed. The number of loader workers changes from attempt to attempt. With --keep N old generations are pruned, which a
kill may interrupt.
"""

from __future__ import annotations

import argparse
import io
import json
import mmap
import os
import platform
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

os.environ['OMP_NUM_THREADS'] = '1'
import dukd_basicsr.plugin  # noqa: F401

# isort: split
import cv2
import torch
import yaml
from basicsr.models.sr_model import SRModel
from skimage import data

from datasets_prep import prepare
from dukd_basicsr import cli
from dukd_basicsr.models.distill_model import DistillModel
from dukd_basicsr.networks.weights import build_network
from dukd_basicsr.training import checkpoints as generations
from dukd_basicsr.training import pipeline  # noqa: F401  imported once, before the forks

PHASES = ('start', 'step', 'save', 'validation')
RESUMABLE = 75
SLOW = 0.002
"""Seconds that each part of a save takes longer, so that many kills come in the middle of one."""
L1 = {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}
STUDENT = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1, 'upscale': 2}
TEACHER = {**STUDENT, 'num_feat': 8, 'num_block': 2}


def make_data(folder: Path) -> None:
    """Images, LMDBs and a teacher."""
    for name in ('train', 'val'):
        (folder / name).mkdir(parents=True)
    for name in ('astronaut', 'chelsea', 'coffee'):
        cv2.imwrite(str(folder / 'train' / f'{name}.png'), getattr(data, name)()[:96, :96, ::-1])
    for number in range(2):
        image = data.rocket()[100 + 40 * number : 132 + 40 * number, 200:240, ::-1]
        cv2.imwrite(str(folder / 'val' / f'{number}.png'), image)
    prepare.prepare_training(folder / 'train', folder / 'datasets', 'T', [2], 48, 48, 48, 1)
    prepare.prepare_benchmark(folder / 'val', folder / 'datasets', 'V', [2], 1)
    torch.manual_seed(0)
    torch.save({'params': build_network(TEACHER).state_dict()}, folder / 'teacher.pth')


def options(folder: Path, iterations: int, model: str) -> dict[str, Any]:
    """A run that saves every second iteration, validates every third, and begins a new epoch every other."""
    train, val = folder / 'datasets' / 'T', folder / 'datasets' / 'V'
    losses = {'SRModel': {'pixel_opt': L1}, 'DistillModel': {'pixel_opt': L1, 'kd_opt': L1},
              'DUKDModel': {'pixel_opt': L1, 'kd_opt': L1, 'dukd_opt': L1}}[model]  # fmt: skip
    opt = {
        'name': 'run', 'model_type': model, 'scale': 2, 'num_gpu': 0, 'manual_seed': 3,
        'datasets': {
            'train': {'name': 'T', 'type': 'PairedImageDataset', 'dataroot_gt': str(train / 'T_HR_sub.lmdb'),
                      'dataroot_lq': str(train / 'T_LR_bicubic_X2_sub.lmdb'), 'io_backend': {'type': 'lmdb'},
                      'gt_size': 16, 'use_hflip': True, 'use_rot': True, 'num_worker_per_gpu': 2,
                      'batch_size_per_gpu': 3},
            'val': {'name': 'V', 'type': 'PairedImageDataset', 'dataroot_gt': str(val / 'GTmod2'),
                    'dataroot_lq': str(val / 'LRbicx2'), 'io_backend': {'type': 'disk'}},
        },
        'network_g': STUDENT, 'path': {'resume_state': None},
        'train': {'ema_decay': 0.9, 'optim_g': {'type': 'Adam', 'lr': 1e-3},
                  'scheduler': {'type': 'MultiStepLR', 'milestones': [iterations // 2], 'gamma': 0.5},
                  'total_iter': iterations, **losses},
        'val': {'val_freq': 3, 'save_img': True,
                'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True}}},
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 2, 'use_tb_logger': False},
    }  # fmt: skip
    if model != 'SRModel':
        opt |= {'network_t': TEACHER}
        opt['path'] |= {'pretrain_network_t': str(folder / 'teacher.pth')}
    return opt


class Child:
    """One attempt in a process group of its own."""

    def __init__(self, folder: Path, argv: list[str], log: Path) -> None:
        self.shared = mmap.mmap(-1, 2 * len(PHASES))
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os._exit(self._run(folder, argv, log))

    def _run(self, folder: Path, argv: list[str], log: Path) -> int:
        os.setsid()
        os.chdir(folder)
        file = log.open('w')
        for number in (1, 2):
            os.dup2(file.fileno(), number)
        self._enter(0)
        self._announce(DistillModel, 'optimize_parameters', 1)
        self._announce(SRModel, 'optimize_parameters', 1)
        self._announce(os, 'fsync', 2, SLOW)
        self._announce(os, 'replace', 2, SLOW)
        Path.open = lambda path, *args, **kwargs: self._slow_open(path, *args, **kwargs)
        self._announce(SRModel, 'nondist_validation', 3)
        try:
            return cli.main(argv)
        except BaseException:
            traceback.print_exc()  # and not on into the parent's code
            return 70
        finally:
            sys.stdout.flush()
            sys.stderr.flush()

    def _slow_open(self, path: Path, mode: str = 'r', *args: Any, stock: Any = Path.open, **kwargs: Any) -> Any:
        if mode != 'wb':
            return stock(path, mode, *args, **kwargs)
        child = self

        class SlowFile(io.FileIO):
            def write(self, data: memoryview) -> int:
                quarter = len(data) // 4 + 1
                for start in range(0, len(data), quarter):
                    child._enter(2)
                    time.sleep(SLOW)
                    super().write(data[start : start + quarter])
                return len(data)

        return SlowFile(str(path), 'w')

    def _announce(self, owner: Any, name: str, phase: int, pause: float = 0) -> None:
        function = getattr(owner, name)

        def announced(*args: Any, **kwargs: Any) -> Any:
            self._enter(phase)
            time.sleep(pause)
            return function(*args, **kwargs)

        setattr(owner, name, announced)

    def _enter(self, phase: int) -> None:
        self.shared[phase] = (self.shared[phase] + 1) % 256

    def ended(self) -> int | None:
        """The exit code, once there is one."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return None if pid == 0 else os.waitstatus_to_exitcode(status)

    def signal_in(self, phase: int, times: int, delay: float, number: int) -> int:
        """Wait for the `times`-th entry of a phase and `delay` seconds, send the signal, and return the exit code."""
        while self.shared[phase] < times:
            code = self.ended()
            if code is not None:
                return code
            time.sleep(0.0001)
        time.sleep(delay)
        if number == signal.SIGKILL:
            os.killpg(self.pid, number)
        else:
            os.kill(self.pid, number)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def differences(a: Any, b: Any, path: str = '') -> list[str]:
    """Where two saved contents differ in a single bit."""
    if isinstance(a, torch.Tensor):
        alike = isinstance(b, torch.Tensor) and (a.dtype, a.shape) == (b.dtype, b.shape)
        return [] if alike and a.numpy().tobytes() == b.numpy().tobytes() else [path]
    if isinstance(a, dict):
        both = a.keys() & b.keys()
        found = [f'{path}.{key}' for key in a.keys() ^ b.keys()]
        return found + [each for key in both for each in differences(a[key], b[key], f'{path}.{key}')]
    if isinstance(a, (list, tuple)):
        found = [] if len(a) == len(b) else [path]
        pairs = enumerate(zip(a, b, strict=False))
        return found + [each for n, (x, y) in pairs for each in differences(x, y, f'{path}.{n}')]
    return [] if repr(a) == repr(b) else [path]


def losses(log: Path) -> list[tuple[int, str]]:
    """The logged iterations of an attempt: learning rate and all loss terms, as printed."""
    lines = re.findall(r'iter: +(\d+), lr:\((\S+)\)\].*\] (l_.*)', log.read_text())
    return [(int(iteration), f'{rate} {terms.strip()}') for iteration, rate, terms in lines]


class Torture:
    """Kills, resumes and compares until there were enough kills."""

    def __init__(
        self, folder: Path, iterations: int, model: str, workers: list[int], seed: int, keep: int | None
    ) -> None:  # fmt: skip
        self.folder, self.iterations, self.workers, self.keep = folder, iterations, workers, keep
        self.random = random.Random(seed)
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        make_data(folder)
        opt = options(folder, iterations, model)
        (folder / 'run.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')
        self.reference = self._new('reference')
        code = Child(self.reference, self._argv(workers[0]), self.reference / '0.log').signal_in(0, 255, 0, 0)
        if code != 0:
            raise SystemExit((self.reference / '0.log').read_text()[-2000:])
        self.expected_losses = dict(losses(self.reference / '0.log'))
        assert sorted(self.expected_losses) == list(range(1, iterations + 1))
        opt['train']['keep_checkpoints'] = keep
        (folder / 'run.yml').write_text(yaml.safe_dump(opt), encoding='utf-8')

    def _new(self, name: str) -> Path:
        (self.folder / name).mkdir()
        return self.folder / name

    def _argv(self, workers: int) -> list[str]:
        override = f'datasets:train:num_worker_per_gpu={workers}'
        return ['train', '-opt', str(self.folder / 'run.yml'), '--auto_resume', '--force_yml', override]

    def run(self, kills: int) -> None:
        while self.counts['kills'] < kills:
            self.counts['runs'] += 1
            folder = self._new(f'run{self.counts["runs"]}')
            self.there: set[int] = set()
            attempt = 0
            while self._attempt(folder, attempt, self.counts['kills'] < kills):
                attempt += 1
            self._compare(folder)
            shutil.rmtree(folder)

    def _attempt(self, folder: Path, attempt: int, kill: bool) -> bool:
        """Whether the run is not over yet."""
        log = folder / f'{attempt}.log'
        child = Child(folder, self._argv(self.random.choice(self.workers)), log)
        phase = self.random.choices(range(len(PHASES)), [1, 3, 4, 2])[0] if kill else 0
        number = signal.SIGTERM if self.random.random() < 0.2 else signal.SIGKILL
        times = self.random.randint(1, (1, 6, 90, 6)[phase]) if kill else 255
        delay = self.random.random() * (0.3, 0.03, SLOW, 0.02)[phase]
        code = child.signal_in(phase, times, delay, number)
        self.counts['attempts'] += 1
        self._check(folder, log, code)
        if code == 0:
            return False
        if code == -signal.SIGKILL:
            self.counts['kills'] += 1
            self.counts[f'kills in {PHASES[phase]}'] += 1
        elif code == RESUMABLE:
            self.counts['stopped by SIGTERM'] += 1
        elif code == -signal.SIGTERM:  # before the loop had begun, where the signal has its usual effect
            self.counts['ended by SIGTERM at the start'] += 1
        else:
            self.wrong.append(f'{log}: exit code {code}: {log.read_text()[-500:]}')
            return False
        return True

    def _check(self, folder: Path, log: Path, code: int) -> None:
        """After every attempt: what is there is complete and equal to the reference's, and nothing was moved."""
        text = log.read_text()
        if 'Traceback' in text and code != -signal.SIGKILL:  # a worker that outlives its killed parent may say so
            self.wrong.append(f'{log}: a traceback')
        self.counts['passed over'] += text.count('passed over')
        for iteration, line in losses(log):
            if self.expected_losses[iteration] != line:
                self.wrong.append(f'{log}: iteration {iteration} logged {line}')
        experiments = folder / 'experiments'
        moved = {path.name for path in experiments.glob('*')} - {'run', '.run.lock'}  # a kill leaves its lock
        if moved:
            self.wrong.append(f'{log}: archived')
        states, models = experiments / 'run' / 'training_states', experiments / 'run' / 'models'
        if not states.exists():
            return
        found, passed = generations.find_newest(states, models)
        there = set(generations.list_iterations(states))
        if self.there - there and self.keep is None:
            self.wrong.append(f'{log}: generations {self.there - there} are gone')
        self.there = there
        self.counts['corrupted generations'] += len(passed)
        self.counts['half-written files left'] += len(list(states.glob('*.tmp'))) + len(list(models.glob('*.tmp')))
        if found is not None:
            self.counts['generations checked'] += 1
            self._compare_generation(folder, found.state['iter'])

    def _compare_generation(self, folder: Path, iteration: int) -> None:
        for name in (f'models/net_g_{iteration}.pth', f'training_states/{iteration}.state'):
            files = [each / 'experiments' / 'run' / name for each in (folder, self.reference)]
            if not files[1].exists():
                continue  # saved by a signal at an iteration at which no checkpoint is due
            ours, theirs = (torch.load(file, weights_only=True) for file in files)
            ours.pop(generations.FILES, None), theirs.pop(generations.FILES, None)  # equal texts, pickled in two ways
            self.wrong += [f'{folder.name}/{name}{where}' for where in differences(ours, theirs)]

    def _compare(self, folder: Path) -> None:
        self._compare_generation(folder, self.iterations)
        latest = [torch.load(each / 'experiments/run/models/net_g_latest.pth', weights_only=True)
                  for each in (folder, self.reference)]  # fmt: skip
        self.wrong += [f'{folder.name}/net_g_latest.pth{where}' for where in differences(*latest)]
        if self.keep is not None and len(self.there) > self.keep + 1:
            self.wrong.append(f'{folder.name}: {self.there} are more than the last {self.keep} and the best')
        logged = {iteration for log in folder.glob('*.log') for iteration, _ in losses(log)}
        self.wrong += [f'{folder.name}: iteration {n} was never logged' for n in self.expected_losses.keys() - logged]


def torture(
    kills: int, iterations: int, model: str, workers: list[int], seed: int, keep: int | None
) -> dict[str, Any]:  # fmt: skip
    """Do it all in a folder of its own; the counts, and every difference that was found."""
    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    folder = Path(tempfile.mkdtemp(prefix='kill_resume_'))
    try:
        work = Torture(folder, iterations, model, workers, seed, keep)
        work.run(kills)
    finally:
        shutil.rmtree(folder)
    return {**work.counts, 'differences': len(work.wrong), 'found': work.wrong[:20]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--iterations', type=int, default=60, help='of the run, default 60')
    parser.add_argument('--model', default='DUKDModel', choices=['SRModel', 'DistillModel', 'DUKDModel'])
    parser.add_argument('--workers', type=int, nargs='+', default=[2, 0, 1], help='chosen anew for each attempt')
    parser.add_argument('--keep', type=int, metavar='N', help='train.keep_checkpoints, default: all')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    started = time.time()
    result = torture(args.kills, args.iterations, args.model, args.workers, args.seed, args.keep)
    result['seconds'] = round(time.time() - started, 1)
    environment = {'python': platform.python_version(), 'torch': torch.__version__, 'machine': platform.platform(),
                   'model': args.model, 'iterations': args.iterations, 'seed': args.seed,
                   'workers': args.workers, 'keep_checkpoints': args.keep}  # fmt: skip
    print('| what | number |\n|---|---:|')
    for name, value in result.items():
        print(f'| {name} | {value} |')
    if args.json:
        args.json.write_text(json.dumps({'environment': environment, 'result': result}, indent=1) + '\n')
    sys.exit(1 if result['differences'] or result.get('corrupted generations') else 0)


if __name__ == '__main__':
    main()
