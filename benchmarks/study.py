"""The field under one schedule: every method of a protocol, by every seed, in tables, curves and pictures.

    python benchmarks/study.py docs/study/protocol.yml --data ../shared/data --work DIR [--jobs 2] [--peer DIR]
        [--vgg FILE] [--only METHOD ...] [--docs docs/study] [--run | --cost | --report]

One protocol file says which data, networks, schedule, seeds and methods. What is there already in DIR (data, cache,
finished cells) is not made again; a cell that was stopped goes on. Then seconds an iteration of every method are
measured, each alone, unless DIR/cost.json has them; finished cells are benchmarked in one table; and the report is
written to --docs: tables.md, tables.tex, results.csv, results.json, curves.png, cost.png, pictures/.

--run runs cells and stops. --cost measures the seconds again and stops: let nothing else run. --report only reports
what is there, of all methods.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import study_cells
import study_cost
import study_protocol
import study_results
import study_run
import study_tables

from dukd_basicsr.errors import RunError, UserError


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('protocol', type=Path, help='docs/study/protocol.yml')
    parser.add_argument('--data', type=Path, required=True, help='folder of training images, test sets and weights')
    parser.add_argument('--work', type=Path, required=True, help='datasets/, experiments/, options/, logs/ go here')
    parser.add_argument('--docs', type=Path, help='where the report goes, default: WORK/report')
    parser.add_argument('--peer', type=Path, help='a checkout of yun224/DUKD: their models as two more methods')
    parser.add_argument('--vgg', type=Path, help="torchvision's vgg19-dcbb9e9d.pth, for CSD")
    parser.add_argument('--only', nargs='+', default=[], metavar='METHOD', help='run these alone')
    parser.add_argument('--jobs', type=int, default=1, help='cells side by side')
    step = parser.add_mutually_exclusive_group()
    step.add_argument('--run', action='store_true', help='run cells, and stop')
    step.add_argument('--cost', action='store_true', help='measure seconds an iteration, and stop')
    step.add_argument('--report', action='store_true', help='report what is there, and stop')
    try:
        study(parser.parse_args())
    except UserError as error:
        for message in error.messages:
            sys.stderr.write(f'study: {message}\n')
        sys.exit(error.exit_code)


def study(args: argparse.Namespace) -> None:
    """All steps in order; a failed cell is told at the end.

    Raises:
        UserError: A mistake in the protocol or in what was asked for.
        RunError: A cell failed; the others have run and are reported.
        RunStopped: A signal; the same command goes on.
    """
    protocol = study_protocol.read_protocol(args.protocol, args.vgg)
    work, peer = args.work.resolve(), args.peer and args.peer.resolve()
    given = {'peer': peer, 'vgg': args.vgg}
    cells = study_cells.available(study_cells.cells_of(protocol, args.only), given)
    failed: list[str] = []
    if not args.report:
        study_cells.check(cells, work, files=False)
        study_run.prepare(protocol, args.data.resolve(), work)
        study_cells.check(cells, work)
    if not (args.report or args.cost):
        failed = study_run.run(cells, work, args.jobs, protocol.threads, peer)
    if not (args.report or args.run):
        study_cost.update(protocol, cells, work, peer, anew=args.cost)
    if not (args.run or args.cost):
        report(protocol, work, args.docs or work / 'report')
    if failed:
        raise RunError(*failed)


def report(protocol: study_protocol.Protocol, work: Path, docs: Path) -> None:
    """Benchmark what has finished, of all methods whatever --only says, and write the report."""
    import study_pictures
    import study_plots

    cells = study_cells.cells_of(protocol)
    conflicts = study_cells.conflicts(cells, work)
    if conflicts:
        raise UserError(*conflicts)
    study_results.benchmark(protocol, cells, work)
    results = study_results.collect(protocol, cells, work)
    study_tables.write(results, docs)
    study_plots.write(results, docs)
    study_pictures.write(results, cells, work, docs)
    sys.stdout.write(f'{docs}: tables.md, tables.tex, results.csv, results.json, curves.png, cost.png, pictures/\n')


if __name__ == '__main__':
    main()
