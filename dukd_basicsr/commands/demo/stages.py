"""`basicsr demo`: a real teacher, three students, embedded photographs, one table, one picture an image."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from dukd_basicsr.errors import UserError
from dukd_basicsr.options.shipped import options_folder

TRAIN_PHOTOGRAPHS = (
    'hubble_deep_field.jpg', 'ihc.png', 'motorcycle_left.png', 'motorcycle_right.png', 'retina.jpg', 'rocket.jpg',
)  # fmt: skip
HELD_OUT_PHOTOGRAPHS = ('astronaut.png', 'chelsea.png', 'coffee.png')
RUNS = {'student alone': 'demo_edsr_x4.yml', 'KD': 'demo_kd_edsr_x4.yml', 'DUKD': 'demo_dukd_edsr_x4.yml'}
TEACHER = 'EDSR_x4_f48b8_demo.pth'


def run(root: Path, iterations: int) -> None:
    """Prepare data, train the student alone, with KD and with DUKD, and compare them with their teacher.

    Args:
        root (Path): Where `datasets/`, `experiments/` and `results/` go, as with every command of BasicSR.
        iterations (int): Of each run; the learning rate is halved at one half and at four fifths of them.

    Raises:
        UserError: A run failed; its log is named.
    """
    if iterations < 10:
        raise UserError(f'--iterations: {iterations} is too few to show anything; use at least 10 (default 1200).')
    started = time.monotonic()
    results = root / 'results' / 'demo'
    results.mkdir(parents=True, exist_ok=True)
    _heading('1/5', 'data: photographs of scikit-image, to LMDB')
    _prepare(root)
    for number, (name, file) in enumerate(RUNS.items(), 2):
        _heading(f'{number}/5', f'training: {name}, {iterations} iterations')
        _train(root, file, iterations, results / f'{Path(file).stem}.log')
    _heading('5/5', 'benchmark on the held-out photographs')
    from dukd_basicsr import plugin  # noqa: F401  first: makes basicsr importable
    from dukd_basicsr.evaluation.benchmark.tabulate import tabulate_networks

    tabulate_networks([options_folder() / file for file in RUNS.values()], results, pictures=True)
    sys.stdout.write(f'Done in {(time.monotonic() - started) / 60:.1f} min. Table, JSON, CSV and pictures: {results}\n')


def _prepare(root: Path) -> None:
    """The photographs as training LMDB and test folders, and the teacher where the options files name it."""
    import skimage.data

    from datasets_prep.prepare import prepare_benchmark, prepare_training

    photographs = Path(skimage.data.__file__).parent
    for folder, names in (('train', TRAIN_PHOTOGRAPHS), ('test', HELD_OUT_PHOTOGRAPHS)):
        target = root / 'datasets' / 'demo_photographs' / folder
        target.mkdir(parents=True, exist_ok=True)
        for name in names:
            if not (target / name).exists():
                shutil.copyfile(photographs / name, target / name)
    source = root / 'datasets' / 'demo_photographs'
    prepare_training(source / 'train', root / 'datasets', 'demo', scales=(4,))
    prepare_benchmark(source / 'test', root / 'datasets', 'demo_held_out', scales=(4,))
    weights = root / 'experiments' / 'pretrained_models' / TEACHER
    weights.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(Path(__file__).parent / TEACHER, weights)


def _train(root: Path, file: str, iterations: int, log: Path) -> None:
    """One run of `basicsr train` in a process of its own (BasicSR's logger serves one run a process)."""
    halvings = [iterations // 2, iterations * 4 // 5]
    command = [
        sys.executable, '-m', 'dukd_basicsr', 'train', '-opt', str(options_folder() / file), '--force_yml',
        f'train:total_iter={iterations}', f'train:scheduler:milestones={halvings}', f'val:val_freq={iterations}',
        f'logger:print_freq={max(1, iterations // 12)}', f'logger:save_checkpoint_freq={iterations}',
    ]  # fmt: skip
    with (
        log.open('w', encoding='utf-8') as copy,
        subprocess.Popen(  # noqa: S603
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, encoding='utf-8'
        ) as process,
    ):
        for line in process.stdout or ():
            copy.write(line)
            if ', iter:' in line or line.startswith(('\t # ', 'basicsr train:')) or 'Teacher on' in line:
                sys.stdout.write(line)
                sys.stdout.flush()
    if process.returncode:
        tail = log.read_text(encoding='utf-8').splitlines()[-1:]
        raise UserError(f'{file} failed with exit code {process.returncode} ({" ".join(tail)}); its log is {log}.')


def _heading(number: str, text: str) -> None:
    sys.stdout.write(f'\n[{number}] {text}\n')
    sys.stdout.flush()
