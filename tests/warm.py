"""Commands in a process of their own that need not import torch: forked from one that has imported, and done nothing.

A start of Python takes seconds of a core until torch and BasicSR are imported, a fork none. The process that is forked
never ran a test, so a command finds no patch, logger or registered network of one, as if it had been started itself;
exit code, output, folder, environment and signals are those of a process. How the command itself starts, and what it
imports when, is for tests that start it (`tests/workplace.py`).
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import pickle
import runpy
import signal
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.toys import REPOSITORY

SECONDS = 900
"""That a command may take."""


def command(*arguments, cwd, environment=None):
    """`basicsr ARGUMENTS`, as `python -m dukd_basicsr` in that folder: exit code and output when it has ended."""
    return run_module('dukd_basicsr', *arguments, cwd=cwd, environment=environment)


def run_module(*words, cwd, environment=None):
    """`python -m WORDS`, or `python WORDS` where the first is a file's name that ends in .py."""
    server = _start_server()
    with TemporaryDirectory() as name:
        out, err = (Path(name) / each for each in ('out', 'err'))
        request = {
            'words': [str(word) for word in words], 'cwd': str(cwd), 'out': str(out), 'err': str(err),
            'environment': {**os.environ, 'OMP_NUM_THREADS': '1', **(environment or {})},
        }  # fmt: skip
        server.stdin.write(json.dumps(request) + '\n')
        server.stdin.flush()
        code = int(server.stdout.readline())
        return subprocess.CompletedProcess(request['words'], code, out.read_text('utf-8'), err.read_text('utf-8'))


def start_ranks(function, args, number):
    """`torch.multiprocessing.spawn(function, args, number)`: that many processes, each given its rank before `args`."""
    done = run_module('tests.ranks', pickle.dumps((function, args, number)).hex(), cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr


@functools.cache
def _start_server():
    """One for each process of pytest, started by the first command; it ends when its input does."""
    environment = os.environ | {'PYTHONPATH': str(REPOSITORY), 'OMP_NUM_THREADS': '1'}
    server = subprocess.Popen([sys.executable, '-m', 'tests.warm'], cwd=REPOSITORY, env=environment,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)  # fmt: skip
    atexit.register(server.communicate)
    return server


def serve():
    """Answer each line of the input, a request, with a line: the exit code of its process."""
    from dukd_basicsr import plugin  # noqa: F401  first: makes basicsr importable
    from dukd_basicsr.evaluation.benchmark import tabulate  # noqa: F401
    from dukd_basicsr.training import pipeline  # noqa: F401

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupted pytest closes the input
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            _become(json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)  # noqa: T201


def _become(request):
    """The rest of a forked process: the program that is asked for, and its end.

    Python's own end takes all modules apart, a second of work for a fork; here only what a program has asked to be done
    at its exit is done.
    """
    code = 1
    try:
        try:
            _run(request)
            code = 0
        except SystemExit:
            raise
        except BaseException:
            sys.excepthook(*sys.exc_info())  # one of this program's ends it with a code of its own
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(bool(end.code))
        if isinstance(end.code, str):
            sys.stderr.write(f'{end.code}\n')
    finally:
        threading._shutdown()
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _run(request):
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.alarm(SECONDS)
    for number, file in enumerate((os.devnull, request['out'], request['err'])):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
    os.environ.clear()
    os.environ.update(request['environment'])
    os.chdir(request['cwd'])
    program, *sys.argv[1:] = request['words']
    sys.path[0] = request['cwd']
    if program.endswith('.py'):
        sys.argv[0] = program
        runpy.run_path(program, run_name='__main__')
    else:
        runpy.run_module(program, run_name='__main__', alter_sys=True)


if __name__ == '__main__':
    serve()
