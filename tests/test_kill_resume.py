"""A few kills of the torture run; `python benchmarks/kill_resume.py` does fifty."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_killed_and_resumed_equals_left_alone(tmp_path):
    script = Path(__file__).parents[1] / 'benchmarks' / 'kill_resume.py'
    command = [sys.executable, str(script), '--kills', '8', '--iterations', '24', '--seed', '5']
    done = subprocess.run(
        [*command, '--json', str(tmp_path / 'result.json')], capture_output=True, text=True, timeout=200
    )
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / 'result.json').read_text(encoding='utf-8'))['result']
    assert result['kills'] == 8
    assert result['generations checked'] >= 8
    assert (result['differences'], result['corrupted generations']) == (0, 0)
    assert sum(result.get(f'kills in {phase}', 0) for phase in ('step', 'save', 'validation')) >= 5
