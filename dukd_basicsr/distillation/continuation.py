"""A network that goes on from given features, by the name of a module and without a change to the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from dukd_basicsr.networks import padding
from dukd_basicsr.networks.acceleration import reduce_precision


class Continuation:
    """What a network would answer to an image, had one of its modules answered other features.

    The image passes through the network once more, so that what skip connections carry past the module is the
    network's own. Modules before this one in the same `nn.Sequential` are left out: nothing else sees their answers.
    Gradients reach the features, and the network's parameters where these are trained; a frozen network gets none.

    Args:
        net (nn.Module): Bare, not wrapped for several devices.
        paths (Sequence[str]): Modules by their dotted names. Each answers a map (B, C, h, w), or tokens (B, H * W, C)
            of an image (B, C, H, W), and is called once in a pass.
        probe (Tensor): A small image, (1, C, H, W), that the network is asked once.
        dtype (torch.dtype | None): What the network is computed in, see `reduce_precision`.
    """

    def __init__(self, net: nn.Module, paths: Sequence[str], probe: Tensor, dtype: torch.dtype | None = None) -> None:
        self.net, self.dtype = net, dtype
        self.requirement = padding.find_size_requirement(net)
        self.tokens = self._find_tokens(paths, probe)

    def __call__(self, lq: Tensor, path: str, features: Tensor) -> Tensor:
        """The network's answer to `lq` if the module answers `features`.

        Args:
            lq (Tensor): (B, C, H, W) of any size, in [0, 1].
            path (str): One of the paths.
            features (Tensor): (B, C', h, w), of the module's width and of the size that belongs to `lq`. Where the
                network needs `lq` padded, what the module answers to the padding stays its own.

        Returns:
            Tensor: (B, C, s * H, s * W), with the graph of `features`.
        """
        padded = padding.pad(lq, self.requirement).shape[-2:]
        with ExitStack() as stack:
            stack.enter_context(_force_eager(self.net))
            module, whole = self.net.get_submodule(path), padded == lq.shape[-2:]
            answer = partial(self._answer, path, features, None if whole else module.forward, padded)
            stack.enter_context(_replace_forward(module, answer))
            for before in _list_before(self.net, path) if whole else ():
                stack.enter_context(_replace_forward(before, _pass_through))
            return padding.forward(reduce_precision(self.net, self.dtype), lq, self.requirement)

    def _answer(
        self,
        path: str,
        features: Tensor,
        own: Callable[..., Tensor] | None,
        padded: torch.Size,
        *inputs: Any,
    ) -> Tensor:
        """The features in the module's layout, in its own answer where that is to padding too.

        Always a copy: networks add to a module's answer in place, and other losses read the same features.
        """
        if own is None:
            return features.flatten(2).transpose(1, 2).clone() if self.tokens[path] else features.clone()
        answer = own(*inputs)
        whole = answer.transpose(1, 2).unflatten(2, padded).clone() if self.tokens[path] else answer.clone()
        whole[..., : features.shape[-2], : features.shape[-1]] = features.to(whole.dtype)
        return whole.flatten(2).transpose(1, 2) if self.tokens[path] else whole

    @torch.no_grad()
    def _find_tokens(self, paths: Sequence[str], probe: Tensor) -> dict[str, bool]:
        """Which modules answer tokens; the network's mode is as before."""
        found: dict[str, bool] = {}

        def keep(path: str, _: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            found[path] = output.ndim == 3

        mode = self.net.training
        hooks = [self.net.get_submodule(path).register_forward_hook(partial(keep, path)) for path in paths]
        padding.forward(self.net.eval(), probe, self.requirement)
        self.net.train(mode)
        for hook in hooks:
            hook.remove()
        return found


@contextmanager
def _replace_forward(module: nn.Module, function: Callable[..., Tensor]) -> Iterator[None]:
    """While a module computes something else; its class and its hooks stay as they are."""
    own = module.__dict__.get('forward')
    module.__dict__['forward'] = function
    try:
        yield
    finally:
        del module.__dict__['forward']
        if own is not None:
            module.__dict__['forward'] = own


def _pass_through(x: Tensor) -> Tensor:
    return x


def _list_before(net: nn.Module, path: str) -> list[nn.Module]:
    """The modules before this one in its `nn.Sequential`; none where it is not in one."""
    parent, _, child = path.rpartition('.')
    row = net.get_submodule(parent)
    if type(row).forward is not nn.Sequential.forward:
        return []
    children = dict(row.named_children())
    return list(children.values())[: list(children).index(child)]


def _force_eager(net: nn.Module) -> AbstractContextManager[object]:
    """A compiled network knows its modules as they were when it was compiled; this one is asked as it stands."""
    return torch.compiler.set_stance('force_eager') if net._compiled_call_impl is not None else nullcontext()
