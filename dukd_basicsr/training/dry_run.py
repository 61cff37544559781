"""`basicsr train --check`: one iteration of an options file on random images, and what the run will need."""

from __future__ import annotations

import logging
import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from basicsr.models import build_model
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.build import build, count_input_channels, describe
from dukd_basicsr.networks.cost import count_macs, count_parameters
from dukd_basicsr.options.rules.teacher import is_cached, read_needs
from dukd_basicsr.training import run_log
from dukd_basicsr.training.dry_memory import count_saved, count_standing, find_largest_call, find_peak
from dukd_basicsr.training.dry_options import complete, share_of_pixels
from dukd_basicsr.training.dry_report import Cost, DryRun, write_report

LARGEST_PATCH = 48
"""Side of the largest LR patch that the iteration is run on; a larger real one is estimated from it."""
LONGEST, MEMORY = 20, 2**30
"""The real batch is run where it needs no more seconds and bytes; else the time of one sample is multiplied."""


def run(opt: Mapping[str, Any]) -> DryRun:
    """Build the model of an options file, run one iteration with batch 1 on random images, and write the report.

    Weights that are there are loaded, for those that are not random ones stand in. No file is written.

    Args:
        opt (Mapping): Options that `options.check` has passed; left unchanged.

    Raises:
        UserError: Weights or networks that do not fit, a loss that is not a finite number.
    """
    result = measure(opt)
    sys.stdout.write(write_report(result, opt))
    wrong = [f'{name} is {value}' for name, value in result.terms.items() if not math.isfinite(value)]
    if wrong:
        raise UserError(f'the first loss is no number: {", ".join(wrong)}; look at the weights and at img_range.')
    return result


def measure(opt: Mapping[str, Any]) -> DryRun:
    """As `run`, without the report."""
    build(opt['network_g'])  # BasicSR builds it again, without a word for arguments that it cannot take
    try:
        with _own_logger():
            return _measure(opt)
    except UserError:
        raise
    except Exception as error:  # networks and losses are anyone's and raise what they like
        text = 'the first iteration fails; look at the arguments of the networks and of the losses'
        raise UserError(f'{text} ({describe(error)}).') from error


def _measure(opt: Mapping[str, Any]) -> DryRun:
    real = opt['datasets']['train']['gt_size'] // opt['scale']
    with _silence():
        model = build_model(complete(opt))
    rivals = [model.net_d] if hasattr(model, 'net_d') else []
    # Not every discriminator takes another patch than the run's.
    patch = real if rivals else _patch(model.net_g, real, opt['scale'])
    teachers = list(model.net_t.members) if hasattr(model, 'net_t') else []
    channels = count_input_channels(opt['network_g'])
    sample = _pair(channels, patch, opt['scale']) | _labels(opt, channels, patch)
    model.feed_data(sample)
    with ExitStack() as stack:
        saved = stack.enter_context(count_saved(model.net_g, *rivals))
        trained = [stack.enter_context(find_largest_call(net)) for net in (model.net_g, *rivals)]
        asked = [stack.enter_context(find_largest_call(net)) for net in teachers]
        started = time.perf_counter()
        model.optimize_parameters(1)
        terms = {name: float(value) for name, value in model.get_current_log().items()}
        seconds = time.perf_counter() - started
    parts = opt['train'].get('accumulate', 1)
    at_once = opt['datasets']['train'].get('batch_size_per_gpu', 1) / parts
    each = (real / patch) ** 2 * share_of_pixels(opt)
    largest = max(saved[0] + max(call[0] for call in trained), *(call[0] for call in asked), 0)
    batch_seconds = at_once * seconds
    if at_once >= 1 and batch_seconds <= LONGEST and at_once * largest <= MEMORY:
        batch_seconds = _time_batch(model, sample, int(at_once))
    moving = at_once * each * largest
    return DryRun(
        model=opt['model_type'],
        device=str(model.device),
        patch=patch,
        student=_cost(model.get_bare_model(model.net_g), real, channels),
        teachers=[_cost(each.net, real, channels) for each in teachers],
        # A copy that has not been asked: spectral norm leaves a graph in its layers, which cannot be copied.
        discriminator=_cost(build(opt['network_d'], 'network_d'), real * opt['scale'], channels) if rivals else None,
        terms=terms,
        seconds=seconds,
        batch_seconds=batch_seconds * parts * each,
        batch_memory=round(count_standing(model, teachers) + moving),
        peak_memory=find_peak(model.device),
    )


def _time_batch(model: Any, sample: Mapping[str, Tensor], count: int) -> float:
    """Seconds of an iteration of as many samples: one leaves a device idle, and its first step sets things up."""
    model.feed_data({name: torch.cat([tensor] * count) for name, tensor in sample.items()})
    started = time.perf_counter()
    model.optimize_parameters(2)
    model.get_current_log()  # waits for the device
    return time.perf_counter() - started


def _patch(net: nn.Module, real: int, scale: int) -> int:
    """The real patch, or the largest of at most LARGEST_PATCH that fits windows and zoom-out."""
    if real <= LARGEST_PATCH:
        return real
    multiple = math.lcm(padding.find_size_requirement(net).multiple, scale)
    return min(real, max(multiple, LARGEST_PATCH // multiple * multiple))


def _pair(channels: int, patch: int, scale: int) -> dict[str, Tensor]:
    return {'lq': torch.rand(1, channels, patch, patch), 'gt': torch.rand(1, channels, patch * scale, patch * scale)}


def _labels(opt: Mapping[str, Any], channels: int, patch: int) -> dict[str, Tensor]:
    """What an UpcycledImageDataset would bring beside the pair; nothing for other data."""
    if not is_cached(opt):
        return {}
    needs, s = read_needs(opt), opt['scale']
    sides = {'lq': (patch, ()), 'zoom_in': (patch, (needs.num,)), 'zoom_out': (patch // s, ())}
    brought = {}
    for part in needs.parts:
        side, crops = sides[part]
        brought[part] = torch.rand(1, *crops, channels, side, side)
        brought[f'{part}_label'] = torch.rand(1, *crops, channels, s * side, s * side)
    return brought


@contextmanager
def _own_logger() -> Iterator[None]:
    """BasicSR opens its logger once in a process: a run that follows in this one wants it with a log file."""
    opened = run_log.is_open()
    try:
        yield
    finally:
        if not opened:
            run_log.close()


@contextmanager
def _silence() -> Iterator[None]:
    """BasicSR logs whole networks while it builds them."""
    logger = get_root_logger()
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


def _cost(net: nn.Module, side: int, channels: int) -> Cost:
    return Cost(type(net).__name__, count_parameters(net), count_macs(net, side, side, channels))
