"""Train a cell with the authors' own models: BasicSR's pipeline, their classes (a checkout of yun224/DUKD) registered.

    python -m benchmarks.study.peer --peer DIR -opt FILE --auto_resume

The plugin makes BasicSR importable on today's stack and owns the training loop, as for every other cell, so that
seeds, order of samples, validation and saving are the same; what happens in a step is theirs, unchanged.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path


def register(peer: Path) -> None:
    """Import the authors' package `models`, which registers DUKD, FAKD and BaseKD."""
    if not (peer / 'models' / 'dukd_model.py').is_file():
        from dukd_basicsr.errors import UserError

        raise UserError(f'--peer {peer}: there is no models/dukd_model.py; give a checkout of yun224/DUKD.')
    import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

    sys.path.insert(0, str(peer))
    import models  # noqa: F401


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--peer', type=Path, required=True, help='a checkout of yun224/DUKD')
    args, rest = parser.parse_known_args()
    from dukd_basicsr.errors import UserError

    try:
        register(args.peer)
        from basicsr.train import train_pipeline

        sys.argv = ['basicsr', *rest]
        train_pipeline(os.getcwd())
    except UserError as error:
        sys.stderr.write(f'study.peer: {error}\n')
        sys.exit(error.exit_code)


if __name__ == '__main__':
    main()
