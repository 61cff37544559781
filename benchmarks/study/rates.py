"""Learning rates, chosen for each method by its PSNR on photographs that no cell is trained or reported on."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from benchmarks.study.cells import Cell, search_cells
from benchmarks.study.protocol import HELD_OUT, Protocol

Tried = dict[float, float]
"""Learning rate to mean PSNR on the held-out photographs."""


def tried(protocol: Protocol, found: Mapping[str, Any]) -> dict[str, Tried]:
    """What has been measured of each method's search, by method.

    Args:
        protocol (Protocol): The study.
        found (Mapping): Records by the name of their cell.
    """
    scores = {
        method: {cell.rate: held_out(found[cell.name]) for cell in search_cells(protocol, method) if cell.name in found}
        for method in searched(protocol)
    }
    return {method: rates for method, rates in scores.items() if rates}


def held_out(record: Mapping[str, Any]) -> float:
    """Mean PSNR over the held-out photographs."""
    return statistics.fmean(record['scores'][HELD_OUT]['psnr'])


def searched(protocol: Protocol) -> list[str]:
    """The methods whose own rate is searched for."""
    return [name for name, method in protocol.methods.items() if method.rate_of is None]


def missing(protocol: Protocol, found: Mapping[str, Any]) -> dict[str, list[Cell]]:
    """The cells that each method's search still lacks."""
    cells = {
        method: [cell for cell in search_cells(protocol, method) if cell.name not in found]
        for method in searched(protocol)
    }
    return {method: lacking for method, lacking in cells.items() if lacking}


def chosen(protocol: Protocol, found: Mapping[str, Any]) -> dict[str, float]:
    """Method to learning rate: the best of its finished search, or that of the method it shares it with."""
    lacking = missing(protocol, found)
    complete = {method: rates for method, rates in tried(protocol, found).items() if method not in lacking}
    best = {method: max(rates, key=lambda rate: rates[rate]) for method, rates in complete.items()}
    for name, method in protocol.methods.items():
        if method.rate_of in best:
            best[name] = best[method.rate_of]
    return best
