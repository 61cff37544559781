"""The site: built strictly from the pages as they are, with every place that they link to; no broken link passes."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import dukd_basicsr
from tests.toys import REPOSITORY


def build(folder, target):
    """MkDocs, in a process of its own: its hooks import the package anew."""
    command = [sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(target)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


class Page(HTMLParser):
    """What a page links to, the places in it that can be linked to, and its words outside of code."""

    def __init__(self, file):
        super().__init__()
        self.links, self.places, self.words, self.code = [], set(), '', 0
        self.feed(file.read_text(encoding='utf-8'))

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.code += tag == 'pre'
        self.places |= {given['id']} if 'id' in given else set()
        self.links += [given[name] for name in ('href', 'src') if given.get(name)]

    def handle_endtag(self, tag):
        self.code -= tag == 'pre'

    def handle_data(self, data):
        self.words += '' if self.code else data


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp('site')
    done = build(REPOSITORY, target)
    assert done.returncode == 0, done.stderr
    return {file.relative_to(target).as_posix(): Page(file) for file in target.rglob('*.html')}, target


def test_every_link_has_an_end_in_the_folder_itself(site):
    """Judged by the HTML alone, without a server; nothing is fetched from other hosts."""
    pages, target = site
    for name, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ('http', 'https', 'data', 'mailto') or name == '404.html':
                continue
            end = (target / name).parent / unquote(parts.path) if parts.path else target / name
            assert end.is_file(), f'{name}: {link}'
            if parts.fragment and end.suffix == '.html':
                places = pages[end.resolve().relative_to(target.resolve()).as_posix()].places
                assert unquote(parts.fragment) in places, f'{name}: {link}'


def test_every_page_of_the_repository_is_a_page(site):
    pages, _ = site
    for file in (REPOSITORY / 'docs').rglob('*.md'):
        name = file.relative_to(REPOSITORY / 'docs').with_suffix('.html').as_posix().replace('README', 'index')
        heading = re.search(r'^# (.*)', file.read_text(encoding='utf-8'), re.MULTILINE)[1].replace('`', '')
        assert heading.split(' (')[0] in pages[name].words, name
    for name, heading in (('index', 'dukd-basicsr'), ('contributing', 'Contributing'), ('changelog', 'Changelog')):
        assert heading in pages[f'{name}.html'].words


def test_every_public_name_is_documented(site):
    pages, _ = site
    public = {**dukd_basicsr._PURE, **dukd_basicsr._PLUGGED}
    assert {f'{module}.{name}' for name, module in public.items()} <= pages['reference.html'].places


def test_lists_and_tables_are_lists_and_tables(site):
    """GitHub takes them without an empty line before, Python-Markdown does not."""
    for name, page in site[0].items():
        if not name.startswith('source/'):
            assert not re.search(r'^(\|[- :]+\|.*\||\d\. .*\n\d\. )', page.words, re.MULTILINE), name


def test_broken_links_stop_the_build(tmp_path):
    for each in REPOSITORY.iterdir():
        if each.name not in ('docs', 'build'):
            (tmp_path / each.name).symlink_to(each)
    shutil.copytree(REPOSITORY / 'docs', tmp_path / 'docs')
    links = ('nowhere.md', 'losses.md#nothing-of-that-name', '../setup.cfgg')
    with Path(tmp_path / 'docs' / 'upscale.md').open('a', encoding='utf-8') as page:
        page.write(''.join(f'\n[here]({link})\n' for link in links))
    done = build(tmp_path, tmp_path / 'built')
    assert done.returncode == 1
    assert all(link in done.stderr for link in links)
    assert done.stderr.count('WARNING -') == len(links)
