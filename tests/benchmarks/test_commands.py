"""Every benchmark of benchmarks/README.md is there and can be imported: what they import from the package moves."""

import importlib
import re

import pytest

from tests.toys import REPOSITORY

README = (REPOSITORY / 'benchmarks' / 'README.md').read_text(encoding='utf-8')
MODULES = sorted(set(re.findall(r'python -m ((?:benchmarks|tests)\.[a-z_.0-9]+)', README)))


@pytest.mark.parametrize('name', MODULES)
def test_a_benchmark_has_a_main(name):
    module = importlib.import_module(name)
    if hasattr(module, '__path__'):
        module = importlib.import_module(f'{name}.__main__')
    assert callable(module.main)


def test_every_script_stands_in_the_readme():
    scripts = {
        '.'.join(file.relative_to(REPOSITORY).with_suffix('').parts)
        for file in (REPOSITORY / 'benchmarks').rglob('*.py')
        if "if __name__ == '__main__'" in file.read_text(encoding='utf-8') and 'study' not in file.parts
    }
    started_by_others = {f'benchmarks.{name}' for name in ('quality.answer_onnx', 'bf16_model', 'speed.measure')}
    assert scripts - set(MODULES) == started_by_others & scripts
