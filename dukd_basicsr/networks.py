"""One network of an options file with its weights: teacher, student of a test, row of a benchmark alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from dukd_basicsr.checkpoint import build_network, load_into, read_weights


def input_channels(network_opt: Mapping[str, Any]) -> int:
    """Channels of a network's input: `num_in_ch`, or `in_chans` as SwinIR has it; 3 where neither is given."""
    return network_opt.get('num_in_ch', network_opt.get('in_chans', 3))


def load_network(
    network_opt: Mapping[str, Any], path: str, param_key: str | None = 'params', strict: bool = True, what: str = ''
) -> nn.Module:
    """Build a network on the CPU and load its weights.

    Args:
        network_opt (Mapping): `network_g` or `network_t`; `{type: Spandrel}` takes the architecture from the file.
        path (str): The checkpoint.
        param_key (str | None): Where in the file the weights are.
        strict (bool): Whether every weight must match.
        what (str): The key that named the file, for messages, e.g. 'path.pretrain_network_t'.

    Raises:
        UserError: The file is missing or unreadable, or its weights do not fit.
    """
    if network_opt['type'] == 'Spandrel':
        return build_network({**network_opt, 'path': path})
    net = build_network(network_opt)
    load_into(net, read_weights(path, param_key), f'{what}: {path}' if what else path, strict)
    return net
