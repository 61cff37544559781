"""Weights out of a file, without running what is in it, and into a network that they fit."""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dukd_basicsr.errors import UserError, say_where
from dukd_basicsr.networks import layouts
from dukd_basicsr.networks.layouts import Recognised
from dukd_basicsr.networks.layouts.layout import find_architecture

StateDict = dict[str, Tensor]

_WRAPPERS = ('state_dict', 'model', 'net')


class Weights(dict[str, Tensor]):
    """A state dict that knows where it comes from.

    Args:
        weights (Mapping[str, Tensor]): Name to tensor.
        param_key (str | None): Under which key of the file they were; None for a bare state dict.
        layout (Recognised | None): What they were read as, if their names were not BasicSR's; its names are taken.
    """

    def __init__(self, weights: Mapping[str, Tensor], param_key: str | None, layout: Recognised | None) -> None:
        super().__init__(layout.weights if layout else weights)
        self.param_key = param_key
        self.layout = layout
        self.original = weights


def build_network(network_opt: Mapping[str, Any]) -> nn.Module:
    """BasicSR's `build_network` without its log line, which before a run starts would cost the run its log file.

    Args:
        network_opt (Mapping): `network_g` or `network_t` of an options file: type and the arguments of that class.
    """
    arguments = dict(network_opt)
    return find_architecture(arguments.pop('type'))(**arguments)


def read_weights(path: str | Path, param_key: str | None = 'params') -> Weights:
    """Read the weights of one network from a checkpoint file, on the CPU, under BasicSR's names.

    Args:
        path (str | Path): A `.safetensors`, or what `torch.save` writes: BasicSR's {'params': ..., 'params_ema': ...},
            a bare state dict, one under 'state_dict', 'model' or 'net'. Names of a layout that
            `layouts.recognise_foreign` knows become BasicSR's.
        param_key (str | None): Which of the networks in the file; None for a bare state dict. As in BasicSR, the
            other of 'params' and 'params_ema' is taken where the asked one is missing.

    Returns:
        Weights: Name to tensor; 'module.' prefixes of DataParallel are removed.

    Raises:
        UserError: No such file; not a checkpoint, or a damaged one; a pickle that could run code; no weights under
            `param_key`; weights without names or that are no numbers; a known layout that BasicSR's network cannot
            express.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f'{path}: there is no such checkpoint file{say_where(path)}.')
    refuse_damaged(path)
    content = _read_safetensors(path) if path.suffix.lower() == '.safetensors' else _unpickle(path)
    key, chosen = _choose(content, param_key, path)
    _refuse_other_names(chosen, path)
    weights = {name.removeprefix('module.'): tensor for name, tensor in chosen.items()}
    refuse_no_numbers(weights, path)
    try:
        layout = layouts.recognise_foreign(weights)
    except UserError as error:
        raise UserError(f'{path}: {error}') from None
    return Weights(weights, key, layout)


def refuse_damaged(path: Path) -> None:
    """Check what a file says of itself: `torch.save` writes a zip archive with checksums, `torch.load` ignores them.

    Raises:
        UserError: A part of the archive is not what was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            part = archive.testzip()
    except (zipfile.BadZipFile, OSError, EOFError):  # no archive; what it is instead is seen when it is read
        return
    except Exception as error:  # of the compressions that a zip may have
        raise UserError(_say_damaged(path, error)) from None
    if part is not None:
        raise UserError(_say_damaged(path, ValueError(f'the checksum of {part} is another')))


def refuse_no_numbers(weights: Mapping[str, Tensor], path: Path | str) -> None:
    """Refuse what a training that diverged has left.

    Args:
        weights (Mapping[str, Tensor]): Name to tensor. Masks of zeros and minus infinities are let pass.
        path (Path | str): Their file, for the message.

    Raises:
        UserError: A value is NaN or infinite.
    """
    for name, tensor in weights.items():
        if tensor.is_floating_point() and not tensor.isfinite().all() and (tensor[tensor != -torch.inf] != 0).any():
            raise UserError(
                f'{path}: {name} has values that are no numbers (NaN or infinite), as a training leaves them that has '
                'failed; use an earlier checkpoint of it.'
            )


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
        UserError: strict and something differs (the first five differences are named, and the options that would fit
            if the weights are of a known layout), or nothing matches at all.
    """
    own = net.state_dict()
    layout = weights.layout if isinstance(weights, Weights) else None
    if isinstance(weights, Weights) and own.keys().isdisjoint(weights):
        # A network of somebody's own that has the names of the file.
        weights, layout = weights.original, None
    differences = _find_differences(own, weights) + (_find_differing_arguments(net, layout) if layout else [])
    fitting = {name: weights[name] for name in own if name in weights and weights[name].shape == own[name].shape}
    if differences and (strict or not fitting):
        shown = '; '.join(differences[:5])
        more = f'; and {len(differences) - 5} more' if len(differences) > 5 else ''
        fits = _say_what_fits(layout or layouts.recognise(weights), what)
        raise UserError(f'{what} does not fit {type(net).__name__} as configured: {shown}{more}.{fits}')
    net.load_state_dict(fitting, strict=False)
    return differences


def _find_differences(own: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> list[str]:
    """Missing, unexpected and misshapen weights in the order of the network, then of the file."""
    found = []
    for name, tensor in own.items():
        if name not in weights:
            found.append(f'{name} is missing in the file')
        elif weights[name].shape != tensor.shape:
            found.append(f'{name} is {tuple(weights[name].shape)} in the file, {tuple(tensor.shape)} in the network')
    return found + [f'{name} is only in the file' for name in weights if name not in own]


def _say_what_fits(layout: Recognised | None, what: str) -> str:
    """The options that the weights would fit, for the end of a message."""
    if layout is None:
        return ''
    key = 'network_t' if 'pretrain_network_t' in what else 'network_g'
    unknown = f' (it does not tell {", ".join(layout.assumed)}: usual values are shown)' if layout.assumed else ''
    return f' The file{unknown} fits {key}: {layout.to_line()}.'


def _find_differing_arguments(net: nn.Module, layout: Recognised) -> list[str]:
    """Arguments that the file fixes without a shape that shows them, and that the network has otherwise."""
    found = []
    for name, attribute in (('img_range', 'img_range'), ('rgb_mean', 'mean')):
        there, here = layout.network.get(name), getattr(net, attribute, None)
        if there is None or here is None or name in layout.assumed:
            continue
        here = here.flatten().tolist() if isinstance(here, Tensor) else here
        if not torch.allclose(torch.tensor(there), torch.tensor(here, dtype=torch.float), rtol=1e-4, atol=1e-5):
            found.append(f'{name} is {there} in the file, {here} in the network')
    return found


def _unpickle(path: Path) -> Any:
    """What `torch.save` has written, as long as it is tensors and plain data."""
    try:
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        raise UserError(_say_refused(path, error)) from None
    except Exception as error:  # torch's unpickler of tensors raises what it stumbles over, IndexError among others
        raise UserError(_say_damaged(path, error)) from None


def _read_safetensors(path: Path) -> StateDict:
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(_say_damaged(path, error)) from None


def _choose(content: Any, param_key: str | None, path: Path) -> tuple[str | None, StateDict]:
    """The state dict that `param_key` means in the content of a file, and the key under which it was."""
    if not isinstance(content, dict) or not content:
        raise UserError(f'{path}: holds no network weights (a {type(content).__name__}).')
    other = {'params': 'params_ema', 'params_ema': 'params'}
    for key in (param_key, other.get(param_key or '')):
        if key is not None and _is_state_dict(content.get(key)):
            return key, content[key]
    if _is_state_dict(content):
        return None, content
    wrappers = [key for key in _WRAPPERS if _is_state_dict(content.get(key))]
    if len(wrappers) == 1:
        return wrappers[0], content[wrappers[0]]
    names = ', '.join(f'"{key}"' for key in list(content)[:8])
    raise UserError(f'{path}: no network weights under param_key "{param_key}"; the file holds {names}.')


def _is_state_dict(value: Any) -> bool:
    return isinstance(value, dict) and bool(value) and all(isinstance(tensor, Tensor) for tensor in value.values())


def _refuse_other_names(weights: Mapping[Any, Tensor], path: Path) -> None:
    other = next((name for name in weights if not isinstance(name, str)), None)
    if other is not None:
        raise UserError(
            f'{path}: its weights are named by {type(other).__name__}s (the first is {other}), and those of a network '
            "by texts such as 'conv_first.weight'; save net.state_dict()."
        )


def _say_damaged(path: Path, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return f'{path}: not a readable checkpoint ({reason}); copy or download it again.'


def _say_refused(path: Path, error: pickle.UnpicklingError) -> str:
    """One sentence that tells a file which is no checkpoint from one whose pickle asks for more than tensors."""
    if 'Unsupported global' in str(error) or 'Unsupported class' in str(error) or 'GLOBAL' in str(error):
        return (
            f'{path}: refused, since loading it would run code that it brings along (a pickle of more than '
            'tensors); save its state dict alone with torch.save(net.state_dict(), ...) where you trust it.'
        )
    return f'{path}: not a readable checkpoint; copy or download it again.'
