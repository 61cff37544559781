"""What goes with the code: the citation says what the README says, and setup.cfg ships every package."""

import ast
import configparser
import re
import sys

import yaml
from setuptools import find_packages

import dukd_basicsr
from tests.toys import REPOSITORY

CITATION = yaml.safe_load((REPOSITORY / 'CITATION.cff').read_text(encoding='utf-8'))
BIBTEX = re.search(r'```bibtex\n(.*?)```', (REPOSITORY / 'README.md').read_text(encoding='utf-8'), re.DOTALL).group(1)


def bibtex(key):
    value = re.search(rf'^ *{key} *= \{{(.*?)\}},?$', BIBTEX, re.DOTALL | re.MULTILINE).group(1)
    return ' '.join(value.split())


def test_the_citation_has_what_the_format_asks_for():
    """The required keys and the allowed values of CFF 1.2.0's schema, as far as the file uses it."""
    assert CITATION['cff-version'] == '1.2.0'
    assert CITATION['type'] in ('software', 'dataset')
    assert {'message', 'title', 'authors'} <= CITATION.keys()
    assert all(person.keys() <= {'name', 'family-names', 'given-names'} for person in CITATION['authors'])
    paper = CITATION['preferred-citation']
    assert {'type', 'title', 'authors'} <= paper.keys()
    assert paper['conference'].keys() == {'name'}
    assert all(each['type'] in ('doi', 'url', 'swh', 'other') for each in paper['identifiers'])


def test_the_paper_is_that_of_the_readme():
    paper = CITATION['preferred-citation']
    assert paper['title'] == bibtex('title')
    assert paper['collection-title'] == paper['conference']['name'] == bibtex('booktitle')
    assert str(paper['year']) == bibtex('year')
    authors = ' and '.join(f'{each["family-names"]}, {each["given-names"]}' for each in paper['authors'])
    assert authors == bibtex('author')


def test_the_version_is_that_of_the_package():
    assert CITATION['version'] == dukd_basicsr.__version__
    assert f'({dukd_basicsr.__version__})' in (REPOSITORY / 'CHANGELOG.md').read_text(encoding='utf-8')


def test_every_package_is_shipped():
    """A folder without `__init__.py` would be missing from the wheel, and from nothing else."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / 'setup.cfg', encoding='utf-8')
    assert config['options']['packages'] == 'find:'
    found = find_packages(str(REPOSITORY), include=config['options.packages.find']['include'].split())
    folders = {path.parent for top in ('dukd_basicsr', 'datasets_prep') for path in (REPOSITORY / top).rglob('*.py')}
    assert set(found) == {'.'.join(folder.relative_to(REPOSITORY).parts) for folder in folders}


def test_every_import_is_declared():
    """In `make package` the dependencies are lent by the development environment, which has more than is declared."""
    config = configparser.ConfigParser()
    config.read(REPOSITORY / 'setup.cfg', encoding='utf-8')
    names = {'cv2': 'opencv-python', 'yaml': 'pyyaml', 'PIL': 'pillow', 'skimage': 'scikit-image'}
    imported = set()
    for file in [*(REPOSITORY / 'dukd_basicsr').rglob('*.py'), *(REPOSITORY / 'datasets_prep').rglob('*.py')]:
        for node in ast.walk(ast.parse(file.read_text(encoding='utf-8'))):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [node.module] if isinstance(node, ast.ImportFrom) else []
            imported |= {name.split('.')[0] for name in found}
    imported -= {*sys.stdlib_module_names, '_typeshed', 'dukd_basicsr', 'datasets_prep'}  # _typeshed is mypy's own
    extras = config['options.extras_require']
    declared = config['options']['install_requires'] + ''.join(
        extras[extra] for extra in extras if extra not in ('dev', 'test')
    )
    declared = {re.match(r'[\w-]+', line).group() for line in declared.split('\n') if line.strip()}
    assert {names.get(name, name) for name in imported} - declared == set()


def test_both_names_of_the_command_are_one():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / 'setup.cfg', encoding='utf-8')
    scripts = dict(line.split(' = ') for line in config['options.entry_points']['console_scripts'].strip().split('\n'))
    assert scripts == {'basicsr': 'dukd_basicsr.cli:main', 'dukd': 'dukd_basicsr.cli:main'}


def test_all_is_all_that_is_optional():
    config = configparser.ConfigParser()
    config.read(REPOSITORY / 'setup.cfg', encoding='utf-8')
    extras = {name: set(text.split()) for name, text in config['options.extras_require'].items()}
    assert extras['all'] == extras['export'] | extras['study'] | extras['iqa'] | extras['wandb']


def test_the_pages_of_the_repository_link_to_what_is_there():
    pages = [*REPOSITORY.glob('*.md'), *(REPOSITORY / 'docs').glob('*.md')]
    links = [(page, link) for page in pages for link in re.findall(r'\]\(([^)#]+)', page.read_text(encoding='utf-8'))]
    assert links
    for page, link in links:
        assert link.startswith('https://') or (page.parent / link).exists(), f'{page.name}: {link}'
