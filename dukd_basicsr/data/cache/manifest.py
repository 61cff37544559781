"""What a cache is of: its teacher, its data, its layout. Written first as incomplete and last as complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dukd_basicsr.data.atomic import write_file
from dukd_basicsr.data.paths import locate
from dukd_basicsr.options.rules.teacher import as_list

FILE = 'stamp.json'
VERSION = 1
Stamp = dict[str, Any]
KEYS = frozenset(
    {'version', 'complete', 'scale', 'size', 'per_image', 'parts', 'precision', 'codec', 'seed', 'teacher', 'data'}
)
"""The keys of every manifest. All but `complete` decide what the records hold."""


def read(folder: Path) -> Stamp | None:
    """The stamp of a cache; None where there is none that can be read."""
    try:
        stamp = json.loads((folder / FILE).read_text(encoding='utf-8'))
    except (OSError, ValueError):
        return None
    return stamp if isinstance(stamp, dict) else None


def write(folder: Path, stamp: Mapping[str, Any]) -> None:
    """Put the stamp into its place at once, so that a kill leaves the old one or the new one."""
    write_file(folder / FILE, json.dumps(stamp, indent=1).encode('utf-8'))


def describe_teacher(opt: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """What decides a teacher's answers: its options, the contents of its weights' files, and which weights in them.

    Args:
        opt (Mapping): network_t and path.pretrain_network_t of an options file, one or lists.
        root (Path): What relative paths start from.

    Returns:
        dict: 'networks', 'weights' and 'param_key'; without what the options or the disk do not have, since a run
            with a cache needs neither.
    """
    paths = opt.get('path') or {}
    files = [locate(root, value) for value in as_list(paths.get('pretrain_network_t')) if value]
    found: dict[str, Any] = {}
    if opt.get('network_t') is not None:
        found['networks'] = [dict(network) for network in as_list(opt['network_t'])]
    if files and all(file.is_file() for file in files):
        found['weights'] = [hash_file(file) for file in files]
        found['param_key'] = paths.get('param_key_t', 'params')
    return found


def fingerprint_data(gt: Path, lq: Path) -> str:
    """Fingerprint of a pair of LMDBs: the names and sizes of their images."""
    return hashlib.sha256(b'\0'.join((folder / 'meta_info.txt').read_bytes() for folder in (gt, lq))).hexdigest()


def hash_file(file: Path) -> str:
    """The SHA-256 of a file of any size."""
    with file.open('rb') as content:
        digest = hashlib.sha256()
        while block := content.read(2**20):
            digest.update(block)
    return digest.hexdigest()
