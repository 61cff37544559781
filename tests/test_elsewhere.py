"""The tests that have the fixture `device`, once more on a device where nothing of the CPU is let in.

In a process of their own, since torch knows one such device a process, for good.
"""

import re
from pathlib import Path

import pytest
import torch

from tests import elsewhere, warm
from tests.toys import REPOSITORY

FIXTURE = re.compile(r"usefixtures\('device'\)|def test_\w+\([^)]*\bdevice\b")
FILES = [
    file
    for file in sorted((REPOSITORY / 'tests').rglob('test_*.py'))
    if file.name != Path(__file__).name and FIXTURE.search(file.read_text('utf-8'))
]
LEFT = """
import torch

def test_one_that_leaves_a_tensor_on_the_cpu(device):
    assert torch.equal((torch.ones(3, device=device) + torch.ones(())).cpu(), torch.full((3,), 2.0))
    torch.ones(3, device=device) + torch.ones(3)
"""


def run(*arguments):
    words = ['-q', '-p', 'no:cacheprovider', '-k', elsewhere.NAME, *arguments]
    return warm.run_module('pytest', *words, cwd=REPOSITORY, environment={'TESTS_DEVICE': elsewhere.NAME})


if elsewhere.can_be_had():

    @pytest.mark.slow
    def test_nothing_is_left_on_the_cpu():
        assert {file.parent.name for file in FILES} >= {'distillation', 'models', 'networks', 'training'}
        done = run(*FILES)
        assert done.returncode == 0, done.stdout[-3000:]
        assert int(re.search(r'(\d+) passed', done.stdout)[1]) > 50

    def test_a_tensor_that_is_left_there_is_found(tmp_path):
        (tmp_path / 'test_left.py').write_text(LEFT, encoding='utf-8')
        done = run('-p', 'tests.conftest', '-c', REPOSITORY / 'pyproject.toml', tmp_path / 'test_left.py')
        assert done.returncode == 1
        assert 'all tensors must be on one device, but 1 of them are on the CPU' in done.stdout


def test_this_process_knows_no_such_device():
    with pytest.raises(RuntimeError, match='elsewhere'):
        torch.device(elsewhere.NAME)
    assert Path(elsewhere.__file__).name == 'elsewhere.py'
