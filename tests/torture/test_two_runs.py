"""A few tries of the torture run; `python -m tests.torture.two_runs` does twenty."""

import json

import pytest

from tests import warm
from tests.toys import REPOSITORY


@pytest.mark.slow
def test_two_runs_of_one_name_never_mix():
    words = ['--tries', '3', '--seed', '1', '--iterations', '200']
    done = warm.run_module('tests.torture.two_runs', *words, cwd=REPOSITORY)
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads(done.stdout[done.stdout.index('{') :])
    assert result['problems'] == []
    assert result['refused'] >= 1
