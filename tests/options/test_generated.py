"""The generated family of options files: as the generator writes it, of the published sizes, one method."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from functools import partial

import pytest

from dukd_basicsr import options
from dukd_basicsr.networks.cost import count_macs, count_parameters
from dukd_basicsr.networks.deploy import deploy
from dukd_basicsr.networks.weights import build_network
from options.generate.family import write_family
from options.generate.other_files import REAL
from tests.toys import REPOSITORY

FOLDER = REPOSITORY / 'options'
NETWORKS = ('edsr', 'rcan', 'swinir')
SCALES = (2, 3, 4)
RIVALS = ('fitnet', 'at', 'fakd', 'fsp', 'wavelet', 'csd', 'rkd', 'crosskd', 'mipkd')
# (parameters in M, multiply-accumulates in G for an LR patch of 48x48) of teacher and student; the published table.
# Its MACs contain attention's matrix products (Q K^T and A V): without them SwinIR's teacher would have 26.8 G at x2.
PUBLISHED = {
    ('edsr', 2): ((40.73, 93.9), (2.55, 5.9)),
    ('edsr', 3): ((43.68, 100.7), (2.74, 6.3)),
    ('edsr', 4): ((43.09, 115.8), (2.70, 7.3)),
    ('rcan', 2): ((15.45, 35.3), (5.02, 11.5)),
    ('rcan', 3): ((15.63, 35.7), (5.21, 11.9)),
    ('rcan', 4): ((15.59, 36.7), (5.17, 12.9)),
    ('swinir', 2): ((11.75, 28.7), (1.09, 2.8)),
    ('swinir', 3): ((11.94, 29.2), (1.27, 3.3)),
    ('swinir', 4): ((11.90, 30.1), (1.24, 4.2)),
}
# Two of the 36 numbers differ by one in the last digit: 15,444,643 parameters and 93,847,486,464 MACs are rounded
# here to what they are.
ROUNDED_OTHERWISE = {('rcan', 2, 'network_t'): (15.44, 35.3), ('edsr', 2, 'network_t'): (40.73, 93.8)}


def load(name):
    return options.load(FOLDER / name)


def test_files_are_what_the_generator_writes():
    for name, text in write_family().items():
        assert (FOLDER / name).read_bytes() == text.encode('ascii'), f'{name} differs: run python -m options.generate'


def test_the_family_is_complete():
    names = set(write_family())
    own = {f'train_{method}{arch}_x{scale}.yml' for method, arch, scale in
           itertools.product(('', 'kd_', 'dukd_'), NETWORKS, SCALES)}  # fmt: skip
    tests = {f'test_{arch}_x{scale}.yml' for arch, scale in itertools.product(NETWORKS, SCALES)}
    pairs = ('edsr_to_rcan', 'swinir_to_rcan', 'swinir_to_edsr', 'rcan_to_edsr')
    pairs += ('edsr_to_compact', 'edsr_to_ecbsr', 'edsr_to_span')
    examples = {f'train_dukd_{pair}_x4.yml' for pair in pairs}
    examples |= {'train_dukd_edsr_x4_from_x2.yml', 'train_dukd_edsr_x4_upcycled.yml', 'train_dukd_edsr_x4_in_batch.yml'}
    rivals = {f'train_{method}_{arch}_x4.yml' for method in RIVALS for arch in NETWORKS}
    smaller = {f'train_{method}edsr_f64b16_x4.yml' for method in ('', 'kd_', 'dukd_')}
    further = {'train_edsr_x4_df2k.yml', 'train_kd_edsr_x4_df2k.yml', 'train_dukd_real_swinir_x4.yml'}
    further.add('train_dukd_real_gan_rrdb_to_compact_x4.yml')
    assert names == own | tests | examples | rivals | smaller | further


def test_check_names_what_differs_and_writes_nothing(tmp_path):
    copied = tmp_path / 'options'
    shutil.copytree(FOLDER / 'generate', copied / 'generate', ignore=shutil.ignore_patterns('__pycache__'))
    shutil.copy(FOLDER / REAL, copied)
    command = [sys.executable, '-m', 'options.generate']
    run = partial(subprocess.run, cwd=tmp_path, check=True, capture_output=True)
    assert run(command).stdout.count(b' written') == 81
    assert run([*command, '--check']).stdout == b''
    changed = copied / 'train_kd_rcan_x3.yml'
    text = changed.read_bytes().replace(b'loss_weight: 1.0', b'loss_weight: 2.0')
    changed.write_bytes(text)
    done = run([*command, '--check'], check=False)
    assert (done.returncode, done.stdout.split()) == (1, [b'train_kd_rcan_x3.yml', b'differs'])
    assert changed.read_bytes() == text


@pytest.mark.parametrize(('arch', 'scale'), PUBLISHED, ids=lambda value: str(value))
def test_sizes_are_the_published_ones(arch, scale):
    opt = load(f'train_dukd_{arch}_x{scale}.yml')
    for key, published in zip(('network_t', 'network_g'), PUBLISHED[arch, scale], strict=True):
        net = build_network(opt[key])
        measured = (round(count_parameters(net) / 1e6, 2), round(count_macs(net, 48, 48) / 1e9, 1))
        assert measured == ROUNDED_OTHERWISE.get((arch, scale, key), published), key


@pytest.mark.parametrize(('arch', 'scale'), PUBLISHED, ids=lambda value: str(value))
def test_methods_differ_only_in_the_method(arch, scale):
    alone, kd, dukd = (load(f'train_{method}{arch}_x{scale}.yml') for method in ('', 'kd_', 'dukd_'))
    assert dukd['train'].pop('dukd_opt')
    for opt in (alone, kd, dukd):
        del opt['name'], opt['model_type']
    assert kd == dukd
    assert kd['train'].pop('kd_opt')
    assert kd.pop('network_t')
    for name in ('pretrain_network_t', 'param_key_t', 'strict_load_t'):
        del kd['path'][name]
    assert alone == kd
    test = load(f'test_{arch}_x{scale}.yml')
    assert test['network_g'] == alone['network_g']
    assert test['val']['metrics'] == alone['val']['metrics']
    assert list(test['datasets'].values()) == [value for name, value in alone['datasets'].items() if name != 'train']


@pytest.mark.parametrize('arch', NETWORKS)
@pytest.mark.parametrize('method', RIVALS)
def test_rivals_differ_from_logits_distillation_only_in_their_loss(method, arch):
    rival, kd = load(f'train_{method}_{arch}_x4.yml'), load(f'train_kd_{arch}_x4.yml')
    assert list(rival['train'].pop('feature_opt')) == [method]
    assert rival.pop('name') == kd.pop('name').replace('KD', method.upper())
    if method in ('wavelet', 'csd', 'crosskd'):  # losses of images, in place of kd_opt
        del kd['train']['kd_opt']
    assert rival == kd


def test_more_data_is_what_differs_in_the_files_of_df2k():
    for method in ('', 'kd_'):
        more, plain = load(f'train_{method}edsr_x4_df2k.yml'), load(f'train_{method}edsr_x4.yml')
        assert more.pop('name') == plain.pop('name').replace('DIV2K_250k', 'DF2K_500k')
        assert (more['train'].pop('total_iter'), plain['train'].pop('total_iter')) == (500000, 250000)
        milestones = [opt['train']['scheduler'].pop('milestones') for opt in (more, plain)]
        assert milestones == [[200000, 400000], [100000, 200000]]
        sets = [opt['datasets'].pop('train') for opt in (more, plain)]
        renamed = {name: value.replace('DIV2K_train', 'DF2K').replace('DIV2K', 'DF2K')
                   for name, value in sets[1].items() if isinstance(value, str)}  # fmt: skip
        assert sets[0] == sets[1] | renamed
        assert more == plain


def test_the_smaller_pair_has_the_student_of_the_larger_as_its_teacher():
    first, pair = load('train_edsr_x4.yml'), load('train_dukd_edsr_f64b16_x4.yml')
    assert pair['network_t'] == first['network_g'] == {**pair['network_g'], 'num_block': 32}
    assert pair['network_g']['num_block'] == 16
    assert pair['path']['pretrain_network_t'] == f'experiments/{first["name"]}/models/net_g_250000.pth'
    assert pair['path']['param_key_t'] == 'params_ema'
    assert pair['train'] == load('train_dukd_edsr_x4.yml')['train']


def test_the_real_world_pair_differs_in_its_networks_only():
    swinir, compact = load('train_dukd_real_swinir_x4.yml'), load('train_dukd_real_rrdb_to_compact_x4.yml')
    sizes = [round(count_parameters(build_network(swinir[key])) / 1e6, 2) for key in ('network_t', 'network_g')]
    assert sizes == [11.72, 1.05]
    for opt in (swinir, compact):
        del opt['name'], opt['network_g'], opt['network_t'], opt['path']['pretrain_network_t'], opt['gt_usm']
    assert swinir == compact


def test_the_adversarial_file_goes_on_from_the_student_of_the_other():
    gan, first = load('train_dukd_real_gan_rrdb_to_compact_x4.yml'), load('train_dukd_real_rrdb_to_compact_x4.yml')
    assert gan['path'].pop('pretrain_network_g') == f'experiments/{first["name"]}/models/net_g_400000.pth'
    assert gan['path'].pop('param_key_g') == 'params_ema'
    assert gan['path'].pop('pretrain_network_d') is None
    assert count_parameters(build_network(gan.pop('network_d'))) == 4_376_897
    assert gan.pop('gan_gt_usm') is False
    assert gan['train'].pop('optim_d') == gan['train']['optim_g']
    for name in ('perceptual_opt', 'gan_opt', 'net_d_iters', 'net_d_init_iters'):
        del gan['train'][name]
    for opt in (gan, first):
        del opt['name'], opt['train']['optim_g']['lr'], opt['train']['scheduler']['milestones']
    del first['path']['pretrain_network_g']
    assert gan == first


@pytest.mark.parametrize(
    ('name', 'trained', 'deployed'),
    [('compact', 621_424, 621_424), ('ecbsr', 95_472, 16_768), ('span', 2_236_728, 426_288)],
)
def test_students_for_real_time_are_of_their_published_sizes(name, trained, deployed):
    net = build_network(load(f'train_dukd_edsr_to_{name}_x4.yml')['network_g'])
    assert (count_parameters(net), count_parameters(deploy(net))) == (trained, deployed)


def test_one_method_and_schedule_for_all():
    first = load('train_dukd_edsr_x2.yml')
    for file in sorted(FOLDER.glob('train_dukd_*_x[234]*.yml')):
        if 'f24b4' in file.name or 'dukd_real' in file.name:  # written by hand
            continue
        opt = options.load(file)
        if file.stem.endswith('_in_batch'):
            dukd = opt['train']['dukd_opt']
            assert dukd.pop('in_batch') * opt['datasets']['train']['batch_size_per_gpu'] == 6
            assert dukd.pop('schedule') == {'start': 0.7 * opt['train']['total_iter']}
            dukd['zoom_out'], dukd['consistency']['views'] = {'gt': True}, ['zoom_in', 'zoom_out']
        assert opt['train'] == first['train'], file.name
        train, scale = opt['datasets']['train'], opt['scale']
        assert train['gt_size'] == 48 * scale
        assert train['dataroot_lq'].endswith(f'_X{scale}_sub.lmdb')
        for metric in opt['val']['metrics'].values():
            assert metric['crop_border'] == scale


def test_a_students_test_file_names_its_run():
    for arch, scale in PUBLISHED:
        name = load(f'train_dukd_{arch}_x{scale}.yml')['name']
        path = load(f'test_{arch}_x{scale}.yml')['path']['pretrain_network_g']
        assert path == f'experiments/{name}/models/net_g_250000.pth'
    staged = load('train_dukd_edsr_x4_from_x2.yml')['path']
    first = load('train_dukd_edsr_x2.yml')['name']
    assert staged['pretrain_network_g'] == f'experiments/{first}/models/net_g_latest.pth'
    assert staged['strict_load_g'] is False


def test_names_of_runs_are_unique():
    names = [options.load(file)['name'] for file in sorted(FOLDER.glob('*.yml'))]
    assert len(names) == len(set(names))
