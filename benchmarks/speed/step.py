"""Time and peak memory of one DUKD iteration, against its floor and against the authors' code.

    python -m benchmarks.speed.step [--pairs small edsr rcan swinir] [--modes floor ours student cached] [--rounds 3]
        [--peer DIR] [--device cuda] [--train '{"amp": "bf16"}'] [--json FILE]

What the modes do is said in benchmarks/speed/jobs.py. Times are the best of all iterations of a mode, medians beside
them. --train sets options of `train` for ours and cached (benchmarks/speed/levers.py compares them).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from benchmarks.common import write_json
from benchmarks.speed import jobs, measure

FLOORS = {'ours': 'floor', 'peer': 'floor', 'cached': 'student'}


def compare(pair: str, modes: list[str], args: argparse.Namespace) -> dict:
    """All modes of one pair in turns."""
    text, batch = jobs.PAIRS[pair]
    common = {'pair': pair, 'device': args.device, 'batch': args.batch or batch, 'iterations': args.iterations,
              'thin': args.thin, 'patch': jobs.PATCH // 2 if args.thin else jobs.PATCH, 'peer': args.peer}  # fmt: skip
    chosen = {mode: args.train if mode in ('ours', 'cached') else {} for mode in modes}
    rows = measure.in_turns({mode: {**common, 'mode': mode, 'train': chosen[mode]} for mode in modes}, args.rounds)
    for mode, row in rows.items():
        floor = rows.get(FLOORS.get(mode, mode))
        if floor is not None:
            row['time_to_floor'] = row['best_s'] / floor['best_s']
            row['median_to_floor'] = row['median_s'] / floor['median_s']
    shown = {'pair': f'{text}{", thinned" if args.thin else ""}', 'batch': common['batch'], 'patch': common['patch']}
    return {**shown, 'train': args.train, 'rows': rows, **next(iter(rows.values()))['environment']}


def report(result: dict) -> str:
    options = f', train: {json.dumps(result["train"])}' if result['train'] else ''
    lines = [f'{result["pair"]}, batch {result["batch"]} of {result["patch"]}x{result["patch"]}{options}, torch '
             f'{result["torch"]}, {result["threads"]} threads, {result["device"]}', '',
             '| | best s | median s | to floor (best) | to floor (median) | peak MiB |',
             '|---|---|---|---|---|---|']  # fmt: skip
    for mode, row in result['rows'].items():
        floor = [f'{row[key]:.3f}' if key in row else '' for key in ('time_to_floor', 'median_to_floor')]
        lines.append(
            f'| {mode} | {row["best_s"]:.3f} | {row["median_s"]:.3f} | {floor[0]} | {floor[1]} '
            f'| {row["memory_bytes"] / 2**20:.0f} |'
        )
    peer = result['rows'].get('peer')
    for mode in ('ours', 'cached') if peer else ():
        row = result['rows'].get(mode)
        if row is not None:
            lines += ['', f'{mode} is {peer["best_s"] / row["best_s"]:.2f} times as fast as peer and takes '
                      f'{row["memory_bytes"] / peer["memory_bytes"]:.2f} of its memory']  # fmt: skip
    return '\n'.join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--pairs', nargs='+', choices=jobs.PAIRS, default=list(jobs.PAIRS))
    parser.add_argument('--modes', nargs='+', choices=['floor', 'ours', 'student', 'cached'], default=['floor', 'ours'])
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--iterations', type=int, default=3, help='timed iterations a round, after one warm-up')
    parser.add_argument('--batch', type=int, help='default: what two CPU cores do in seconds')
    parser.add_argument('--train', type=json.loads, default={}, help='options of train as JSON, for ours and cached')
    parser.add_argument('--thin', action='store_true', help='toy networks, to try this out')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--peer', help='a checkout of yun224/DUKD')
    parser.add_argument('--json', type=Path)
    args = parser.parse_args()
    modes = args.modes + (['peer'] if args.peer else [])
    results = [compare(pair, modes, args) for pair in args.pairs]
    print('\n\n'.join(report(result) for result in results))
    write_json(args.json, results)


if __name__ == '__main__':
    main()
