"""Reading an options file: UTF-8, plain data, every key once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from dukd_basicsr.errors import did_you_mean, say_where
from dukd_basicsr.options import safe_yaml
from dukd_basicsr.options.report import OptionsError, show

LARGEST = 2**20
"""The most bytes that an options file may have; real ones have a few thousand."""


def load(path: Path) -> dict:
    """Read an options file.

    Args:
        path (Path): A YAML file in UTF-8, with or without byte order mark.

    Returns:
        dict: Plain data: `!!float 1e-4` is a number, `1e-4` is text in YAML 1.1, which `check` reports.

    Raises:
        OptionsError: No such file, larger than 1 MB, not UTF-8, not plain YAML (with line and column), too deep or
            with too many values, repeated keys, no keys at all, a number that no computer word holds.
    """
    opt, repeated = _parse(_read(Path(path)), path)
    if repeated:
        raise OptionsError(*(f'{path}: {text}' for text in repeated))
    if not isinstance(opt, dict):
        raise OptionsError(f'{path}: there are no "key: value" lines; an options file starts with "name: ...".')
    key = safe_yaml.find_huge_number(opt)
    if key is not None:
        raise OptionsError(f'{path}: {key}: a whole number of more than 64 bits; write a smaller one.')
    return opt


def _parse(text: str, path: Path) -> tuple[Any, list[str]]:
    """The plain data, and a sentence for each key that stands twice with two values: YAML takes the last.

    Sections are mappings without YAML 1.1's merge keys, as BasicSR reads them.
    """
    repeated: list[str] = []

    def construct_section(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
        result: dict[Any, Any] = {}
        for (name, value), (name_node, _) in zip(loader.construct_pairs(node, deep=True), node.value, strict=True):
            if name in result and result[name] != value:
                where = _show_place(name_node.start_mark)
                repeated.append(f'{where}: {show(name)} stands here again; keep one of the two.')
            result[name] = value
        return result

    try:
        safe_yaml.check_size(text)
        loader: Any = getattr(yaml, 'CSafeLoader', yaml.SafeLoader)(text)
        loader.yaml_constructors = {**loader.yaml_constructors, 'tag:yaml.org,2002:map': construct_section}
        try:
            return loader.get_single_data(), repeated
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        raise OptionsError(f'{path}: {_explain(error)}') from None
    except safe_yaml.MISTAKES as error:
        raise OptionsError(f'{path}: not plain YAML: {error}.') from None


def _read(path: Path) -> str:
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # opening a FIFO waits for its writer for ever
            raise OptionsError(f'{path}: no regular file; write the options into one.')
        with path.open('rb') as file:
            content = file.read(LARGEST + 1)
        if len(content) > LARGEST:
            raise OptionsError(f'{path}: larger than 1 MB; an options file has a few kilobytes of text.')
        return content.decode('utf-8-sig')
    except UnicodeDecodeError as error:
        raise OptionsError(f'{path}: not UTF-8 (byte {error.start}); save it as UTF-8.') from None
    except FileNotFoundError:
        siblings = [file.name for file in path.parent.glob('*.y*ml')] if path.parent.is_dir() else []
        hint = (
            did_you_mean(path.name, siblings)
            if siblings
            else f' {path.parent} has no options files; copy a shipped one: basicsr options copy {path.stem}.'
        )
        raise OptionsError(f'{path}: there is no such file{say_where(path)}.{hint}') from None
    except OSError as error:
        raise OptionsError(f'{path}: cannot be read: {error.strerror}.') from None


def _explain(error: yaml.YAMLError) -> str:
    mark = getattr(error, 'problem_mark', None) or getattr(error, 'context_mark', None)
    problem = getattr(error, 'problem', None) or ' '.join(str(error).split())
    where = f'{_show_place(mark)}: ' if mark else ''
    return f'{where}not plain YAML: {problem}.'


def _show_place(mark: yaml.Mark) -> str:
    return f'line {mark.line + 1}, column {mark.column + 1}'
