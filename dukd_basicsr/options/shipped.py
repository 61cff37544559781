"""The option files that come with the package: what there is, and a copy of one to change."""

from __future__ import annotations

from pathlib import Path

from dukd_basicsr.errors import UserError, did_you_mean

SCHEMA = 'options.schema.json'
"""The JSON Schema that lies beside the shipped files."""
MODELINE = '# yaml-language-server: $schema='
"""What the first line of each starts with; the schema's place follows."""


def find_folder() -> Path:
    """The shipped options files: their copy inside an installed package, or `options/` of a checkout."""
    package = Path(__file__).parents[1]
    inside = package / 'shipped_options'
    return inside if inside.is_dir() else package.parent / 'options'


def list_files() -> dict[str, str]:
    """What each shipped file says of itself in its first line of words, by name without '.yml', in their order.

    Raises:
        UserError: The installation has none.
    """
    found = {}
    for file in sorted(find_folder().glob('*.yml')):
        with file.open(encoding='utf-8') as lines:
            own = (line for line in lines if not line.startswith(MODELINE))
            found[file.stem] = next(own, '').lstrip('#').strip()
    if not found:
        raise UserError(
            f'{find_folder()} has no option files: this installation is not complete; install dukd-basicsr again.'
        )
    return found


def copy(name: str, target: Path) -> Path:
    """Copy a shipped file; only the line that names the schema for editors differs, which stays where it is installed.

    Args:
        name (str): Its name, with or without '.yml' and the folder that the documentation writes before it.
        target (Path): A folder, for a file of that name, or a new file that ends in '.yml'.

    Returns:
        Path: The new file.

    Raises:
        UserError: There is no such file, no such folder, or already a file at the target, which is left as it is.
    """
    stem = Path(name).name.removesuffix('.yml')
    known = list_files()
    if stem not in known:
        hint = did_you_mean(stem, known)
        raise UserError(f'no options file "{name}" is shipped.{hint if "?" in hint else ""} All: basicsr options list')
    file = target / f'{stem}.yml' if target.is_dir() else target
    if file.suffix != '.yml' or not file.parent.is_dir():
        folder = file.parent if file.suffix == '.yml' else file
        raise UserError(f'{folder} is not a folder; make it first: mkdir -p {folder}')
    folder = find_folder()
    relative, absolute = (f'{MODELINE}{place}'.encode() for place in (SCHEMA, folder / SCHEMA))
    text = (folder / f'{stem}.yml').read_bytes().replace(relative, absolute, 1)
    try:
        with file.open('xb') as new:  # fails where a file is, also one that appeared a moment ago
            new.write(text)
    except FileExistsError:
        raise UserError(
            f'{file} exists already and is left as it is; name another file: basicsr options copy {stem} '
            f'{file.with_stem(file.stem + "_mine")}'
        ) from None
    except OSError as error:
        raise UserError(f'{file} cannot be written ({error.strerror}); name another place.') from None
    return file
