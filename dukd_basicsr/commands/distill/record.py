"""What a run of `basicsr distill` has decided and finished, in a file of its folder, from which it goes on."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from dukd_basicsr.commands.distill.photographs import Photograph, Survey
from dukd_basicsr.commands.distill.plan import Plan, add_refinement, drop_refinement
from dukd_basicsr.commands.distill.refinement import STAGE
from dukd_basicsr.commands.distill.request import Request
from dukd_basicsr.data.atomic import write_result
from dukd_basicsr.errors import UserError

FILE = 'distill.json'
VERSION = 1
_WORDS = {
    'teacher_sha256': 'the file of the teacher has changed',
    'photos_listing': 'the photographs have changed',
    'val_listing': 'the photographs to validate with have changed',
}


@dataclass
class Record:
    """The state of a run."""

    root: Path
    """The folder of the run."""
    request: Mapping[str, Any]
    command: str
    """What began it."""
    plan: Plan
    survey: Survey
    done: list[str] = field(default_factory=list)
    """Stages that have been finished."""
    spent: dict[str, float] = field(default_factory=dict)
    """Seconds of each stage, those of interrupted attempts included."""

    def save(self) -> None:
        """Write the file.

        Raises:
            RunError: It cannot be written.
        """
        content = {
            'version': VERSION,
            'command': self.command,
            'request': self.request,
            'plan': self.plan.to_json(),
            'photographs': asdict(self.survey),
            'done': self.done,
            'spent': self.spent,
        }
        write_result(self.root / FILE, json.dumps(content, indent=2, default=str).encode() + b'\n')


def find_record(request: Request) -> Record | None:
    """The record in the folder of a request; None where nothing has been begun there. Nothing is written.

    One of another request counts as nothing where no stage of it is finished, so that a photograph that
    `basicsr prepare` refuses can be removed. `--int8` makes no other request: its stage is added or left out.

    Raises:
        UserError: The folder holds something else, or the run of another request.
    """
    root, file = request.out, request.out / FILE
    if not file.is_file():
        if root.is_dir() and any(root.iterdir()):
            raise UserError(f'{root} is not empty and no run of basicsr distill: give another folder, -o DIR.')
        return None
    try:
        content = json.loads(file.read_text(encoding='utf-8'))
        record = _read(root, content)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f'{file} cannot be read ({type(error).__name__}: {error}): remove {root}, or give another folder, -o DIR.'
        ) from None
    asked = request.to_json()
    changed = [name for name in asked if asked[name] != record.request.get(name)]
    if changed and not record.done:
        return None
    if changed:
        what = _WORDS.get(changed[0]) or f'{changed[0]} was {_show(record.request.get(changed[0]))}'
        raise UserError(
            f'{root} was begun with another request ({what}): give another folder, -o DIR, or '
            f'go on with: {record.command}'
        )
    return _follow(record, request)


def _follow(record: Record, request: Request) -> Record:
    """The record with the refinement for int8 if it is asked for now, and without it if it is not and not finished.

    What is finished stays, whatever is asked for now.
    """
    plan = record.plan
    if request.int8 and plan.int8 is None:
        sys.stderr.write(f'basicsr distill: --int8 is new to {record.root}: measuring an iteration of it ...\n')
        plan = add_refinement(plan, record.survey, request.teacher)
    elif not request.int8 and plan.int8 is not None and STAGE not in record.done:
        plan = drop_refinement(plan)
    else:
        return record
    return replace(record, plan=plan, command=request.to_command())


def _show(value: Any) -> str:
    if isinstance(value, dict):  # the size
        return f'{value["kind"]} {value["value"]:g}'
    return 'not given' if value is None else str(value)


def _read(root: Path, content: Mapping[str, Any]) -> Record:
    if content['version'] != VERSION:
        raise ValueError(f'version {content["version"]}, not {VERSION}')
    found = dict(content['photographs'])
    for part in ('train', 'held_out'):
        found[part] = [Photograph(**{**each, 'path': Path(each['path'])}) for each in found[part]]
    return Record(
        root=root,
        request=content['request'],
        command=content['command'],
        plan=Plan.from_json(content['plan']),
        survey=Survey(**found),
        done=content['done'],
        spent=content['spent'],
    )
