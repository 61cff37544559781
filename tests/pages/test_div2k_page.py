"""Every command of docs/div2k.md, in order, in a miniature of what it speaks of.

The commands are run as they stand, in a folder with the page's layout. What is smaller or nearer there:
- the downloads: `curl` copies from a folder beside, with a few small drawn images under the official names;
- the options files: same names, thinned networks, two iterations, LR patches of 12x12, batch 2, on the CPU, no
  tensorboard; the checkpoint of a test is named after the two iterations;
- the teachers: drawn weights under the official names, RCAN's in its authors' layout;
- eight processes are two.
"""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from contextlib import redirect_stdout
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from dukd_basicsr import options
from dukd_basicsr.cli import main
from tests import warm
from tests.networks.layouts.originals import original_rcan
from tests.toys import REPOSITORY, THIN, save_weights

PAGE = (REPOSITORY / 'docs' / 'div2k.md').read_text(encoding='utf-8')
ITERATIONS = 2
CURL = """#!/bin/bash
name=$(basename "${@: -1}")
while [ $# -gt 1 ]; do if [ "$1" = -o ]; then out=$2; fi; shift; done
cp "$MIRROR/$name" "${out:-$name}"
"""


def commands():
    blocks = re.findall(r'^```bash\n(.*?)^```', PAGE, re.DOTALL | re.MULTILINE)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def draw(path, height, width, seed):
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), image)
    return image


def make_mirror(mirror):
    """What the page downloads."""
    source = mirror / 'source'
    for number in (1, 2):
        image = draw(source / f'DIV2K_train_HR/{number:04d}.png', 72, 96, number)
        for scale in (2, 4):
            low = source / f'DIV2K_train_LR_bicubic/X{scale}/{number:04d}x{scale}.png'
            low.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(low), cv2.resize(image, (96 // scale, 72 // scale), interpolation=cv2.INTER_AREA))
    for name in ('DIV2K_train_HR', *(f'DIV2K_train_LR_bicubic/X{scale}' for scale in (2, 4))):
        with zipfile.ZipFile(mirror / f'{name.replace("/", "_")}.zip', 'w') as archive:
            for file in sorted((source / name).iterdir()):
                archive.write(file, file.relative_to(source))
    with tarfile.open(mirror / 'benchmark.tar', 'w') as archive:
        for seed, name in enumerate(('Set5', 'Set14', 'B100', 'Urban100')):
            draw(source / f'benchmark/{name}/HR/image.png', 49, 62, seed)
            draw(source / f'benchmark/{name}/LR_bicubic/X4/imagex4.png', 12, 15, seed)
        archive.add(source / 'benchmark', 'benchmark')
    swinir = options.load(REPOSITORY / 'options/train_dukd_swinir_x4.yml')['network_t'] | THIN['SwinIR']
    save_weights(mirror / '001_classicalSR_DIV2K_s48w8_SwinIR-M_x4.pth', swinir)


def make_options(folder):
    """The shipped files at the miniature's size."""
    folder.mkdir()
    for file in sorted((REPOSITORY / 'options').glob('*_x[24]*.yml')):
        opt = options.load(file)
        for key in {'network_g', 'network_t'} & opt.keys():
            opt[key] |= THIN.get(opt[key]['type'], {})
        opt['num_gpu'] = 0
        if 'train' in opt:
            opt['datasets']['train'] |= {'gt_size': 16 * opt['scale'], 'batch_size_per_gpu': 2, 'num_worker_per_gpu': 0}
            opt['dist_params'] = {'backend': 'gloo'}
            opt['train']['total_iter'] = opt['val']['val_freq'] = ITERATIONS
            opt['train']['scheduler']['milestones'] = [1]
            opt['logger'] = {'print_freq': 1, 'save_checkpoint_freq': ITERATIONS, 'use_tb_logger': False}
        elif opt['path']['pretrain_network_g'].endswith('net_g_250000.pth'):
            opt['path']['pretrain_network_g'] = opt['path']['pretrain_network_g'].replace('250000', str(ITERATIONS))
        (folder / file.name).write_text(yaml.safe_dump(opt, sort_keys=False), encoding='ascii')


def make_fetched_teachers(folder):
    """What the page says to fetch by hand."""
    folder.mkdir(parents=True)
    for scale in (2, 4):
        opt = options.load(REPOSITORY / f'options/train_dukd_edsr_x{scale}.yml')
        save_weights(folder / Path(opt['path']['pretrain_network_t']).name, opt['network_t'] | THIN['EDSR'])
    torch.save(
        original_rcan(features=16, groups=1, blocks=1, squeezed=1, scale=4).state_dict(), folder / 'RCAN_BIX4.pt'
    )


def make_programs(folder):
    folder.mkdir()
    for name, script in (('python', f'#!/bin/bash\nexec {shlex.quote(sys.executable)} "$@"\n'), ('curl', CURL)):
        (folder / name).write_text(script)
        (folder / name).chmod(0o755)


def run(command, folder):
    """The output of a command as the page has it; in this process where BasicSR's loggers are not involved."""
    words = shlex.split(command.replace('--nproc_per_node=8', '--nproc_per_node=2'))
    if words[0] == 'basicsr' and (words[1] in ('prepare', 'benchmark') or '--check' in words):
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as output:
            patch.chdir(folder)
            assert main(words[1:]) == 0, command
        return output.getvalue()
    modules = {'basicsr': 'dukd_basicsr', 'torchrun': 'torch.distributed.run'}
    if words[0] in modules:
        done = warm.run_module(modules[words[0]], *words[1:], cwd=folder)
    else:
        path = f'{folder.parent / "bin"}{os.pathsep}{os.environ["PATH"]}'
        environment = os.environ | {'PATH': path, 'MIRROR': str(folder.parent / 'mirror')}
        done = subprocess.run(
            ['bash', '-c', command],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=900, check=False,
        )  # fmt: skip
    assert done.returncode == 0, f'{command}\n{done.stderr[-3000:]}'
    return done.stdout + done.stderr


@pytest.fixture(scope='module')
def walked(tmp_path_factory):
    """The folder after all commands of the page, and the output of each."""
    home = tmp_path_factory.mktemp('div2k')
    (home / 'mirror').mkdir()
    folder = home / 'checkout'
    folder.mkdir()
    torch.manual_seed(0)
    make_mirror(home / 'mirror')
    make_options(folder / 'options')
    make_fetched_teachers(folder / 'experiments/pretrained_models')
    make_programs(home / 'bin')
    return folder, {command: run(command, folder) for command in commands()}


def log_of(folder, file, newest=True):
    name = options.load(folder / 'options' / file)['name']
    logs = sorted((folder / 'experiments' / name).glob('train_*.log'), key=lambda path: path.stat().st_mtime)
    return logs[-1 if newest else 0].read_text()


@pytest.mark.slow
def test_data_is_where_the_options_say(walked):
    folder, _ = walked
    for name in ('HR', 'LR_bicubic_X2', 'LR_bicubic_X3', 'LR_bicubic_X4'):
        assert (folder / f'datasets/DIV2K/DIV2K_train_{name}_sub.lmdb/meta_info.txt').read_text().count('\n') == 2
    for name in ('Set5', 'Set14', 'B100', 'Urban100'):
        for scale in (2, 4):
            assert (folder / f'datasets/{name}/LRbicx{scale}/image.png').is_file()


@pytest.mark.slow
def test_checks_report(walked):
    checks = {command: output for command, output in walked[1].items() if '--check' in command}
    assert len(checks) == 3
    for output in checks.values():
        assert 'l_zoom_out_pix: ' in output


@pytest.mark.slow
def test_every_training_ends_with_a_student(walked):
    folder, outputs = walked
    files = {Path(word).name for command in outputs if ' train -opt' in command for word in command.split()
             if word.endswith('.yml')}  # fmt: skip
    assert len(files) == 7
    for file in files:
        log = log_of(folder, file, newest=False)
        assert f'iter: {ITERATIONS:7d},' in log
        assert 'Validation Urban100' in log
        assert ('Teacher on Urban100 (iteration 0)' in log) == ('network_t:' in log)
    for file in ('train_dukd_rcan_x4.yml', 'train_dukd_swinir_x4.yml'):
        assert f'Resuming training from epoch: 0, iter: {ITERATIONS}.' in log_of(folder, file)
    assert 'World size (gpu number): 2' in log_of(folder, 'train_dukd_swinir_x4.yml', newest=False)
    staged = log_of(folder, 'train_dukd_edsr_x4_from_x2.yml')
    assert 'the weights that match are loaded; these do not and stay as they are' in staged
    assert 'upsample.2.weight is missing in the file' in staged


@pytest.mark.slow
def test_the_tables(walked):
    folder, _ = walked
    rows = json.loads((folder / 'results/x4/benchmark.json').read_text())['rows']
    kinds = [row['kind'] for row in rows]
    assert kinds == ['bicubic'] + ['student'] * 3 + ['teacher'] * 3
    assert all(set(row['scores']) == {'Set5', 'Set14', 'B100', 'Urban100'} for row in rows)
    rows = json.loads((folder / 'results/edsr_x4/benchmark.json').read_text())['rows']
    assert [row['kind'] for row in rows] == ['bicubic'] + ['student'] * 4 + ['teacher']
    assert len(list((folder / 'results').glob('test_*/visualization/*/image*.png'))) == 4


@pytest.mark.slow
def test_the_page_names_files_that_are_shipped(walked):
    named = set(re.findall(r'options/(\w+\.yml)', PAGE))
    assert len(named) == 8
    assert all((REPOSITORY / 'options' / name).is_file() for name in named)
