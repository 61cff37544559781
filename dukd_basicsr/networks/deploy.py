"""A network as it is deployed: blocks that train as several branches, folded into the one convolution they equal."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from dukd_basicsr.networks.build import describe
from dukd_basicsr.networks.padding import super_resolve

TOLERANCE = 1e-4
"""By how much a folded network's answer may differ, relative to the largest value of the answer where that is above 1:
float32 adds up the folded weights in another order."""
_SIZES = ((2, 24, 19), (1, 5, 32))
"""Batch, height and width of the images that both forms are asked for; borders are where a wrong fold shows first."""


@dataclass(frozen=True)
class Deployed:
    """The two forms of a network, or the one that it has."""

    net: nn.Module
    """What is measured, exported and shipped: eval, frozen."""
    trained: nn.Module | None = None
    """What was trained, where folding has changed it; None where `net` is that."""
    note: str | None = None
    """Why a network that could be folded was not, in a sentence."""


def deploy(net: nn.Module) -> nn.Module:
    """Fold every block that says how.

    Blocks are recognised by what they can do, not by their class:

    * `switch_to_deploy()`, as RepVGG's and its descendants' have it, is called;
    * `update_params()` with an `eval_conv` (SPAN's Conv3XC) gives way to that convolution;
    * BasicSR's ECB (`conv3x3` and `conv1x1_*` branches with `rep_params`) is folded here: its own fold makes float32
      whatever the weights are, and is computed anew in every forward pass.

    Args:
        net (nn.Module): On any device, in any mode and precision; left unchanged.

    Returns:
        nn.Module: A copy in eval mode, frozen, that computes what `net` computes in eval mode; `net` itself where it
            has no such block.

    Raises:
        Exception: Whatever a block of anyone's raises when it is folded; `deploy_checked` catches it.
    """
    if not any(_find_fold(module) for module in net.modules()):
        return net
    copied = copy.deepcopy(net).eval().requires_grad_(False)
    with torch.no_grad():
        return _fold_below(copied, {}).eval().requires_grad_(False)


def deploy_checked(net: nn.Module, channels: int) -> Deployed:
    """`deploy`, and the two forms compared: a fold that computes something else is not used.

    Args:
        net (nn.Module): In eval mode; left unchanged.
        channels (int): Of its input.

    Returns:
        Deployed: With a `note` where a block cannot be folded or folds into another function.
    """
    kept = f'{type(net).__name__} is measured and exported as it was trained'
    try:
        deployed = deploy(net)
        if deployed is net:
            return Deployed(net)
        difference = max(_differ(net, deployed, image) for image in _draw_images(net, channels))
    except Exception as error:  # blocks of anyone's, which raise what they like
        return Deployed(net, note=f'{kept}: its blocks cannot be folded ({describe(error)}).')
    if not difference <= TOLERANCE:
        return Deployed(net, note=f'{kept}: folded, its answer differs by {difference:.1e}.')
    return Deployed(deployed, net)


def _find_fold(module: nn.Module) -> Callable[[Any], nn.Module] | None:
    """How a block is folded; None where it is none."""
    if callable(getattr(module, 'switch_to_deploy', None)):
        return _switch
    if callable(getattr(module, 'update_params', None)) and isinstance(getattr(module, 'eval_conv', None), nn.Conv2d):
        return _take_eval_conv
    if type(module).__name__ == 'ECB' and callable(getattr(module, 'rep_params', None)):
        return _fold_ecb
    return None


def _fold_below(module: nn.Module, done: dict[nn.Module, nn.Module]) -> nn.Module:
    """The folded form of a module and of all in it; a block that stands in several places stays one."""
    if module not in done:
        fold = _find_fold(module)
        if fold is not None:
            done[module] = fold(module)
        else:
            done[module] = module
            for name, child in list(module.named_children()):
                setattr(module, name, _fold_below(child, done))
    return done[module]


def _switch(block: Any) -> nn.Module:
    block.switch_to_deploy()
    return block


def _take_eval_conv(block: Any) -> nn.Module:
    """SPAN's Conv3XC, folded in float64 by its own `update_params`."""
    dtype = block.eval_conv.weight.dtype
    block.double().update_params()
    conv = block.eval_conv.to(dtype)
    return nn.Sequential(conv, nn.LeakyReLU(0.05)) if getattr(block, 'has_relu', False) else conv


def _fold_ecb(block: Any) -> nn.Module:
    """BasicSR's ECB: four branches of a 1x1 and a 3x3 convolution, one 3x3 convolution, and the input itself."""
    plain = block.conv3x3
    weight, bias = plain.weight.double(), plain.bias.double()
    for branch in (block.conv1x1_3x3, block.conv1x1_sbx, block.conv1x1_sby, block.conv1x1_lpl):
        first, inner_bias = branch.k0.double()[:, :, 0, 0], branch.b0.double()  # (M, I), (M,)
        if branch.seq_type == 'conv1x1-conv3x3':
            second, outer_bias = branch.k1.double(), branch.b1.double()  # (O, M, 3, 3)
        else:  # a fixed filter for each channel
            second = torch.diag_embed((branch.scale * branch.mask).double()[:, 0].permute(1, 2, 0)).permute(2, 3, 0, 1)
            outer_bias = branch.bias.double()
        weight = weight + torch.einsum('omhw,mi->oihw', second, first)
        # The border of the 1x1 convolution's output is padded with its bias, so that this holds there too.
        bias = bias + torch.einsum('omhw,m->o', second, inner_bias) + outer_bias
    if block.with_idt:
        channels = torch.arange(weight.shape[0], device=weight.device)
        weight = weight.clone()
        weight[channels, channels, 1, 1] += 1
    conv = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1, device=weight.device, dtype=plain.weight.dtype)
    conv.load_state_dict({'weight': weight, 'bias': bias})
    return conv if block.act_type == 'linear' else nn.Sequential(conv, block.act)


def _draw_images(net: nn.Module, channels: int) -> Sequence[Tensor]:
    some = next(net.parameters())
    generator = torch.Generator().manual_seed(0)
    return [
        torch.rand(batch, channels, *size, generator=generator).to(some.device, some.dtype) for batch, *size in _SIZES
    ]


def _differ(net: nn.Module, deployed: nn.Module, image: Tensor) -> float:
    """The largest difference of two answers, relative to the largest value where that is above 1."""
    expected = super_resolve(net, image)
    difference = (super_resolve(deployed, image) - expected).abs().max() / expected.abs().max().clamp(min=1)
    return float(difference)
