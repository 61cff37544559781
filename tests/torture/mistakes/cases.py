"""All mistakes by the sections of docs/mistakes.md."""

from __future__ import annotations

from tests.torture.mistakes.adversarial import ADVERSARIAL
from tests.torture.mistakes.case import Case
from tests.torture.mistakes.checkpoints import CHECKPOINTS
from tests.torture.mistakes.command import COMMAND
from tests.torture.mistakes.data import DATA
from tests.torture.mistakes.keys import KEYS
from tests.torture.mistakes.networks import NETWORKS
from tests.torture.mistakes.values import VALUES

CASES: dict[str, list[Case]] = {
    'Keys': KEYS,
    'Values': VALUES,
    'Networks and losses': NETWORKS,
    'Discriminators': ADVERSARIAL,
    'Data': DATA,
    'Checkpoints': CHECKPOINTS,
    'Machine and command line': COMMAND,
}
