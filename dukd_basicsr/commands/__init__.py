"""The commands of `basicsr`, a module each: HELP, `add_arguments(parser)` and `run(args)`, which gives the exit code.

All of them are imported for every command line, so their modules import at the top only what is light (no torch).
"""

from __future__ import annotations

from types import ModuleType

from dukd_basicsr.commands import (
    benchmark,
    convert,
    demo,
    distill,
    doctor,
    export,
    options,
    prepare,
    test,
    train,
    upcycle,
    upscale,
)

COMMANDS: dict[str, ModuleType] = {
    'train': train,
    'test': test,
    'prepare': prepare,
    'upcycle': upcycle,
    'benchmark': benchmark,
    'distill': distill,
    'demo': demo,
    'convert': convert,
    'export': export,
    'upscale': upscale,
    'options': options,
    'doctor': doctor,
}
"""By name, in the order of `basicsr --help`."""
WITH_OWN_MODULES = ('train', 'test', 'upcycle', 'benchmark', 'distill', 'export', 'upscale')
"""Those that build networks from options files, and so take --import."""
