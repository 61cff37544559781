"""BasicSR's own train and test pipelines, started only when nothing stands in their way."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable

# isort: split
import torch
from basicsr.test import test_pipeline
from basicsr.train import train_pipeline

from dukd_basicsr.checkpoint import build_network
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import load_network
from dukd_basicsr.teacher import build_teacher


def train(opt: Mapping[str, Any], argv: Sequence[str]) -> None:
    """Run BasicSR's `train_pipeline` with its folders under the current directory.

    Args:
        opt (Mapping): The checked options, for the checks that need the networks.
        argv (Sequence[str]): BasicSR's command line, without the program.

    Raises:
        UserError: A network that does not fit its weights, its task or the machine; nothing has been created then.
    """
    _check_device(opt)
    _check_student(opt)
    if opt.get('network_t') is not None:
        build_teacher(opt)
    sys.argv = ['basicsr', *argv]
    train_pipeline(os.getcwd())


def test(opt: Mapping[str, Any], argv: Sequence[str]) -> None:
    """Run BasicSR's `test_pipeline`; arguments and errors as for `train`."""
    _check_device(opt)
    _check_student(opt)
    sys.argv = ['basicsr', *argv]
    test_pipeline(os.getcwd())


def _check_device(opt: Mapping[str, Any]) -> None:
    if opt['num_gpu'] != 'auto' and opt['num_gpu'] > torch.cuda.device_count():
        raise UserError(f'num_gpu: {opt["num_gpu"]}, but torch {torch.__version__} sees {torch.cuda.device_count()} '
                        'CUDA devices; write num_gpu: 0 for the CPU, or num_gpu: auto.')  # fmt: skip


def _check_student(opt: Mapping[str, Any]) -> None:
    """Build the student and load its pretrained weights once, to fail before BasicSR creates folders."""
    path_opt = opt['path']
    path = path_opt.get('pretrain_network_g')
    if path is None:
        build_network(opt['network_g'])
    else:
        key, strict = path_opt.get('param_key_g', 'params'), path_opt.get('strict_load_g', True)
        load_network(opt['network_g'], path, key, strict, 'path.pretrain_network_g')
