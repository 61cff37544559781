"""A folder for any web server: the page, the network, and what runs it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dukd_basicsr
from dukd_basicsr.data.atomic import refuse_unwritable, write_result
from dukd_basicsr.data.locks import hold
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.deploy import deploy_checked
from dukd_basicsr.networks.export import export_network
from dukd_basicsr.networks.onnx.session import SUFFIX, Metadata
from dukd_basicsr.networks.open_network import Opened, open_network
from dukd_basicsr.networks.tiling import find_alignment, is_exact
from dukd_basicsr.pages.markup import read_asset
from dukd_basicsr.web.runtime import find_runtime
from dukd_basicsr.web.tile import find_tile, find_web_overlap

NETWORK = 'network.onnx'
SHARED = ('theme.css', 'slider.css', 'slider.js')
"""Of `pages/`, which the report has too."""
_RUNTIME = 'It runs on ONNX Runtime Web by Microsoft, under the MIT licence.'


def export_web(
    weights: Path,
    folder: Path,
    opt: Path | None = None,
    precision: str = 'fp32',
    calibrate: Path | None = None,
    runtime: Path | None = None,
) -> None:
    """Export a network with a page that runs it.

    index.html is written last: a folder that has it is whole.

    Args:
        weights (Path): The checkpoint.
        folder (Path): New, or empty.
        opt (Path | None): Options file with the network_g that `weights` belong to, where they do not say it.
        precision (str): 'fp32', 'fp16' or 'int8'.
        calibrate (Path | None): Folder of images, for int8.
        runtime (Path | None): Where onnxruntime-web is; default: npm is asked for it.

    Raises:
        UserError: A mistake in what was asked for; said before the work starts.
        RunError: As of `export_network`, or a file cannot be written.
    """
    _check(weights, folder)
    opened = open_network(weights, opt)
    files = find_runtime(runtime)
    with hold(folder):
        exported = export_network(weights, folder / NETWORK, opt, precision, calibrate)
        pages = _collect(files)
        pages['network.json'] = (json.dumps(_describe(exported.metadata, opened), indent=2) + '\n').encode()
        pages['index.html'] = pages.pop('index.html')
        for name, content in pages.items():
            write_result(folder / name, content)
    size = exported.size + sum(map(len, pages.values()))
    sys.stdout.write(
        f'{folder}: a page of {len(pages) + 1} files, {size / 1e6:.1f} MB; copy it to any web server, or see it by\n'
        f'    python3 -m http.server --directory {shlex.quote(str(folder))}\n'
    )


def _check(weights: Path, folder: Path) -> None:
    if weights.suffix.lower() == SUFFIX:
        raise UserError(f'{weights} is exported already; give the checkpoint that it was exported from.')
    refuse_unwritable(folder, '--web DIR')
    if folder.is_dir() and any(folder.iterdir()):
        raise UserError(f'{folder} is not empty; give a new folder: --web DIR.')


def _collect(runtime: Mapping[str, bytes]) -> dict[str, bytes]:
    """The files of the page that are the same for every network, by their places in its folder."""
    site = Path(__file__).with_name('site')
    pages = {file.name: file.read_bytes() for file in sorted(site.iterdir())}
    pages |= {name: read_asset(name).encode() for name in SHARED}
    return pages | {f'ort/{name}': content for name, content in runtime.items()}


def _describe(metadata: Metadata, opened: Opened) -> dict[str, Any]:
    """What the page says, and what it computes with."""
    net = deploy_checked(opened.net, opened.channels).net
    return {
        'file': NETWORK,
        'network': metadata.network,
        'scale': metadata.scale,
        'channels': metadata.channels,
        'precision': metadata.precision,
        'made': f'Made by dukd_basicsr {dukd_basicsr.__version__} from {metadata.weights}. {_RUNTIME}',
        'tile': find_tile(net, opened.channels),
        'overlap': find_web_overlap(net),
        'align': find_alignment(net),
        'exact': is_exact(net),
    }
