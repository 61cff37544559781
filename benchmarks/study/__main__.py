"""Every method of a protocol, by length, seconds, student and seed, in tables, figures and a page.

    python -m benchmarks.study docs/study/protocol.yml --data ../shared/data --work DIR [--jobs 2] [--docs docs/study]
        [--only COMPARISON ...] [--methods METHOD ...] [--seeds SEED ...] [--peer DIR] [--vgg FILE]
        [--run | --cost | --report]

One protocol file says which data, networks, schedule, seeds, methods and comparisons. A finished cell is a small file
in `cells/` beside the protocol (--records), to be committed: it is never run again, on this machine or another. What is
in DIR (data, cache, checkpoints of cells that were stopped) is not made again either. First the learning rate of each
method is searched for on held-out photographs, then the comparisons run in their order; then seconds an iteration are
measured, each method alone, unless `cost.json` among the records has them; and the report is written to --docs:
tables.md, results.csv, results.json, figures, and the parts of README.md that are numbers.

--run runs cells and stops. --cost measures the seconds again and stops: let nothing else run. --report only reports
what is there, and needs neither --data nor --work.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.study import cells, cost, data, rates, records, run
from benchmarks.study.cells import Cell
from benchmarks.study.protocol import HELD_OUT, Protocol
from benchmarks.study.reading import read_protocol
from dukd_basicsr.errors import RunError, UserError, did_you_mean


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('protocol', type=Path, help='docs/study/protocol.yml')
    parser.add_argument('--data', type=Path, help='folder of training images, test sets and weights')
    parser.add_argument('--work', type=Path, help='datasets/, experiments/, options/, logs/ go here')
    parser.add_argument(
        '--records',
        type=Path,
        help='finished cells, default: cells/ beside protocol.yml, cells_x4/ beside protocol_x4.yml',
    )
    parser.add_argument('--docs', type=Path, help='where the report goes, default: WORK/report')
    parser.add_argument('--peer', type=Path, help='a checkout of yun224/DUKD: their models as two more methods')
    parser.add_argument('--vgg', type=Path, help="torchvision's vgg19-dcbb9e9d.pth, for CSD")
    parser.add_argument('--only', nargs='+', default=[], metavar='COMPARISON', help='run these alone, seed by seed')
    parser.add_argument('--methods', nargs='+', default=[], metavar='METHOD', help='run cells of these alone')
    parser.add_argument('--seeds', nargs='+', type=int, default=[], metavar='SEED', help='run cells of these alone')
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
    chosen = read_protocol(args.protocol, args.vgg)
    folder = args.records or args.protocol.parent / args.protocol.stem.replace('protocol', 'cells')
    failed: list[str] = []
    if not args.report:
        failed = work_through(chosen, args, folder.resolve())
    if not (args.run or args.cost):
        report(chosen, args, folder)
    if failed:
        raise RunError(*failed)


def work_through(chosen: Protocol, args: argparse.Namespace, folder: Path) -> list[str]:
    """Data, cells and seconds; what to say of cells that failed."""
    if args.data is None or args.work is None:
        raise UserError('give --data and --work to run cells, or --report to report finished ones.')
    place = run.Place(args.work.resolve(), folder, args.peer and args.peer.resolve(), (*chosen.tests, HELD_OUT))
    given = {'peer': args.peer, 'vgg': args.vgg}
    for names, known in ((args.only, chosen.comparisons), (args.methods, chosen.methods)):
        for name in names:
            if name not in known:
                raise UserError(f'{name}: there is no such name in the protocol.{did_you_mean(name, known)}')
    cells.check(plan(chosen, args, given, folder), place.work, files=False)
    data.prepare(chosen, args.data.resolve(), place)
    failed = [] if args.cost else run.run(lambda: checked(chosen, args, given, place), place, args.jobs, chosen)
    if not args.run:
        cost.update(chosen, cost_cells(chosen, folder), place, anew=args.cost, file=cost.file_of(folder))
    return failed


def checked(
    chosen: Protocol, args: argparse.Namespace, given: Mapping[str, Path | None], place: run.Place
) -> list[Cell]:
    """What is left to run, with its options files written."""
    found = plan(chosen, args, given, place.records)
    cells.check(found, place.work)
    return found


def plan(chosen: Protocol, args: argparse.Namespace, given: Mapping[str, Path | None], folder: Path) -> list[Cell]:
    """The cells without a record that can run now: searches first, then the comparisons in their order, no cell twice.

    Comparisons that --only names go on side by side, seed by seed.

    Raises:
        UserError: A record that is of other options than the protocol has.
    """
    wanted = [name for name, method in chosen.methods.items() if method.needs is None or given.get(method.needs)]
    wanted = [name for name in wanted if not args.methods or name in args.methods]
    compared = args.only or list(chosen.comparisons)
    used = {method for name in compared for method in chosen.comparisons[name].iterations} & set(wanted)
    sources = {chosen.methods[name].rate_of or name for name in used}
    known = known_records(chosen, folder)
    searches = [
        cell for method, lacking in rates.missing(chosen, known).items() if method in sources for cell in lacking
    ]
    rate_of = rates.chosen(chosen, known)
    rest = [cell for name in compared for cell in cells.cells_of(chosen, name, rate_of) if cell.method.name in wanted]
    if args.seeds:
        rest = [cell for cell in rest if cell.seed in args.seeds]
    if args.only:
        rest.sort(key=lambda cell: chosen.seeds.index(cell.seed))
    found = {cell.name: cell for cell in [*searches, *rest]}
    done = records.read(folder, list(found.values()))
    return [cell for name, cell in found.items() if name not in done]


def known_records(chosen: Protocol, folder: Path) -> dict[str, records.Record]:
    """The records of all searches, and of all comparisons whose learning rates these decide."""
    searches = [cell for method in rates.searched(chosen) for cell in cells.search_cells(chosen, method)]
    found = records.read(folder, searches)
    rate_of = rates.chosen(chosen, found)
    compared = [cell for name in chosen.comparisons for cell in cells.cells_of(chosen, name, rate_of)]
    return found | records.read(folder, compared)


def cost_cells(chosen: Protocol, folder: Path) -> Sequence[Cell]:
    """One finished cell of each method, student and precision."""
    rate_of = rates.chosen(chosen, known_records(chosen, folder))
    every = [cell for name in chosen.comparisons for cell in cells.cells_of(chosen, name, rate_of)]
    return list(
        {(cell.method.name, cell.student, cell.precision): cell for cell in records_only(every, folder)}.values()
    )


def records_only(every: Sequence[Cell], folder: Path) -> list[Cell]:
    done = records.read(folder, every)
    return [cell for cell in every if cell.name in done]


def report(chosen: Protocol, args: argparse.Namespace, folder: Path) -> None:
    """Write the report of what has finished, of all methods whatever was asked for."""
    from benchmarks import pages
    from benchmarks.study import page, plots, results, tables

    if args.docs is None and args.work is None:
        raise UserError('--docs: say where the report goes.')
    docs = args.docs or args.work / 'report'
    found = results.collect(
        chosen, known_records(chosen, folder), records.references(folder), cost.read(cost.file_of(folder))
    )
    tables.write(found, docs)
    plots.write(found, docs)
    page.write(found, docs)
    if docs.resolve() == pages.DOCS / 'study':
        pages.write()
    sys.stdout.write(
        f'{docs}: tables.md, results.csv, results.json, figures; {found["finished"]} cells have finished.\n'
    )


if __name__ == '__main__':
    main()
