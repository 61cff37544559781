"""`basicsr doctor`."""

from __future__ import annotations

import argparse

HELP = 'Versions, devices, what is missing and the command that mends it.'


def add_arguments(_: argparse.ArgumentParser) -> None:
    """Declare nothing: the doctor takes no arguments."""


def run(_: argparse.Namespace) -> int:
    """Report; 1 where something is missing."""
    from dukd_basicsr.commands.doctor import report as doctor

    return doctor.run()
