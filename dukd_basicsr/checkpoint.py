"""Weights out of a file, without running what is in it, and into a network that they fit."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from basicsr.utils.registry import ARCH_REGISTRY
from torch import Tensor, nn

from dukd_basicsr.errors import UserError

StateDict = dict[str, Tensor]


def build_network(network_opt: Mapping[str, Any]) -> nn.Module:
    """BasicSR's `build_network` without its log line, which before a run starts would cost the run its log file.

    Args:
        network_opt (Mapping): `network_g` or `network_t` of an options file: type and the arguments of that class.
    """
    arguments = dict(network_opt)
    return ARCH_REGISTRY.get(arguments.pop('type'))(**arguments)


def read_weights(path: str | Path, param_key: str | None = 'params') -> StateDict:
    """Read the weights of one network from a checkpoint file, on the CPU.

    Args:
        path (str | Path): A `.pth` as BasicSR writes it ({'params': ..., 'params_ema': ...}) or a bare state dict.
        param_key (str | None): Which of the networks in the file; None for a bare state dict. As in BasicSR, the
            other of 'params' and 'params_ema' is taken where the asked one is missing.

    Returns:
        dict[str, Tensor]: Name to tensor; 'module.' prefixes of DataParallel are removed.

    Raises:
        UserError: No such file; not a checkpoint; a pickle that could run code; no weights under `param_key`.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f'{path}: there is no such checkpoint file.')
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(_unpickling_reason(path, error)) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f'{path}: not a readable checkpoint ({reason}); copy or download it again.') from None
    weights = _choose(content, param_key, path)
    return {name.removeprefix('module.'): tensor for name, tensor in weights.items()}


def load_into(net: nn.Module, weights: Mapping[str, Tensor], what: str, strict: bool = True) -> list[str]:
    """Copy weights into a network, only if they fit.

    Args:
        net (nn.Module): The network; left unchanged if an error is raised.
        weights (Mapping[str, Tensor]): As from `read_weights`. Half-precision weights are widened.
        what (str): Opens the message, e.g. 'path.pretrain_network_t: x.pth'.
        strict (bool): Whether every weight must match; otherwise the matching ones are taken.

    Returns:
        list[str]: What did not match, one entry a weight; empty for a perfect fit.

    Raises:
        UserError: strict and something differs (the first five differences are named), or nothing matches at all.
    """
    own = net.state_dict()
    differences = _differences(own, weights)
    fitting = {name: weights[name] for name in own if name in weights and weights[name].shape == own[name].shape}
    if differences and (strict or not fitting):
        shown = '; '.join(differences[:5])
        more = f'; and {len(differences) - 5} more' if len(differences) > 5 else ''
        raise UserError(f'{what} does not fit {type(net).__name__} as configured: {shown}{more}.')
    net.load_state_dict(fitting, strict=False)
    return differences


def _differences(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """Missing, unexpected and misshapen weights in the order of the network, then of the file."""
    found = []
    for name, tensor in own.items():
        if name not in weights:
            found.append(f'{name} is missing in the file')
        elif weights[name].shape != tensor.shape:
            found.append(f'{name} is {tuple(weights[name].shape)} in the file, {tuple(tensor.shape)} in the network')
    return found + [f'{name} is only in the file' for name in weights if name not in own]


def _choose(content: Any, param_key: str | None, path: Path) -> dict[str, Tensor]:  # noqa: ANN401
    """The state dict that `param_key` means in what `torch.load` returned."""
    if not isinstance(content, dict) or not content:
        raise UserError(f'{path}: holds no network weights (a {type(content).__name__}).')
    other = {'params': 'params_ema', 'params_ema': 'params'}
    candidates = [param_key, other.get(param_key or '')]
    chosen = next((content[key] for key in candidates if key is not None and key in content), content)
    if isinstance(chosen, dict) and chosen and all(isinstance(value, Tensor) for value in chosen.values()):
        return chosen
    names = ', '.join(f'"{key}"' for key in list(content)[:8])
    raise UserError(f'{path}: no network weights under param_key "{param_key}"; the file holds {names}.')


def _unpickling_reason(path: Path, error: pickle.UnpicklingError) -> str:
    """One sentence that tells a file which is no checkpoint from one whose pickle asks for more than tensors."""
    if 'Unsupported global' in str(error) or 'Unsupported class' in str(error) or 'GLOBAL' in str(error):
        return (
            f'{path}: refused, since loading it would run code that it brings along (a pickle of more than '
            'tensors); save its state dict alone with torch.save(net.state_dict(), ...) where you trust it.'
        )
    return f'{path}: not a readable checkpoint; copy or download it again.'
