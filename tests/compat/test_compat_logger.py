"""Weights and biases of a team: first what stock leaves out, then ours."""

from __future__ import annotations

import os
import sys
from types import ModuleType, SimpleNamespace

import basicsr.train
import pytest

from dukd_basicsr import compat
from dukd_basicsr.compat.logger import init_wandb_logger


@pytest.fixture
def runs(monkeypatch):
    """What `wandb.init` is called with, and the entity that wandb itself would take of the environment."""
    found = []
    wandb = ModuleType('wandb')
    wandb.util = SimpleNamespace(generate_id=lambda: 'id')
    wandb.init = lambda **given: found.append({**given, 'environment': os.environ.get('WANDB_ENTITY')})
    monkeypatch.setitem(sys.modules, 'wandb', wandb)
    monkeypatch.setenv('WANDB_ENTITY', 'before')
    return found


OPT = {'name': 'x', 'root_path': '.', 'logger': {'use_tb_logger': True, 'wandb': {'project': 'p', 'entity': 'team'}}}


def test_stock_does_not_name_the_team(runs):
    compat.stock(init_wandb_logger)(OPT)
    assert 'entity' not in runs[0]
    assert runs[0]['environment'] == 'before'


@pytest.mark.parametrize(('entity', 'told'), [('team', 'team'), (None, 'before')])
def test_the_team_is_told(runs, entity, told, monkeypatch):
    monkeypatch.setattr(basicsr.train, 'init_tb_logger', lambda log_dir: None)
    opt = {**OPT, 'logger': {'use_tb_logger': True, 'wandb': {'project': 'p', 'entity': entity}}}
    basicsr.train.init_tb_loggers(opt)
    assert (runs[0]['project'], runs[0]['environment']) == ('p', told)
