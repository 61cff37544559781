"""`basicsr doctor` where something is missing or broken: the command that mends it, never a traceback.

That a whole installation passes, in a process of its own, is in test_cli.py.
"""

import base64
import builtins
import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from dukd_basicsr import compat
from dukd_basicsr.cli import main
from dukd_basicsr.commands.doctor import probes as doctor_probes
from dukd_basicsr.commands.doctor import report as doctor
from dukd_basicsr.errors import UserError
from tests.toys import REPOSITORY


def report(capsys):
    code = main(['doctor'])
    out = capsys.readouterr().out
    assert out.startswith('```\n')
    assert out.endswith('\n```\n')
    return code, out


def break_import(monkeypatch, module, error):
    real = builtins.__import__

    def importing(name, *rest, **named):
        if name == module:
            raise error
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, '__import__', importing)


def lose(monkeypatch, *distributions):
    real = importlib.metadata.metadata

    def metadata(name):
        if name in distributions:
            raise importlib.metadata.PackageNotFoundError(name)
        return real(name)

    monkeypatch.setattr(importlib.metadata, 'metadata', metadata)


def test_a_sound_installation(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out = report(capsys)
    assert code == 0, out
    assert 'all is well' in out
    assert f'Python {sys.version_info.major}.{sys.version_info.minor}.' in out
    for name in ('torch', 'torchvision', 'basicsr', 'numpy', 'opencv-python', 'lmdb', 'pillow', 'spandrel', 'onnx',
                 'onnxruntime', 'matplotlib'):  # fmt: skip
        assert re.search(rf'^  {name} +{re.escape(importlib.metadata.version(name))}$', out, re.MULTILINE), name
    assert 'its files: as pip installed them' in out
    assert f'current folder: {tmp_path}' in out
    assert ' GiB free, can be written to' in out
    assert re.search(r'shipped options: \d\d ', out)
    assert 'patched by others' not in out
    assert ('devices: CPU only' in out) == (torch.cuda.device_count() == 0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ('distribution', 'command'),
    [
        ('torch', 'torch is missing: pip install torch torchvision setuptools wheel cython numpy'),
        ('basicsr', 'basicsr is missing: pip install --no-build-isolation basicsr==1.4.2'),
        ('lmdb', 'lmdb is missing: pip install lmdb'),
    ],
)
def test_what_is_missing_comes_with_its_command(distribution, command, capsys, monkeypatch):
    lose(monkeypatch, distribution)
    code, out = report(capsys)
    assert code == 1
    assert f'PROBLEM: {command}\n' in out
    assert 'all is well' not in out


def test_what_may_be_missing_is_no_problem(capsys, monkeypatch):
    lose(monkeypatch, 'onnx', 'matplotlib', 'opencv-python')
    code, out = report(capsys)
    assert '  onnx           missing (for basicsr export: pip install onnx)\n' in out
    assert '  matplotlib     missing (for benchmarks/study: pip install matplotlib)\n' in out
    assert code == 1
    assert 'PROBLEM: opencv-python is missing' in out
    assert out.count('PROBLEM') == 1


def test_any_build_of_opencv_does():
    name, version = doctor_probes.find_version(('opencv-python-of-mine', 'opencv-python'))
    assert (name, version) == ('opencv-python', importlib.metadata.version('opencv-python'))


@pytest.mark.parametrize(
    'error',
    [
        ImportError('numpy.core.multiarray failed to import\nand more'),
        OSError('broken'),
        SystemExit(3),
        AttributeError("partially initialized module 'cv2'"),
    ],
)
def test_a_broken_package_is_named(error, capsys, monkeypatch):
    break_import(monkeypatch, 'cv2', error)
    code, out = report(capsys)
    assert code == 1
    first = str(error).splitlines()[0]
    assert (f'PROBLEM: opencv-python is installed and cannot be imported ({type(error).__name__}: {first}): '
            'pip install --force-reinstall opencv-python\n') in out  # fmt: skip


def test_a_system_without_a_desktop_gets_the_headless_build(capsys, monkeypatch):
    break_import(monkeypatch, 'cv2', ImportError('libGL.so.1: No such file or directory'))
    code, out = report(capsys)
    assert code == 1
    assert out.count('PROBLEM') == 1
    remedy = f'pip uninstall -y {" ".join(doctor.OPENCV)} && pip install opencv-python-headless'
    assert f'(ImportError: libGL.so.1: No such file or directory): {remedy}\n' in out
    assert 'opencv-contrib-python-headless' in remedy


@pytest.mark.parametrize('error', [UserError('a sentence'), RuntimeError('operator does not exist')])
def test_a_basicsr_that_cannot_be_imported(error, capsys, monkeypatch):
    break_import(monkeypatch, 'dukd_basicsr.plugin', error)
    code, out = report(capsys)
    assert code == 1
    assert re.search(r'PROBLEM: (a sentence|BasicSR cannot be imported \(RuntimeError: operator.*\): pip install)', out)


def test_nothing_that_fails_ends_the_report(capsys, monkeypatch):
    """Every outside call fails at once."""

    def fail(*_, **__):
        raise RuntimeError('no')

    for owner, name in (
        (torch.cuda, 'device_count'), (doctor, 'changed_files'), (doctor.platform, 'platform'), (Path, 'cwd'),
        (doctor, 'find_version'),
    ):  # fmt: skip
        monkeypatch.setattr(owner, name, fail)
    _, out = report(capsys)
    for part in ('system', 'packages', 'imports', 'basicsr', 'devices', 'folder'):
        assert f'{part}: not known (RuntimeError: no)\n' in out


def test_half_removed_packages_and_a_gone_folder(tmp_path):
    """In a process of its own, as it happens: metadata without a version, torch that does not load, no folder."""
    site = tmp_path / 'site'
    (site / 'lmdb-1.0.dist-info').mkdir(parents=True)
    (site / 'torch').mkdir()
    (site / 'torch' / '__init__.py').write_text('raise OSError("libtorch.so: file too short")')
    gone = tmp_path / 'gone'
    gone.mkdir()
    code = f'import os, sys; os.rmdir({str(gone)!r}); from dukd_basicsr.cli import main; sys.exit(main(["doctor"]))'
    repository = REPOSITORY
    environment = os.environ | {'PYTHONPATH': f'{site}{os.pathsep}{repository}', 'PYTHONIOENCODING': 'ascii'}
    done = subprocess.run(
        [sys.executable, '-c', code], cwd=gone, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert (
        'torch is installed and cannot be imported (OSError: libtorch.so: file too short): pip install' in done.stdout
    )
    assert 'PROBLEM: lmdb is missing: pip install lmdb' in done.stdout
    assert 'folder: not known (FileNotFoundError' in done.stdout
    assert 'Traceback' not in done.stderr + done.stdout


def test_a_folder_that_cannot_be_written_to(capsys, monkeypatch):
    monkeypatch.chdir('/proc')
    assert 'cannot be written to' in report(capsys)[1]


def test_files_that_somebody_has_edited_are_named(tmp_path, monkeypatch):
    info = tmp_path / 'mine-1.0.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text('Name: mine\nVersion: 1.0\n')
    for name in ('same', 'edited', 'gone'):
        (tmp_path / f'{name}.py').write_text('x = 1\n')
    digest = 'sha256=' + base64.urlsafe_b64encode(hashlib.sha256(b'x = 1\n').digest()).decode().rstrip('=')
    (info / 'RECORD').write_text(''.join(f'{name}.py,{digest},6\n' for name in ('same', 'edited', 'gone')))
    (tmp_path / 'edited.py').write_text('x = 2\n')
    (tmp_path / 'gone.py').unlink()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert doctor_probes.changed_files('mine') == ['edited.py', 'gone.py']


def test_a_patch_of_others_is_named(monkeypatch):
    assert doctor_probes.patched_by_others() == []
    monkeypatch.setitem(vars(compat.get_from_lmdb), 'stock', json.dumps)
    assert doctor_probes.patched_by_others() == ['dumps by json']


def test_the_driver_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setenv('PATH', str(tmp_path))
    assert doctor_probes.nvidia_driver() is None
    program = tmp_path / 'nvidia-smi'
    program.write_text('#!/bin/sh\necho 570.12\necho 570.12\n')
    program.chmod(0o755)
    assert doctor_probes.nvidia_driver() == '570.12'
    program.write_text('#!/bin/sh\nexit 9\n')
    assert doctor_probes.nvidia_driver() is None


def test_the_home_folder_is_not_shown(capsys, monkeypatch):
    monkeypatch.setenv('HOME', '/home/somebody')
    doctor.Report().say('in /home/somebody/project and /home/somebody2')
    assert capsys.readouterr().out == 'in ~/project and /home/somebody2\n'
