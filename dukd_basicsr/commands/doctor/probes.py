"""What `basicsr doctor` looks at: versions, files, patches, the driver. Light to import."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SUPPLIED = ('torchvision.transforms.functional_tensor', 'scipy.ndimage.filters')


def find_version(names: Sequence[str]) -> tuple[str, str | None]:
    """The first installed of several distributions and its version; the first name and None where none is."""
    for name in names:
        try:
            return name, importlib.metadata.metadata(name)['Version']
        except Exception:  # noqa: S112  not installed, or half removed: of metadata anything may be gone
            continue
    return names[0], None


def changed_files(distribution: str) -> list[str]:
    """Python files of an installed distribution that are not what pip wrote (its RECORD has their hashes)."""
    installed = importlib.metadata.distribution(distribution)
    changed = []
    # Not `installed.files`: since Python 3.12 that leaves out the files that have gone.
    for name, recorded, *_ in csv.reader((installed.read_text('RECORD') or '').splitlines()):
        if name.endswith('.py') and recorded:
            mode, _, expected = recorded.partition('=')
            path = Path(str(installed.locate_file(name)))
            content = path.read_bytes() if path.is_file() else b''
            digest = base64.urlsafe_b64encode(hashlib.new(mode, content).digest()).decode().rstrip('=')
            if digest != expected:
                changed.append(name)
    return changed


def mended_imports() -> list[str]:
    """What `compat.imports` had to supply, so that BasicSR could be imported here."""
    from dukd_basicsr.compat import imports

    found = [
        name for name in SUPPLIED if (getattr(sys.modules.get(name), '__doc__', None) or '').startswith('Supplied')
    ]
    if imports._libraries:
        found.append("torchvision's compiled operators, which do not load beside this torch")
    return found


def patched_by_others() -> list[str]:
    """Functions of BasicSR that were not BasicSR's own any more when this plugin replaced them."""
    from dukd_basicsr.compat import PATCHES, stock

    replaced = [stock(ours) for _, name, ours in PATCHES if name != 'PairedImageDataset.__reduce__']  # no function
    return sorted(
        f'{each.__qualname__} by {each.__module__}' for each in replaced if not each.__module__.startswith('basicsr.')
    )


def nvidia_driver() -> str | None:
    """The version of NVIDIA's driver; None where there is none, or it does not answer in ten seconds."""
    program = shutil.which('nvidia-smi')
    if program is None:
        return None
    query = [program, '--query-gpu=driver_version', '--format=csv,noheader']
    try:
        done = subprocess.run(query, capture_output=True, text=True, timeout=10, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.split('\n')[0].strip() or None
