import base64
import hashlib
import io
import json
import os
import stat
import sys
import tarfile

import pytest

from dukd_basicsr.errors import UserError
from dukd_basicsr.web import runtime
from dukd_basicsr.web.runtime import FILES, Lock, find_cache, find_runtime, read_lock

CONTENT = {FILES[0]: b'export default 1', FILES[1]: b'\0asm\1\0\0\0'}


def pack(files, prefix='package/dist'):
    """An archive as npm makes it."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode='w:gz') as tar:
        for name, content in files.items():
            entry = tarfile.TarInfo(f'{prefix}/{name}')
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


ARCHIVE = pack(CONTENT)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A cache and a PATH of this test alone, and a lock of `ARCHIVE`."""
    digest = base64.b64encode(hashlib.sha512(ARCHIVE).digest()).decode()
    monkeypatch.setattr(runtime, 'read_lock', lambda: Lock('1.2.3', f'sha512-{digest}'))
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    (tmp_path / 'bin').mkdir()
    monkeypatch.setenv('PATH', str(tmp_path / 'bin'))
    return tmp_path


def install_npm(place, lines):
    """A program `npm` that notes what it is asked, then does `lines` of Python."""
    program = place / 'bin' / 'npm'
    text = f'import sys\nfrom pathlib import Path\nwith open({str(place / "asked")!r}, "a") as file:\n'
    text += f'    file.write(" ".join(sys.argv[1:]) + "\\n")\n{lines}\n'
    program.write_text(f'#!{sys.executable}\n{text}')
    program.chmod(program.stat().st_mode | stat.S_IEXEC)


def write_to(content):
    return f'Path(sys.argv[-1], "onnxruntime-web-1.2.3.tgz").write_bytes({content!r})'


def test_npm_is_asked_once_for_the_locked_version(place):
    install_npm(place, write_to(ARCHIVE))
    assert find_runtime() == find_runtime() == CONTENT
    (asked,) = (place / 'asked').read_text().splitlines()
    assert asked.startswith('pack onnxruntime-web@1.2.3 --ignore-scripts')
    assert [file.name for file in find_cache().iterdir()] == ['onnxruntime-web-1.2.3.tgz']


def test_a_damaged_cache_is_fetched_again(place):
    install_npm(place, write_to(ARCHIVE))
    find_runtime()
    (find_cache() / 'onnxruntime-web-1.2.3.tgz').write_bytes(ARCHIVE[:-1])
    assert find_runtime() == CONTENT
    assert len((place / 'asked').read_text().splitlines()) == 2


def test_another_archive_than_the_locked_one_is_refused_and_not_kept(place):
    install_npm(place, write_to(pack({**CONTENT, FILES[0]: b'export default 2'})))
    with pytest.raises(UserError, match='its SHA-512 is another'):
        find_runtime()
    assert not find_cache().exists()


@pytest.mark.parametrize(
    ('lines', 'reason'),
    [
        (None, 'npm is not installed'),
        ('sys.exit("npm error code ENOTFOUND")', r'npm could not fetch it \(npm error code ENOTFOUND\)'),
        ('sys.exit(1)', 'it gave no reason'),
        ('pass', 'not what was locked'),
    ],
)
def test_without_npm_a_sentence_says_what_to_do(place, lines, reason):
    if lines is not None:
        install_npm(place, lines)
    with pytest.raises(UserError, match=reason) as error:
        find_runtime()
    assert 'npm pack onnxruntime-web@1.2.3' in str(error.value)
    assert '--web-runtime onnxruntime-web-1.2.3.tgz' in str(error.value)
    assert '\n' not in str(error.value)


@pytest.mark.parametrize('inside', ['', 'dist', 'ort', 'node_modules/onnxruntime-web/dist'])
def test_a_folder_is_taken_as_it_is(place, inside):
    folder = place / 'given' / inside
    folder.mkdir(parents=True)
    for name, content in CONTENT.items():
        (folder / name).write_bytes(content)
    assert find_runtime(place / 'given') == CONTENT


def test_an_archive_is_taken_without_npm(place):
    (place / 'a.tgz').write_bytes(ARCHIVE)
    assert find_runtime(place / 'a.tgz') == CONTENT


@pytest.mark.parametrize(
    ('name', 'sentence'),
    [
        ('empty', 'are not in it'),
        ('missing.tgz', 'it cannot be read'),
        ('other.tgz', 'this is not the archive of onnxruntime-web 1.2.3'),
    ],
)
def test_what_is_no_runtime_is_refused(place, name, sentence):
    (place / 'empty').mkdir()
    (place / 'other.tgz').write_bytes(pack(CONTENT, 'other'))
    with pytest.raises(UserError, match=sentence):
        find_runtime(place / name)


def test_the_lock_that_is_shipped_is_whole_and_names_no_host():
    folder = os.path.dirname(runtime.__file__)
    with open(os.path.join(folder, 'package.json'), encoding='utf-8') as file:
        asked = json.load(file)['dependencies']
    with open(os.path.join(folder, 'package-lock.json'), encoding='utf-8') as file:
        text = file.read()
    assert asked == {'onnxruntime-web': read_lock().version}
    assert read_lock().integrity.startswith('sha512-')
    assert len(base64.b64decode(read_lock().integrity.removeprefix('sha512-'))) == 64
    assert '://' not in text
    assert 'resolved' not in text
