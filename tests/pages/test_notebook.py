"""notebooks/demo.ipynb: sound, executed from top to bottom, its commands exist, and it shows what it says.

`NOTEBOOK=FILE` judges another one, as `.ci/notebook` does with the one that it has just executed.
"""

import ast
import configparser
import importlib.util
import os
import re
import shlex
from pathlib import Path

import nbformat
import pytest

from dukd_basicsr.cli import build_parser
from dukd_basicsr.commands.demo import stages
from tests.toys import REPOSITORY

SHIPPED = REPOSITORY / 'notebooks' / 'demo.ipynb'
FILE = Path(os.environ.get('NOTEBOOK', SHIPPED))
NOTEBOOK = nbformat.read(FILE, as_version=4)
CODE = [cell for cell in NOTEBOOK.cells if cell.cell_type == 'code']
NETWORKS = {'bicubic', *(each.name for each in stages.RUNS), Path(stages.STUDENT).stem,
            f'{Path(stages.TEACHER).stem} (teacher)'}  # fmt: skip


def find_commands(kind):
    """The lines that a shell (!) or IPython (%) gets, without indentation and sign."""
    lines = (line.strip() for cell in CODE for line in cell.source.splitlines())
    return [line.removeprefix(kind) for line in lines if line.startswith(kind)]


def read_outputs(kind):
    """What the cells show of a MIME type, or what they print."""
    for cell in CODE:
        for output in cell.outputs:
            if output.output_type == 'stream' and kind == output.name:
                yield output.text
            elif kind in output.get('data', {}):
                yield output.data[kind]


def test_it_is_a_sound_notebook_and_small():
    nbformat.validate(NOTEBOOK)
    assert NOTEBOOK.metadata.kernelspec.name == 'python3'
    assert SHIPPED.stat().st_size < 300_000


def test_it_was_executed_from_top_to_bottom_without_an_error():
    assert [cell.execution_count for cell in CODE] == list(range(1, len(CODE) + 1))
    kinds = [output.output_type for cell in CODE for output in cell.outputs]
    assert 'error' not in kinds
    assert not list(read_outputs('stderr'))


def test_its_commands_and_options_exist():
    (command,) = find_commands('!')
    program, *words = shlex.split(command.replace('{iterations}', '150'))
    assert program == 'basicsr'
    args = build_parser().parse_args(words)
    assert (args.command, args.iterations) == ('demo', 150)
    assert {line.split()[0] for line in find_commands('%')} == {'pip', 'cd'}


def test_what_it_installs_is_what_the_readme_says_and_what_it_imports():
    """In the folder above, which is the checkout."""
    first, second = (shlex.split(line)[3:] for line in find_commands('%') if line.startswith('pip'))
    readme = (REPOSITORY / 'README.md').read_text(encoding='utf-8')
    assert f'pip install {" ".join(first)}' in readme
    assert f'pip install {second[0]} .' in readme
    folder, extra = re.fullmatch(r'(\.\.)\[(\w+)\]', second[1]).groups()
    assert (SHIPPED.parent / folder).resolve() == REPOSITORY
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / 'setup.cfg')
    assert extra in setup['options.extras_require']


@pytest.mark.parametrize('cell', CODE, ids=range(len(CODE)))
def test_what_its_cells_import_is_there(cell):
    source = re.sub(r'^(\s*)[%!].*', r'\1pass', cell.source, flags=re.MULTILINE)
    for node in ast.walk(ast.parse(source)):
        names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        assert all(importlib.util.find_spec(name) for name in names)


def test_its_tables_have_all_rows():
    (tables,) = read_outputs('text/markdown')
    cells = [re.split(r' *\| *', line.strip('| ')) for line in tables.splitlines() if line.startswith('|')]
    networks, runs = ([row for row in cells if len(row) == width] for width in (6, 7))
    assert {row[0] for row in networks[2:]} == NETWORKS
    assert [row[0] for row in runs[2:]] == [each.name for each in stages.RUNS]
    assert all(float(row[-1].split(' / ')[0]) > 20 for row in networks[2:])
    printed = ''.join(read_outputs('stdout'))
    assert all(re.search(rf'^\d\d\.\d+ dB .* {re.escape(name)}$', printed, re.MULTILINE) for name in NETWORKS)


def test_it_says_of_how_many_iterations_its_outputs_are():
    (tables,) = read_outputs('text/markdown')
    alone = int(re.search(rf'\| {stages.ALONE.name} +\| +(\d+) \|', tables)[1])
    for each in stages.RUNS:
        assert re.search(rf'\| {each.name} +\| +{each.iterations(alone)} \|', tables)
    assert f'training: {stages.ALONE.title}, {alone} iterations' in ''.join(read_outputs('stdout'))
    if FILE == SHIPPED:
        text = ' '.join(NOTEBOOK.cells[0].source.split())
        assert f'computed with {alone} iterations of the student alone' in text
        whole = build_parser().parse_args(['demo']).iterations
        assert whole == alone
        assert 'as `make demo` has them' in text


def test_it_has_the_numbers_of_the_readme():
    (tables,) = (output.data['text/markdown'] for cell in nbformat.read(SHIPPED, as_version=4).cells
                 for output in cell.get('outputs', ()) if 'text/markdown' in output.get('data', {}))  # fmt: skip
    found, expected = (dict(re.findall(r'^\| (\S.*?) +\| .* (\d+\.\d+ / 0\.\d+) \|$', text, re.MULTILINE))
                       for text in (tables, (REPOSITORY / 'README.md').read_text(encoding='utf-8')))  # fmt: skip
    assert found.keys() == NETWORKS
    assert found.items() <= expected.items()


def test_it_shows_a_plot_and_a_comparison():
    pictures = [kind for kind in ('image/png', 'image/jpeg') for _ in read_outputs(kind)]
    assert pictures == ['image/png', 'image/jpeg']
