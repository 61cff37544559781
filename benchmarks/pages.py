"""The pages that are made of records alone: docs/model_zoo.md and docs/which_student.md.

    python -m benchmarks.pages            writes both
    python -m benchmarks.pages --check    writes nothing; exits 1 when one differs

Records: dukd_basicsr/commands/demo/record.json and record.md (benchmarks.demo_networks), docs/study/results.json
(benchmarks.study), docs/which_student.json (benchmarks.speed.students). No number on these pages is written by hand.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import statistics
import sys
from typing import Any

from benchmarks.common import REPOSITORY
from benchmarks.speed.students import list_networks
from dukd_basicsr.errors import format_count

DOCS = REPOSITORY / 'docs'
DEMO = REPOSITORY / 'dukd_basicsr' / 'commands' / 'demo'
STUDY = 'python -m benchmarks.study docs/study/protocol.yml'
ZOO = """\
# Model zoo

Networks that this project trained, each with what it takes to know it again and to make it again. `python -m
benchmarks.pages` writes this page from the records that it names; a network comes onto it by its record.

## Shipped with the package

They lie in [dukd_basicsr/commands/demo](../dukd_basicsr/commands/demo) and are installed with it; `basicsr demo` starts
from them, and every command takes them as `--weights` or `pretrain_network_g`.

{shipped}

Made by `{command}` on {machine}, from {images}. {state}

What they score, as the same command measured it ([record](../dukd_basicsr/commands/demo/record.md)):

{scores}

## Students of the study

{title}. Made and measured by `{study}`; the options of every cell are in its record, and the [study](study/README.md)
says what the methods are and how sure the differences are. These records hold scores, not weights: their files are not
shipped, and have no SHA-256 here.

{students}
"""
WHICH = """\
# Which student?

As small as what runs it needs, and no smaller. Below are the networks that the shipped options files train (and, for
comparison, learn from) in the form that is deployed, by scale and speed. Sizes are counted, times are those of one run;
`python -m benchmarks.pages` writes this page from its record (docs/which_student.json), nothing of it by hand.

1. Find the slowest network that is fast enough. Time is the network's over that of {reference} of the same scale, on
   one thread of a CPU: median and range of {rounds} rounds in which the networks took turns, on a machine that others
   used too (`{command}`).
   Multiply-accumulates (MACs) and memory are for an output of 1280x720; on a GPU MACs tell more than these times.
2. Copy its options file: `basicsr options copy NAME`. Its teacher is named in it; any other of the same scale will do.
3. Train, and look at [what the method is worth](study/README.md) for how long to train it. Then [export](export.md) it,
   where fp16 and int8 halve and quarter its file.

{tables}

## What was measured of their quality

Only of networks that this project trained; how good the others become is for their training to say. PSNR on Y in dB,
from [the demo's record](../dukd_basicsr/commands/demo/record.md) and the [study](study/README.md).

{scores}
"""


def write_zoo() -> str:
    """docs/model_zoo.md."""
    record = json.loads((DEMO / 'record.json').read_text(encoding='utf-8'))
    study = json.loads((DOCS / 'study' / 'results.json').read_text(encoding='utf-8'))
    shipped = [['file', 'bytes', 'which weights', 'trained by', 'SHA-256']]
    for name, what in record['shipped'].items():
        content = (DEMO / name).read_bytes()
        training = record['trainings'][what.split(' of ')[1]]
        shipped.append([f'`{name}`', f'{len(content):,}', what, f'`options/{training["options"]}`',
                        f'`{hashlib.sha256(content).hexdigest()}`'])  # fmt: skip
    return ZOO.format(
        shipped=_tabulate(shipped), command=record['command'], machine=record['machine'], state=record['state'],
        images=record['training images'], scores=_tabulate(read_demo_rows()), title=study['title'], study=STUDY,
        students=_tabulate(list_students(study)),
    )  # fmt: skip


def write_which_student() -> str:
    """docs/which_student.md."""
    record = json.loads((DOCS / 'which_student.json').read_text(encoding='utf-8'))
    scales = sorted({one['scale'] for one in record['networks']})
    tables = [f'## x{scale}\n\n{_tabulate(list_sizes(record["networks"], scale))}' for scale in scales]
    study = json.loads((DOCS / 'study' / 'results.json').read_text(encoding='utf-8'))
    demo = [[cell for cell, kept in zip(row, _keep(read_demo_rows()[0]), strict=True) if kept]
            for row in read_demo_rows()]  # fmt: skip
    return WHICH.format(
        reference=record['reference'], rounds=record['rounds'], command=record['command'], tables='\n\n'.join(tables),
        scores=f'{_tabulate(demo)}\n\n{study["title"]}:\n\n{_tabulate(list_students(study))}',
    )  # fmt: skip


def list_sizes(measured: list[dict[str, Any]], scale: int) -> list[list[str]]:
    """Rows of the networks of a scale, the fastest first; those that have not been measured yet come last."""
    rows = [['network', 'time', 'params', 'MACs', 'memory', 'an options file that trains it', 'teacher in']]
    known = {one['name']: one for one in measured if one['scale'] == scale}
    listed = {one['name']: one for one in list_networks() if one['scale'] == scale}
    for name in sorted(listed, key=lambda name: statistics.median(known[name]['time']) if name in known else math.inf):
        files = sorted(file for file in listed[name]['student'] if file.startswith('train_'))
        best = next((file for file in files if file.startswith('train_dukd_')), files[0] if files else None)
        count = len([file for file in listed[name]['teacher'] if file.startswith(('train_', 'demo_'))])
        teaches = f'{count} file{"s" * (count > 1)}' if count else ''
        rows.append([name, *_show_sizes(known.get(name)), f'`{best}`' if best else '', teaches])
    return rows


def _show_sizes(one: dict[str, Any] | None) -> list[str]:
    if one is None:
        return ['not measured yet', '', '', '']
    time = f'{statistics.median(one["time"]):.3f} ({min(one["time"]):.3f} to {max(one["time"]):.3f})'
    return [time, format_count(one['params']), format_count(one['macs']), f'{format_count(one["memory"])}B']


def list_students(study: dict[str, Any]) -> list[list[str]]:
    """Rows of the study: the references, then each method at each length, where it has run."""
    sets = study['sets']
    rows = [['network', 'iterations', 'params', 'seeds', *(f'{name} PSNR / SSIM' for name in sets)]]
    for name, scores in study['references'].items():
        rows.append([name, '', '', '', *(f'{scores[each]["psnr"]:.3f} / {scores[each]["ssim"]:.4f}' for each in sets)])
    seen = set()
    for comparison in study['comparisons'].values():
        for method, row in comparison['rows'].items():
            if row.get('scores') and (method, row['iterations']) not in seen:
                seen.add((method, row['iterations']))
                cells = [row['scores'][each] for each in sets]
                scores = [f'{cell["psnr"]["mean"]:.3f} / {cell["ssim"]["mean"]:.4f}' for cell in cells]
                counts = [f'{row["iterations"]:,}', f'{row["parameters"]:,}', str(len(row['seeds']))]
                rows.append([study['methods'][method], *counts, *scores])
    return rows


def read_demo_rows() -> list[list[str]]:
    """The table of the demo's record."""
    lines = (DEMO / 'record.md').read_text(encoding='utf-8').splitlines()
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines if line.startswith('|')]
    return [row for row in cells if set(row[0]) != {'-'}]


def _keep(header: list[str]) -> list[bool]:
    return [name == 'network' or 'PSNR' in name for name in header]


def _tabulate(rows: list[list[str]]) -> str:
    header, *rest = rows
    rule = [':---', *('---:' for _ in header[1:])]
    return '\n'.join(f'| {" | ".join(row)} |' for row in (header, rule, *rest))


def write(check: bool = False) -> list[str]:
    """Write both pages where they differ; with `check` only say which do.

    Returns:
        list[str]: Their names.
    """
    pages = {'model_zoo.md': write_zoo(), 'which_student.md': write_which_student()}
    different = [name for name, text in pages.items()
                 if not (DOCS / name).is_file() or (DOCS / name).read_text(encoding='utf-8') != text]  # fmt: skip
    for name in different if not check else ():
        (DOCS / name).write_text(pages[name], encoding='utf-8')
    return different


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--check', action='store_true')
    check = parser.parse_args().check
    different = write(check)
    sys.stdout.write(''.join(f'{name} {"differs" if check else "written"}\n' for name in different))
    return int(check and bool(different))


if __name__ == '__main__':
    sys.exit(main())
