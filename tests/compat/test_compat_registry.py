"""BasicSR's registries and log line: first the stock defect, then ours."""

from __future__ import annotations

import logging

import pytest
from basicsr.utils import MessageLogger
from basicsr.utils.registry import ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY, Registry

from dukd_basicsr import compat

STOCK_GET = compat.stock(compat.get_registered)


def test_stock_prints_and_ours_does_not(capsys):
    found = STOCK_GET(ARCH_REGISTRY, 'SRVGGNetCompact')
    assert 'SRVGGNetCompact is not found, use name: SRVGGNetCompact_basicsr!' in capsys.readouterr().out
    assert ARCH_REGISTRY.get('SRVGGNetCompact') is found
    assert capsys.readouterr() == ('', '')


@pytest.mark.parametrize('registry', [ARCH_REGISTRY, LOSS_REGISTRY, METRIC_REGISTRY, MODEL_REGISTRY])
def test_every_name_is_found_as_in_stock(registry):
    for name, registered in registry:
        assert registry.get(name) is registered
        assert registry.get(name.removesuffix('_basicsr')) is STOCK_GET(registry, name.removesuffix('_basicsr'))


def test_the_own_name_comes_before_the_suffix():
    registry = Registry('thing')
    registry._do_register('A', 1)
    registry._do_register('A', 2, 'basicsr')
    registry._do_register('B', 3, 'mine')
    assert registry.get('A') == 1
    assert registry.get('B', 'mine') == 3
    for get in (registry.get, lambda name: STOCK_GET(registry, name)):
        with pytest.raises(KeyError, match="No object named 'B' found in 'thing' registry!"):
            get('B')


def write_line(iteration, total, caplog):
    opt = {
        'name': 'run', 'logger': {'print_freq': 1, 'use_tb_logger': False}, 'train': {'total_iter': total}
    }  # fmt: skip
    log = MessageLogger(opt, 0, None)
    log.start_time -= 60 * (iteration + 1)  # a minute an iteration, as stock counts them
    caplog.clear()
    caplog.set_level(logging.INFO, 'basicsr')
    log.logger.propagate = True
    try:
        log({'epoch': 0, 'iter': iteration, 'lrs': [0.1], 'time': 60.0, 'data_time': 0.0})
    finally:
        log.logger.propagate = False
    return caplog.messages[-1]


@pytest.mark.parametrize(('iteration', 'left'), [(10, '0:00:00'), (9, '0:01:00'), (4, '0:06:00')])
def test_the_time_that_is_left_is_that_of_the_iterations_that_are_left(iteration, left, caplog):
    assert f'[eta: {left},' in write_line(iteration, 10, caplog)


def test_stock_ends_a_day_early(caplog, monkeypatch):
    monkeypatch.setattr(MessageLogger, '__init__', compat.stock(compat.init_message_logger))
    assert '[eta: -1 day, 23:59:00,' in write_line(10, 10, caplog)
