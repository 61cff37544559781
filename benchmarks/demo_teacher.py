"""Train the teacher that `basicsr demo` distils, and put it where the package ships it.

    python -m benchmarks.demo_teacher --data ../shared/data [--work DIR]

`--data` holds train_HR/ (training images), Set5/ and Set14/ (HR test images). Everything goes through the product
itself: `basicsr prepare`, `basicsr train -opt options/train_edsr_demo_teacher_x4.yml`, `basicsr benchmark`. What is
shipped is the EMA weights alone; the record beside them says how they came about and what they score.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
from pathlib import Path

from benchmarks.common import REPOSITORY, run_basicsr

OPTIONS = REPOSITORY / 'options' / 'train_edsr_demo_teacher_x4.yml'
SHIPPED = REPOSITORY / 'dukd_basicsr' / 'commands' / 'demo'
NAME = 'EDSR_x4_f48b8_demo'


def prepare(data: Path, work: Path) -> None:
    run_basicsr(work, 'prepare', str(data / 'train_HR'), '--name', 'Photos', '--scale', '2', '4', '--min-size', '128')
    for name in ('Set5', 'Set14'):
        run_basicsr(work, 'prepare', str(data / name), '--preset', 'benchmark', '--scale', '4')


def ship(work: Path) -> None:
    """The EMA weights and the record: options, machine, times and validation curve of every log, final table."""
    import torch

    import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
    from dukd_basicsr.networks.weights import read_weights

    weights = read_weights(work / 'experiments' / NAME / 'models' / 'net_g_latest.pth', 'params_ema')
    SHIPPED.mkdir(exist_ok=True)
    torch.save({'params': dict(weights)}, SHIPPED / f'{NAME}.pth')
    run_basicsr(work, 'benchmark', '-opt', str(OPTIONS), '-o', 'results/demo_teacher')
    table = (work / 'results' / 'demo_teacher' / 'benchmark.md').read_text(encoding='utf-8')
    logs = [log.read_text(encoding='utf-8') for log in sorted((work / 'experiments' / NAME).glob('train_*.log'))]
    wanted = re.compile(r'(Validation|Start training|End of training|\t # )')
    curve = [line.replace('\t', ' ').strip() for log in logs for line in log.splitlines() if wanted.search(line)]
    record = {
        'command': 'python -m benchmarks.demo_teacher --data ../shared/data',
        'options': OPTIONS.name,
        'training images': '248 images of shared/data/train_HR (T91, BSD300 train, Kodak24, McMaster18, RealSR)',
        'machine': f'{platform.machine()}, {os.cpu_count()} cores, torch {torch.__version__}',
        'log': curve,
    }
    (SHIPPED / 'record.json').write_text(json.dumps(record, indent=2) + '\n', encoding='utf-8')
    (SHIPPED / 'record.md').write_text(f'# {NAME}\n\n{table}', encoding='utf-8')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data', type=Path, required=True)
    parser.add_argument('--work', type=Path, default=Path('work'), help='datasets/, experiments/ and results/ go here')
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    data = args.data.resolve()
    prepare(data, args.work)
    if not (args.work / 'experiments' / NAME / 'models' / 'net_g_latest.pth').exists():
        run_basicsr(args.work, 'train', '-opt', str(OPTIONS), '--auto_resume')
    ship(args.work)


if __name__ == '__main__':
    main()
