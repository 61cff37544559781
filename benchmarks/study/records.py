"""Finished cells as small files of the repository, so that a study goes on in another session or on another machine.

A record, `docs/study/cells/<cell>.json`, has what the report needs of a cell: its options, PSNR and SSIM of every image
of every set, PSNR to the teacher's pictures, the validations while it trained, seconds, and versions. A cell with a
record is done; its checkpoint is not needed any more. `references.json` beside them has the teacher's and bicubic's
numbers, the names of the images, and what data all of it is about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.cells import Cell, differences
from dukd_basicsr.data.atomic import write_file
from dukd_basicsr.errors import UserError

REFERENCES = 'references.json'
METRICS = ('psnr', 'ssim', 'to_teacher')
"""Of an image: against ground truth, and PSNR to the teacher's picture of it."""
DECIMALS = {'psnr': 4, 'ssim': 6, 'to_teacher': 4}
Record = dict[str, Any]
Scores = Mapping[str, Mapping[str, Sequence[float]]]
"""Set to metric to a number an image, in the order of the images' names."""


def file_of(folder: Path, name: str) -> Path:
    return folder / f'{name}.json'


def write(folder: Path, name: str, record: Mapping[str, Any]) -> None:
    """Put a record into its place at once; keys sorted and lists in a line, so that a commit shows little."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f'{json.dumps(key)}: {json.dumps(record[key], sort_keys=True)}' for key in sorted(record)]
    write_file(file_of(folder, name), ('{\n' + ',\n'.join(lines) + '\n}\n').encode('utf-8'))


def of_cell(cell: Cell, found: Mapping[str, Any], data: Mapping[str, Any]) -> Record:
    """Compose a cell's record.

    Args:
        cell (Cell): The cell.
        found (Mapping): From `evaluate.measure`: 'scores', 'curve', 'wall_seconds', 'parameters', 'versions'.
        data (Mapping): What the numbers are about, see `evaluate.identity`.
    """
    return {
        'method': cell.method.name,
        'student': cell.student,
        'precision': cell.precision,
        'iterations': cell.iterations,
        'rate': cell.rate,
        'seed': cell.seed,
        'options': cell.opt,
        'digest': cell.digest,
        'data': dict(data),
        **found,
    }


def rounded(scores: Scores) -> dict[str, dict[str, list[float]]]:
    """Scores with as many digits as mean something."""
    return {
        name: {
            metric: [round(float(value), DECIMALS[metric]) for value in values] for metric, values in metrics.items()
        }
        for name, metrics in scores.items()
    }


def references(folder: Path) -> Record | None:
    """The teacher's and bicubic's record, if it has been made."""
    return _read(folder / REFERENCES)


def read(folder: Path, cells: Sequence[Cell]) -> dict[str, Record]:
    """The records of those cells that have one, by name.

    Raises:
        UserError: A record is of other options than the cell has now, or of other data than the references.
    """
    found, errors = {}, []
    data = (references(folder) or {}).get('data')
    for cell in cells:
        record = _read(file_of(folder, cell.name))
        if record is None:
            continue
        if record['digest'] != cell.digest:
            errors.append(
                f'{file_of(folder, cell.name)} is of other options than the protocol has now '
                f'({", ".join(differences(record["options"], cell.opt))}); change the protocol back, or '
                'delete the record and the cell is run anew.'
            )
        if data is not None and record['data'] != data:
            errors.append(
                f'{file_of(folder, cell.name)} is of other data than {REFERENCES} '
                f'({", ".join(differences(record["data"], data))}).'
            )
        found[cell.name] = record
    if errors:
        raise UserError(*errors)
    return found


def _read(file: Path) -> Record | None:
    return json.loads(file.read_text(encoding='utf-8')) if file.is_file() else None
