"""What `basicsr distill` is asked for, as it was typed and as it is compared when the same is typed again."""

from __future__ import annotations

import argparse
import hashlib
import math
import shlex
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from dukd_basicsr.data.cache.manifest import hash_file
from dukd_basicsr.data.images import find_images
from dukd_basicsr.errors import UserError

Size = Literal['times', 'params', 'macs', 'ms']
SIZES: tuple[Size, ...] = ('times', 'params', 'macs', 'ms')
"""The ways to say how large a student shall be."""
_UNITS = {'': 1.0, 'K': 1e3, 'M': 1e6, 'G': 1e9, 'T': 1e12}


@dataclass(frozen=True)
class Goal:
    """The size that the student shall have."""

    kind: Size
    """'times': so many times fewer parameters than the teacher; 'params'; 'macs': multiply-accumulates for a 1280x720
    output; 'ms': milliseconds for such an output on this machine."""
    value: float


@dataclass(frozen=True)
class Request:
    """One command line of `basicsr distill`, its paths absolute."""

    teacher: Path
    photos: Path
    student: str
    goal: Goal
    out: Path
    opt: Path | None = None
    """Options file that says which network the teacher is, where its weights do not."""
    val: Path | None = None
    iterations: int | None = None
    hours: float | None = None
    """One of the two is given."""
    real: bool = False
    int8: bool = False
    """Whether the student is refined for int8 after its training; a run may be asked for either, see `follow`."""
    own_modules: tuple[Path, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """What must be the same when the command is repeated, in plain values; the files by what is in them."""
        asked = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(self).items()}
        del asked['int8']
        asked['own_modules'] = [str(file) for file in self.own_modules]
        asked['teacher_sha256'] = hash_file(self.teacher)
        for name, folder in (('photos', self.photos), ('val', self.val)):
            asked[f'{name}_listing'] = _list_folder(folder) if folder else None
        return asked

    def to_command(self) -> str:
        """The command line that goes on with this run from any folder."""
        words: list[str] = ['basicsr', 'distill', str(self.teacher), str(self.photos), '--student', self.student]
        words += [f'--{self.goal.kind}', f'{self.goal.value:g}']
        for flag, path in (('-opt', self.opt), ('--val', self.val)):
            words += [flag, str(path)] if path else []
        words += ['--iterations', str(self.iterations)] if self.iterations else ['--hours', f'{self.hours:g}']
        words += ['--real'] * self.real + ['--int8'] * self.int8
        words += ['-o', str(self.out)]
        for file in self.own_modules:
            words += ['--import', str(file)]
        return shlex.join(words)


def read_request(args: argparse.Namespace) -> Request:
    """The request of a parsed command line.

    Raises:
        UserError: A number that is none or has no sense, or a file or folder that is not there.
    """
    if not args.teacher.is_file():
        raise UserError(f'{args.teacher}: there is no such file; give the checkpoint of the teacher.')
    for folder in (args.photos, args.val):
        if folder is not None and not folder.is_dir():
            raise UserError(f'{folder}: there is no such folder; give a folder of photographs.')
    if args.opt is not None and not args.opt.is_file():
        raise UserError(f'{args.opt}: there is no such options file; give the one that the teacher was trained with.')
    iterations, hours = args.iterations, args.hours
    if iterations is not None and iterations < 1:
        raise UserError(f'--iterations {iterations} trains nothing: give 1 or more.')
    if hours is not None and not 0 < hours < math.inf:
        raise UserError(f'--hours {hours} is no time to train in: give e.g. --hours 8.')
    out = args.out or Path('distilled') / f'{args.teacher.stem}_to_{args.student}'
    request = Request(
        teacher=args.teacher.absolute(),
        photos=args.photos.absolute(),
        student=args.student,
        goal=_read_goal(args),
        out=out.absolute(),
        opt=args.opt and args.opt.absolute(),
        val=args.val and args.val.absolute(),
        iterations=iterations,
        hours=hours,
        real=args.real,
        int8=args.int8,
        own_modules=tuple(file.absolute() for file in args.own_modules),
    )
    return request if iterations or hours else replace(request, hours=DEFAULT_HOURS)


DEFAULT_HOURS = 8.0
"""A night."""
DEFAULT_GOAL = Goal('times', 10.0)


def _read_goal(args: argparse.Namespace) -> Goal:
    for kind in SIZES:
        text = getattr(args, kind)
        if text is not None:
            value = read_count(text)
            if value is None:
                raise UserError(f'--{kind} {text} is no size: give a number above 0, e.g. 10, 100K or 5G.')
            return Goal(kind, value)
    return DEFAULT_GOAL


def read_count(text: str) -> float | None:
    """A number above 0 with or without a unit, '100K', '1.5 M', '5G'; None where it is none.

    Example:
        >>> read_count('100K'), read_count('1.5 M'), read_count('-3')
        (100000.0, 1500000.0, None)
    """
    text = text.strip().upper()
    unit = text[-1:] if text[-1:] in _UNITS else ''
    try:
        value = float(text.removesuffix(unit)) * _UNITS[unit]
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _list_folder(folder: Path) -> str:
    """A fingerprint of the names and sizes of the photographs in a folder."""
    lines = [f'{path.name} {path.stat().st_size}' for path in find_images(folder)]
    return hashlib.sha256('\n'.join(lines).encode(errors='surrogateescape')).hexdigest()
