"""One network of an options file with its weights: teacher, student of a test, row of a benchmark alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from dukd_basicsr.errors import UserError, format_bytes
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.cost import read_physical_memory
from dukd_basicsr.networks.layouts.layout import has_architecture
from dukd_basicsr.networks.weights import build_network, load_into, read_weights
from dukd_basicsr.options.report import one_line

LARGEST_ARGUMENT = 2**12
"""The largest whole number allowed among a network's arguments; beyond it a constructor may loop for hours."""
LARGEST_WINDOW = 256
"""Images are padded to multiples of at most so many pixels; 64 is common."""
MEMORY_SHARE = 6
"""Training holds weights, gradients, Adam's two averages and the EMA: five copies, and then the activations."""
MOST_TENSORS = 20_000
"""The most tensors that building a network may create; the largest published ones take some 2,000."""
_FACTORIES = (torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn, torch.arange, torch.linspace)


def count_input_channels(network_opt: Mapping[str, Any]) -> int:
    """Channels of a network's input: `num_in_ch`, or `in_chans` as SwinIR has it; 3 where neither is given."""
    return network_opt.get('num_in_ch', network_opt.get('in_chans', 3))


def build(network_opt: Mapping[str, Any], what: str = 'network_g') -> nn.Module:
    """Build a network on the CPU, or say why these arguments make none.

    Args:
        network_opt (Mapping): `network_g` or `network_t` of an options file.
        what (str): That key, for messages.

    Raises:
        UserError: Whatever the class raises on its arguments, or more weights than this machine could train.
    """
    kind = network_opt.get('type')
    large = next((name for name, value in network_opt.items() if _find_largest(value) > LARGEST_ARGUMENT), None)
    if large is not None:
        raise UserError(f'{what}.{large}: no {kind} is that large; the most is {LARGEST_ARGUMENT}.')
    if not has_architecture(kind):
        raise UserError(
            f'{what}: there is no network {kind}; one of your own is registered by the file that has its class: add '
            '--import FILE.py.'
        )
    try:
        with _Allowance(f'{what}: {kind}'):
            net = build_network(network_opt)
    except UserError:
        raise
    except Exception as error:  # a class of anyone's, which raises what it likes
        raise UserError(f'{what}: {kind} cannot be built from these arguments ({describe(error)}).') from error
    empty = next((name for name, parameter in net.named_parameters() if not parameter.numel()), None)
    if empty is not None:
        raise UserError(f'{what}: {kind} of these arguments has nothing in {empty}; a number is 0 that must not be.')
    if padding.find_size_requirement(net).padded(1) > LARGEST_WINDOW:
        raise UserError(
            f'{what}: {kind} of these arguments takes no image smaller than '
            f'{padding.find_size_requirement(net).padded(1)} pixels; write smaller windows.'
        )
    return net


def describe(error: Exception) -> str:
    """An exception and the first line of what it says, on one line."""
    text = f'{type(error).__name__}: {error}'.splitlines()[0]
    return one_line(text).rstrip(': .')


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
        UserError: The file is missing or unreadable, its weights do not fit, or the options make no network.
    """
    key = what.removeprefix('path.pretrain_') or 'network_g'
    if network_opt['type'] == 'Spandrel':
        return build({**network_opt, 'path': path}, key)
    net = build(network_opt, key)
    load_into(net, read_weights(path, param_key), f'{what}: {path}' if what else path, strict)
    return net


class _Allowance(TorchFunctionMode):
    """Counts what torch's factory functions are asked for, before they take it.

    Linux grants memory that it does not have and ends the process, or another one, when it is written to.
    """

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what
        self.limit = self.left = read_physical_memory() // MEMORY_SHARE
        self.tensors = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES and 'out' not in kwargs:
            self.left -= func(*args, **{**kwargs, 'device': 'meta', 'pin_memory': False}).nbytes
            self.tensors += 1
        if self.left < 0:
            raise UserError(
                f'{self.what} of these arguments has more than {format_bytes(self.limit)} of weights, '
                f'and training holds {MEMORY_SHARE - 1} copies; write a smaller one.'
            )
        if self.tensors > MOST_TENSORS:
            raise UserError(f'{self.what} of these arguments has more than {MOST_TENSORS} layers; write a smaller one.')
        return func(*args, **kwargs)


def _find_largest(value: Any) -> int:
    """The largest size of a whole number in an argument."""
    if isinstance(value, (list, tuple)):
        return max(map(_find_largest, value), default=0)
    return abs(value) if isinstance(value, int) else 0
