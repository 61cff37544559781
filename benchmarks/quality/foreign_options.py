"""How many options files of a repository are read as they are, with its own classes, and translated.

    python -m benchmarks.quality.foreign_options FOLDER [--import NAME ...] [--say]

FOLDER is a clone, or its folder of options; every YAML file in it with a `model_type` is judged by `options.check`, as
`basicsr train` or `basicsr test` does before it looks at any data: alone, then with what `--import` registers (as for
`basicsr train --import`), then as `basicsr convert` translates it, for files of the authors' models. The row is one of
a Markdown table; --say adds each mistake of the last column with the number of files that have it.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from dukd_basicsr import options
from dukd_basicsr.commands import user_modules
from dukd_basicsr.options.translate import is_authors, translate


def find_files(folder: Path) -> list[Path]:
    """The options files of BasicSR below a folder, in order."""
    files = sorted(file for file in folder.rglob('*.yml') if file.is_file())
    texts = {file: file.read_text(encoding='utf-8', errors='replace') for file in files}
    return [file for file, text in texts.items() if 'model_type:' in text and 'datasets:' in text]


def find_mistakes(file: Path, translated: bool = False) -> list[str]:
    """What `options.check` says against a file, without its name; nothing where it is accepted.

    Args:
        file (Path): YAML.
        translated (bool): Of a file of the authors' models, judge its translation.
    """
    try:
        opt = options.load(file)
        if translated and is_authors(opt):
            opt, _ = translate(opt)
        options.check(opt, file, is_train='train' in (opt.get('datasets') or {}))
    except options.OptionsError as error:
        return [message.removeprefix(f'{file}: ') for message in error.messages]
    return []


def main() -> int:
    """Judge the files of one folder and write its row."""
    parser = argparse.ArgumentParser(description='How many options files of a repository are accepted.')
    parser.add_argument('folder', type=Path)
    parser.add_argument('--import', dest='names', type=Path, action='append', default=[], metavar='NAME')
    parser.add_argument('--say', action='store_true', help='what is wrong with the rest')
    args = parser.parse_args()
    files = find_files(args.folder)
    alone = [not find_mistakes(file) for file in files]
    user_modules.load(args.names)
    imported = [not find_mistakes(file) for file in files]
    mistakes = [find_mistakes(file, translated=True) for file in files]
    counts = [sum(alone), sum(imported), sum(not each for each in mistakes)]
    sys.stdout.write(
        '| folder | files | as they are | with --import | and translated |\n|---|---|---|---|---|\n'
        f'| {args.folder.resolve().name} | {len(files)} | {" | ".join(map(str, counts))} |\n'
    )
    if args.say:
        for text, number in Counter(text for each in mistakes for text in each).most_common():
            sys.stdout.write(f'{number} x {text}\n')
    return 0


if __name__ == '__main__':
    sys.exit(main())
