"""What every DUKD options file needs: `basicsr train --check` at full size, one process a file.

    python benchmarks/check_options.py [FILE ...] [--json FILE]

Without FILE: the nine DUKD files of the paper. Each process builds the real teacher and student (with random weights
where the published ones are not in experiments/pretrained_models) and runs one iteration with batch 1 and the real LR
patch of 48x48. Peak memory is that of the process; batch memory is the estimate for one GPU with the real batch.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
CHILD = """
import json, sys
from dataclasses import asdict
from pathlib import Path
from dukd_basicsr import dry_run, options
file = Path(sys.argv[1])
opt = options.load(file)
options.check(opt, file, is_train=True)
print(json.dumps(asdict(dry_run.measure(opt))))
"""
HEAD = ['options file', 'student', 'M', 'G MACs', 'teacher', 'M', 'G MACs', 's / iteration', 'peak GiB', 'batch GiB']


def measured(file: Path) -> dict:
    """The content of `dry_run.DryRun`, from a process of its own."""
    environment = os.environ | {'PYTHONPATH': str(REPOSITORY)}
    done = subprocess.run([sys.executable, '-c', CHILD, str(file)], env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f'{file}: {done.stderr.strip().splitlines()[-1]}')
    return json.loads(done.stdout.splitlines()[-1])


def row(file: Path, result: dict) -> list[str]:
    teacher = result['teachers'][0] if result['teachers'] else None
    networks = [[cost['network'], f'{cost["parameters"] / 1e6:.2f}', f'{cost["macs"] / 1e9:.1f}'] if cost
                else ['-'] * 3 for cost in (result['student'], teacher)]  # fmt: skip
    peak = result['peak_memory']
    return [file.name, *networks[0], *networks[1], f'{result["seconds"]:.1f}',
            '-' if peak is None else f'{peak / 2**30:.2f}', f'{result["batch_memory"] / 2**30:.1f}']  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description='One iteration of every DUKD options file at full size.')
    parser.add_argument('file', type=Path, nargs='*')
    parser.add_argument('--json', type=Path, help='write the results there too')
    args = parser.parse_args()
    names = [f'train_dukd_{arch}_x{scale}.yml' for arch in ('edsr', 'rcan', 'swinir') for scale in (2, 3, 4)]
    files = args.file or [REPOSITORY / 'options' / name for name in names]
    print('| ' + ' | '.join(HEAD) + ' |\n|' + '---|' * len(HEAD), flush=True)
    results = {}
    for file in files:
        results[file.name] = result = measured(file)
        print('| ' + ' | '.join(row(file, result)) + ' |', flush=True)
    if args.json:
        args.json.write_text(json.dumps(results, indent=1) + '\n', encoding='utf-8')


if __name__ == '__main__':
    main()
