"""A few tries of the torture run; `python -m tests.torture.two_runs` does twenty."""

import json
import subprocess
import sys

from tests.toys import REPOSITORY


def test_two_runs_of_one_name_never_mix():
    command = [sys.executable, '-m', 'tests.torture.two_runs', '--tries', '3', '--seed', '1']
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout[done.stdout.index('{') :])
    assert result['problems'] == []
    assert result['refused'] >= 1
