"""All mistakes by the sections of docs/mistakes.md."""

from __future__ import annotations

from mistakes.case import Case
from mistakes.checkpoints import CHECKPOINTS
from mistakes.command import COMMAND
from mistakes.data import DATA
from mistakes.keys import KEYS
from mistakes.networks import NETWORKS
from mistakes.values import VALUES

CASES: dict[str, list[Case]] = {
    'Keys': KEYS,
    'Values': VALUES,
    'Networks and losses': NETWORKS,
    'Data': DATA,
    'Checkpoints': CHECKPOINTS,
    'Machine and command line': COMMAND,
}
