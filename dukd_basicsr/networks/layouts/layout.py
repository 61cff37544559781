"""What is known of a checkpoint once its layout is, and the proof that it is so."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import yaml
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor


@dataclass(frozen=True)
class Recognised:
    """A checkpoint whose layout, and with it whose network, is known."""

    name: str
    """Where its names come from, e.g. 'EDSR-PyTorch'."""
    network: Mapping[str, Any]
    """`network_t` (or `network_g`) that fits: type and arguments."""
    weights: Mapping[str, Tensor]
    """The state dict under BasicSR's names."""
    notes: tuple[str, ...] = ()
    """What no file of this layout says and was assumed, a sentence each."""
    assumed: tuple[str, ...] = ()
    """The arguments that were assumed."""
    parameters: int = 0
    """Parameters of the network."""

    def to_line(self) -> str:
        """`network` as YAML in one line."""
        return _write_line(self.network)

    def to_block(self, key: str) -> str:
        """`network` as a block of an options file."""
        return f'{key}:\n' + ''.join(f'  {_write_line({name: value})[1:-1]}\n' for name, value in self.network.items())


def _write_line(mapping: Mapping[str, Any]) -> str:
    return yaml.safe_dump(dict(mapping), default_flow_style=True, sort_keys=False, width=math.inf).strip()


Guess = Callable[[Mapping[str, Tensor]], 'Recognised | None']
"""Infers a layout from weights that have its names. It may fail in any way on others."""


def fit(layout: Recognised) -> Recognised | None:
    """Build the network: the layout with its number of parameters, or None where its weights do not fit exactly.

    Buffers are computed by a network (SwinIR's masks), so theirs must agree in value too: an img_size of another shape
    with as many windows is not taken for the right one.
    """
    arguments = dict(layout.network)
    build = find_architecture(arguments.pop('type'))
    with torch.random.fork_rng(devices=[]):  # reading a file must not move the random numbers of a run
        net = build(**arguments)
    own = net.state_dict()
    if own.keys() != layout.weights.keys():
        return None
    if any(layout.weights[name].shape != tensor.shape for name, tensor in own.items()):
        return None
    if any(not torch.equal(layout.weights[name].to(tensor.dtype), tensor) for name, tensor in net.named_buffers()):
        return None
    return replace(layout, parameters=sum(parameter.numel() for parameter in net.parameters()))


def find_architecture(kind: str) -> Any:
    """The registered class of a network; BasicSR's own may be registered as `<kind>_basicsr` (SRVGGNetCompact is).

    Raises:
        KeyError: There is none.
    """
    suffixed = f'{kind}_basicsr'  # found by its plain name, it would print a line
    return ARCH_REGISTRY.get(suffixed if kind not in ARCH_REGISTRY and suffixed in ARCH_REGISTRY else kind)


def has_architecture(kind: Any) -> bool:
    """Whether a network of that type is registered."""
    return isinstance(kind, str) and (kind in ARCH_REGISTRY or f'{kind}_basicsr' in ARCH_REGISTRY)


def count_numbers(weights: Mapping[str, Tensor], pattern: str) -> int:
    """How many different numbers the one group of `pattern` has among the names."""
    return len({match[1] for name in weights if (match := re.fullmatch(pattern, name))})


def read_scale(weights: Mapping[str, Tensor]) -> int:
    """The scale of BasicSR's `Upsample` under 'upsample.': one convolution per doubling, or one for x3."""
    if 'upsample.0.weight' not in weights:
        return 1
    outputs, inputs = weights['upsample.0.weight'].shape[:2]
    return 3 if outputs == 9 * inputs else 2 ** count_numbers(weights, r'upsample\.(\d+)\.weight')
