"""How the repository's Markdown becomes the site: MkDocs calls these functions (mkdocs.yml names this file).

The pages are written to be read in the repository. Here README.md and its kin outside of docs/ become pages too, links
follow them, and what a link names besides (a source file, a folder) becomes a page that shows it. MkDocs then refuses
whatever link is left without an end.
"""

from __future__ import annotations

import ast
import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {  # in the repository: on the site
    'README.md': 'index.md',
    'CONTRIBUTING.md': 'contributing.md',
    'CHANGELOG.md': 'changelog.md',
    'benchmarks/README.md': 'benchmarks.md',
    'dukd_basicsr/commands/demo/record.md': 'demo_record.md',
    'notebooks/demo.ipynb': 'notebook.md',
}
ORIGINS = {page: origin for origin, page in PAGES.items()}
LANGUAGES = {'.py': 'python', '.yml': 'yaml', '.cff': 'yaml', '.json': 'json'}
WIDE = '.md-grid { max-width: 80rem; }\n'
"""Tables have many columns."""
_LINK = re.compile(r'(\]\()([^)#\s]+)(#[^)\s]*)?(\))')
_ITEM = re.compile(r'(?:[-*]|\d+\.) ')


def on_config(config: Any) -> Any:
    """Pages of docs/ that nobody has put into the navigation yet come last in it."""
    named = set(re.findall(r"'([^']+\.md)'", str(config.nav)))
    pages = (file.relative_to(ROOT / 'docs').as_posix() for file in sorted((ROOT / 'docs').rglob('*.md')))
    rest = [page for page in pages if page not in named]
    if rest:
        config.nav.append({'More': rest})
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that lie outside of docs/, those of the sources that they link to, and the reference."""
    for origin, page in PAGES.items():
        if origin.endswith('.ipynb'):
            text, pictures = read_notebook(ROOT / origin, posixpath.splitext(page)[0])
            for name, content in pictures.items():
                files.append(File.generated(config, name, content=content))
        else:
            text = (ROOT / origin).read_text(encoding='utf-8')
        files.append(File.generated(config, page, content=text))
    files.append(File.generated(config, 'reference.md', content=write_reference()))
    files.append(File.generated(config, 'assets/wide.css', content=WIDE))
    for file in [file for file in files if file.src_uri.endswith('.md')]:
        for _, target, _, _ in _LINK.findall(_hide_code(file.content_string)):
            path = _resolve(file.src_uri, target)
            if path is not None and f'{path}.md' not in files.src_uris and _is_source(path):
                page = File.generated(config, f'source/{path}.md', content=show_source(ROOT / path))
                page.inclusion = page.inclusion.NOT_IN_NAV
                files.append(page)
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Turn links between places in the repository into links between pages, and part lists from the text above them."""
    del config, files
    if page.file.src_uri.startswith('source/'):
        return markdown
    parts = re.split(r'(^```.*?^```$)', markdown, flags=re.DOTALL | re.MULTILINE)
    parts[::2] = [_LINK.sub(lambda link: _follow(page.file.src_uri, link), _part_lists(text)) for text in parts[::2]]
    return ''.join(parts)


def read_notebook(path: Path, name: str) -> tuple[str, dict[str, bytes]]:
    """A notebook as Markdown, with the outputs that are saved in it, and the pictures of these by their place."""
    from nbconvert import MarkdownExporter

    resources = {'unique_key': name, 'output_files_dir': 'assets'}
    text, found = MarkdownExporter().from_filename(str(path), resources)
    return text, found['outputs']


def _follow(page: str, link: re.Match[str]) -> str:
    before, target, anchor, after = link.groups()
    path = _resolve(page, target)
    if path is None:
        return link[0]
    if path in PAGES:
        end = PAGES[path]
    elif _is_source(path):
        end = f'source/{path}.md'
    else:
        end = path.removeprefix('docs/')
    return f'{before}{posixpath.relpath(end, posixpath.dirname(page) or ".")}{anchor or ""}{after}'


def _resolve(page: str, target: str) -> str | None:
    """The path in the repository that a link names; None for other hosts and for what is not there."""
    if '://' in target or target.startswith('mailto:'):
        return None
    origin = ORIGINS.get(page, f'docs/{page}')
    path = posixpath.normpath(posixpath.join(posixpath.dirname(origin), target))
    return path if (ROOT / path).exists() else None


def _is_source(path: str) -> bool:
    """Whether it needs a page of its own: it is outside of docs/ and no page, or a folder."""
    return path not in PAGES and (not path.startswith('docs/') or (ROOT / path).is_dir())


def _hide_code(text: str) -> str:
    return re.sub(r'^```.*?^```$', '', text, flags=re.DOTALL | re.MULTILINE)


def _part_lists(text: str) -> str:
    """An empty line before a list or table that follows a paragraph: GitHub needs none, Python-Markdown does."""
    lines: list[str] = []
    for line in text.split('\n'):
        before = lines[-1] if lines else ''
        starts = (_ITEM.match(line) and not _ITEM.match(before)) or (
            line.startswith('|') and not before.startswith('|')
        )
        if starts and before.strip() and not before.startswith((' ', '#')):
            lines.append('')
        lines.append(line)
    return '\n'.join(lines)


def show_source(path: Path) -> str:
    """A page for a file, as it is, or for a folder: its files, and what each says of itself first."""
    name = path.relative_to(ROOT).as_posix()
    if path.is_file():
        language = LANGUAGES.get(path.suffix, 'text')
        return f'# {name}\n\n````{language}\n{path.read_text(encoding="utf-8")}\n````\n'
    rows = [f'| `{file.relative_to(path)}` | {_describe(file)} |' for file in sorted(path.rglob('*'))
            if file.is_file() and '__pycache__' not in file.parts]  # fmt: skip
    return f'# {name}/\n\n| file | what it is |\n|---|---|\n' + '\n'.join(rows) + '\n'


def _describe(file: Path) -> str:
    if file.suffix == '.py':
        text = ast.get_docstring(ast.parse(file.read_text(encoding='utf-8'))) or ''
        return text.split('\n\n')[0].replace('\n', ' ').replace('|', '\\|')
    if file.suffix == '.yml':
        lines = file.read_text(encoding='utf-8').splitlines()
        words = (line for line in lines if line.startswith('#') and 'yaml-language-server' not in line)
        return next(words, '').lstrip('# ').replace('|', '\\|')
    return ''


def write_reference() -> str:
    """The page of the public names, from their docstrings."""
    import dukd_basicsr

    names = {**dukd_basicsr._PURE, **dukd_basicsr._PLUGGED}
    text = '# Functions and classes\n\nWhat `from dukd_basicsr import ...` offers; [how they are used](api.md).\n'
    return text + ''.join(f'\n::: {module}.{name}\n' for name, module in names.items())
