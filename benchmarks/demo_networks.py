"""Train the teacher and the student that `basicsr demo` starts from, and put them where the package ships them.

    python -m benchmarks.demo_networks --data ../shared/data [--work DIR] [--bf16]

`--data` holds train_HR/ (training images), Set5/ and Set14/ (HR test images). Everything goes through the product
itself: `basicsr prepare`, `basicsr train -opt` of TRAININGS one after the other, `basicsr benchmark`. What is shipped
is weights alone; the record beside them says how they came about and what they score. Trainings that have ended are not
repeated, one that was interrupted goes on.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from pathlib import Path

from benchmarks.common import REPOSITORY, run_basicsr

OPTIONS = REPOSITORY / 'options'
SHIPPED = REPOSITORY / 'dukd_basicsr' / 'commands' / 'demo'
TRAININGS = {  # by the name of the run
    'EDSR_x4_f48b8_demo': 'train_edsr_demo_teacher_x4.yml',
    'EDSR_x4_f48b8_demo_more': 'train_edsr_demo_teacher_more_x4.yml',
    'EDSR_x4_f16b4_demo': 'train_edsr_demo_student_x4.yml',
}
NETWORKS = {
    'EDSR_x4_f48b8_demo': ('EDSR_x4_f48b8_demo_more', 'params_ema'),
    'EDSR_x4_f16b4_demo': ('EDSR_x4_f16b4_demo', 'params'),
}
"""What is shipped: the training and which weights of its last checkpoint.

The student's are those of its last iteration: an average with a decay of 0.999 has 3 % of its random start after 3,500.
"""
STATE = (
    'Both trainings ended when their iterations were spent, not when they had stopped gaining: neither network is as '
    'good as one of its size can be.'
)
_WANTED = re.compile(r'(Validation|Start training|End of training|Resuming|Model \[|\t # )')


def prepare(data: Path, work: Path) -> None:
    """Training LMDBs and test folders, as the options files name them."""
    photos = str(data / 'train_HR')
    run_basicsr(work, 'prepare', photos, '--name', 'Photos', '--scale', '4', '--min-size', '128', '--codec', 'bmp')
    for name in ('Set5', 'Set14'):
        run_basicsr(work, 'prepare', str(data / name), '--preset', 'benchmark', '--scale', '4')


def train(work: Path, bf16: bool) -> None:
    """Every training that has not ended yet."""
    own = ['--import', str(REPOSITORY / 'benchmarks' / 'bf16_model.py'), '--force_yml', 'model_type=BF16SRModel']
    for name, file in TRAININGS.items():
        if not (work / 'experiments' / name / 'models' / 'net_g_latest.pth').exists():
            run_basicsr(work, 'train', '-opt', str(OPTIONS / file), '--auto_resume', *(own if bf16 else []))


def ship(work: Path, bf16: bool) -> None:
    """The weights and the record: options, machine, times and validation curve of every log, final table."""
    import torch

    import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
    from dukd_basicsr.networks.weights import read_weights

    for name, (run, key) in NETWORKS.items():
        weights = read_weights(work / 'experiments' / run / 'models' / 'net_g_latest.pth', key)
        torch.save({'params': dict(weights)}, SHIPPED / f'{name}.pth')
    files = [str(OPTIONS / file) for run, file in TRAININGS.items() if run.startswith('EDSR_x4_f48b8')]
    student = str(SHIPPED / 'EDSR_x4_f16b4_demo.pth')
    run_basicsr(work, 'benchmark', '-opt', *files, '--weights', student, '-o', 'results/demo_networks')
    table = (work / 'results' / 'demo_networks' / 'benchmark.md').read_text(encoding='utf-8')
    table = table.replace(f'{SHIPPED}{os.sep}', '')
    record = {
        'command': f'python -m benchmarks.demo_networks --data ../shared/data{" --bf16" * bf16}',
        'state': STATE,
        'training images': '248 images of shared/data/train_HR (T91, BSD300 train, Kodak24, McMaster18, RealSR)',
        'machine': f'{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}',
        'shipped': {f'{name}.pth': f'{key} of {run}' for name, (run, key) in NETWORKS.items()},
        'trainings': {name: {'options': file, 'log': _log(work, name)} for name, file in TRAININGS.items()},
    }
    (SHIPPED / 'record.json').write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')
    (SHIPPED / 'record.md').write_text(f'# The networks of `basicsr demo`\n\n{STATE}\n\n{table}', encoding='utf-8')


def _log(work: Path, name: str) -> list[str]:
    """The lines of a training's logs that say when, how fast and how well."""
    logs = sorted((work / 'experiments' / name).glob('train_*.log'))
    lines = [line for log in logs for line in log.read_text(encoding='utf-8').splitlines()]
    return [line.replace('\t', ' ').strip() for line in lines if _WANTED.search(line)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--work', type=Path, default=Path('work'), help='datasets/, experiments/ and results/ go here')
    parser.add_argument('--bf16', action='store_true', help='convolutions in bf16, for a CPU that has it')
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    prepare(args.data.resolve(), args.work)
    train(args.work, args.bf16)
    ship(args.work, args.bf16)


if __name__ == '__main__':
    main()
