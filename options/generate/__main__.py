"""Writes the files that differ, or names them; see the package."""

from __future__ import annotations

import argparse
import sys

from dukd_basicsr.options import shipped
from dukd_basicsr.options.json_schema import write_schema
from options.generate.family import write_family
from options.generate.other_files import FIRST_LINE, FOLDER


def main() -> int:
    """Write or check; the exit code is 1 where a check has found a file that differs."""
    parser = argparse.ArgumentParser(description='Write the family of options files, and their JSON Schema.')
    parser.add_argument('--check', action='store_true', help='write nothing; exit 1 when a file differs')
    check = parser.parse_args().check
    texts = write_family()
    for file in FOLDER.glob('*.yml'):
        if file.name not in texts:  # written by hand, all but its first line
            texts[file.name] = FIRST_LINE + file.read_text(encoding='ascii').removeprefix(FIRST_LINE)
    texts[shipped.SCHEMA] = write_schema()
    wanted = {FOLDER / name: text.encode('ascii') for name, text in texts.items()}
    different = [file for file, text in wanted.items() if not file.is_file() or file.read_bytes() != text]
    for file in different:
        if not check:
            file.write_bytes(wanted[file])
        sys.stdout.write(f'{file.name} {"differs" if check else "written"}\n')
    return int(check and bool(different))


if __name__ == '__main__':
    sys.exit(main())
