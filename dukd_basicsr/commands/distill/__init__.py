"""`basicsr distill`."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

HELP = 'From a teacher file and a folder of photographs to a trained, measured and exported student.'
STUDENTS = ('edsr', 'compact', 'ecbsr', 'span')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the teacher, the photographs, the size of the student, and how long it is trained."""
    parser.add_argument('teacher', type=Path, metavar='TEACHER', help='checkpoint of the teacher')
    parser.add_argument('photos', type=Path, metavar='PHOTOS', help='folder of photographs')
    parser.add_argument('--student', choices=STUDENTS, default='edsr', help='architecture, default edsr')
    size = parser.add_mutually_exclusive_group()
    size.add_argument('--times', metavar='N', help='N times fewer parameters than the teacher, default 10')
    size.add_argument('--params', metavar='N', help='parameters, e.g. 100K')
    size.add_argument('--macs', metavar='N', help='multiply-accumulates for a 1280x720 output, e.g. 5G')
    size.add_argument('--ms', metavar='N', help='milliseconds for a 1280x720 output on this machine')
    length = parser.add_mutually_exclusive_group()
    length.add_argument('--iterations', type=int, metavar='N', help='of the training')
    length.add_argument('--hours', type=float, metavar='H', help='of everything, default 8')
    parser.add_argument(
        '--val', type=Path, metavar='FOLDER', help='photographs to validate with, default: some of PHOTOS'
    )
    parser.add_argument(
        '-opt', type=Path, metavar='FILE', help='options file of the teacher, if its weights do not tell it'
    )
    parser.add_argument('--real', action='store_true', help="Real-ESRGAN's degradations instead of bicubic, for x4")
    parser.add_argument('--int8', action='store_true', help='refine the student for int8 after its training')
    parser.add_argument('-o', '--out', type=Path, metavar='DIR', help='default: distilled/TEACHER_to_STUDENT')
    parser.add_argument('--plan', action='store_true', help='print what would be done and how long it takes, and stop')


def run(args: argparse.Namespace) -> int:
    """Plan, and do it unless only the plan is asked for."""
    from dukd_basicsr.commands.distill.request import read_request

    request = read_request(args)
    import_module('dukd_basicsr.plugin')  # makes basicsr importable
    from dukd_basicsr.commands.distill import stages

    stages.distill(request, only_plan=args.plan)
    return 0
