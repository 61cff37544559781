"""Pretrained weights of the network that trains: any layout, no code, and a sentence where they do not fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from basicsr.models.base_model import BaseModel
    from torch import nn


def load_network(
    self: BaseModel, net: nn.Module, load_path: str, strict: bool = True, param_key: str | None = 'params'
) -> None:
    """`BaseModel.load_network`: read a checkpoint into a network.

    Defect: basicsr/models/base_model.py:290-296 takes `param_key` for granted and leaves it to torch's default whether
    a pickle may run code; :306 raises a hundred lines of names.
    Symptom: `KeyError: 'params'` on every file that BasicSR has not written; `Error(s) in loading state_dict`.
    Threads: XPixelGroup/BasicSR#253, #170; TencentARC/AnimeSR#10.
    Here: `checkpoint.read_weights` and `load_into`, as for teachers, with stock's log lines. Not strict, the weights
    that match are taken and the others listed: an x4 student starts from an x2 one in this way.

    Args:
        self (BaseModel): The model.
        net (nn.Module): Bare or wrapped for several devices.
        load_path (str): The checkpoint.
        strict (bool): Whether every weight must match.
        param_key (str | None): Where in the file the weights are.

    Raises:
        UserError: The file cannot be read, or its weights do not fit.
    """
    from basicsr.utils import get_root_logger

    from dukd_basicsr.networks.weights import load_into, read_weights

    logger = get_root_logger()
    net = self.get_bare_model(net)
    weights = read_weights(load_path, param_key)
    if weights.param_key != param_key:
        logger.info('Loading: %s does not exist, use %s.', param_key, weights.param_key)
    logger.info('Loading %s model from %s, with param key: [%s].', type(net).__name__, load_path, weights.param_key)
    differences = load_into(net, weights, f'{load_path}', strict)
    if differences:
        logger.warning('%s: the weights that match are loaded; these do not and stay as they are:', load_path)
    for difference in differences:
        logger.warning('  %s', difference)
