"""Other commands of `basicsr`, run in this process and in the folder of a run, as if they had been typed there."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from importlib import import_module
from io import TextIOBase
from pathlib import Path
from typing import TextIO

from dukd_basicsr.commands import runs
from dukd_basicsr.data.paths import work_in
from dukd_basicsr.training import pipeline, run_log

_FRAGMENT = 'For the options file:'
_TRAINING = re.compile(r', iter:|^\t # |WARNING(?!.*will not be optimized)|ERROR|skipped')
"""Lines of a training's log that are shown; all of it is in the log file of experiments/. ECBSR has fixed filters among
its parameters, and BasicSR warns of each."""
Words = Sequence[str]


def show_command(words: Words, own_modules: Sequence[Path]) -> str:
    """A command line as it would be typed in the folder of the run."""
    imports = [word for file in own_modules for word in ('--import', str(file))] if words[0] != 'prepare' else []
    return shlex.join(['basicsr', words[0], *imports, *words[1:]])


def run_command(words: Words, root: Path, own_modules: Sequence[Path], go_on: str) -> None:
    """Run a command of this package.

    Args:
        words (Sequence[str]): Its name and arguments.
        root (Path): The folder of the run, which is the current one meanwhile.
        own_modules (Sequence[Path]): Files of `--import`, which have been loaded.
        go_on (str): The command line that a training names if a signal stops it.

    Raises:
        UserError: As that command does.
    """
    command = import_module(f'dukd_basicsr.commands.{words[0]}')
    parser = argparse.ArgumentParser(prog=f'basicsr {words[0]}', allow_abbrev=False)
    command.add_arguments(parser)
    args = parser.parse_args(list(words[1:]), argparse.Namespace(command=words[0], own_modules=own_modules))
    with work_in(root):
        if words[0] == 'train':
            _train(args, go_on)
        else:
            with redirect_stdout(_Filtered(sys.stdout, _Shown())):
                command.run(args)


def _train(args: argparse.Namespace, go_on: str) -> None:
    opt, launch = runs.read(args, is_train=True)
    with redirect_stderr(_Filtered(sys.stderr, lambda line: _TRAINING.search(line) is not None)):
        try:
            pipeline.train(opt, replace(launch, command=go_on))
        finally:
            run_log.close()  # a training that follows in this process has a log of its own


class _Shown:
    """Lines up to what a command says of an options file: here it is there already."""

    def __init__(self) -> None:
        self.over = False

    def __call__(self, line: str) -> bool:
        self.over = self.over or _FRAGMENT in line
        return not self.over


class _Filtered(TextIOBase):
    """Passes on the lines that are wanted; progress bars, which end in no line, pass."""

    def __init__(self, target: TextIO, wanted: Callable[[str], bool]) -> None:
        self.target, self.wanted, self.rest = target, wanted, ''

    def write(self, text: str) -> int:
        """Pass on complete lines that are wanted."""
        *lines, self.rest = (self.rest + text).split('\n')
        for line in lines:
            if '\r' in line or self.wanted(line):
                self._pass(f'{line}\n')
        if '\r' in self.rest:
            self._pass(self.rest)
            self.rest = ''
        return len(text)

    def flush(self) -> None:
        """Flush what has been passed on."""
        self.target.flush()

    def isatty(self) -> bool:
        """As what is behind."""
        return bool(self.target.isatty())

    def _pass(self, text: str) -> None:
        self.target.write(text)
