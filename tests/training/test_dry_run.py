"""`basicsr train --check`: one real iteration of every shipped training file, and nothing left behind."""

from __future__ import annotations

import copy
import logging
import re

import pytest
import torch
from basicsr.utils import get_root_logger

from dukd_basicsr import options
from dukd_basicsr.cli import main
from dukd_basicsr.networks.weights import build_network
from dukd_basicsr.training import dry_memory, dry_report, dry_run
from tests.toys import REPOSITORY, STUDENT, TEACHER, THIN, save_weights

FOLDER = REPOSITORY / 'options'
SHIPPED = sorted(FOLDER.glob('train_*.yml'))
TERMS = ['l_pix', 'l_kd', 'l_zoom_in', 'l_zoom_out_kd', 'l_zoom_out_pix']
ADVERSARIAL = ['l_percep', 'l_g_gan', 'l_d_real', 'out_d_real', 'l_d_fake', 'out_d_fake']
TWO = {'RCAN': {'num_group': 2}, 'SwinIR': {'depths': [2, 2], 'num_heads': [2, 2]}}
"""For FSP, which is about what lies between two blocks."""


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def thinned(file):
    """The options of a file with a few layers of each network and a patch of two or three windows."""
    opt = options.load(file)
    for key in ('network_g', 'network_t', 'network_d'):
        if key in opt:
            opt[key].update(THIN[opt[key]['type']] | (TWO.get(opt[key]['type'], {}) if '_fsp_' in file.name else {}))
    opt['datasets']['train']['gt_size'] = opt['scale'] * (24 if opt['scale'] == 3 else 16)
    opt['num_gpu'] = 0
    return opt


def numbers(output):
    """Loss terms of the report."""
    return {name: float(value) for name, value in re.findall(r'(l_\w+): (\S+)', output)}


def test_all_that_a_run_will_do_in_its_course_is_tried_and_counted():
    """Terms of a schedule that has not begun; and the memory of a batch that upcycling does not make larger."""
    opt = thinned(FOLDER / 'train_dukd_edsr_x4.yml')
    beside = dry_run.measure(opt)
    opt['train']['dukd_opt'] |= {'in_batch': 0.5, 'zoom_out': None, 'schedule': {'start': 1000, 'end': 2000}}
    found = dry_run.measure(opt)
    opt['train']['dukd_opt'] |= {'in_batch': None}
    apart = dry_run.measure(opt)
    opt |= {'model_type': 'DistillModel'}
    opt['train'] |= {'dukd_opt': None}
    plain = dry_run.measure(opt)
    assert list(found.terms) == list(beside.terms) == TERMS
    assert found.terms['l_zoom_in'] > 0
    assert found.batch_memory < apart.batch_memory < beside.batch_memory
    assert found.batch_memory == pytest.approx(plain.batch_memory, rel=0.05)


def test_a_discriminator_is_tried_and_counted_from_the_iteration_on_that_trains_both(capsys):
    opt = thinned(FOLDER / 'train_dukd_edsr_x4.yml')
    without = dry_run.measure(opt)
    opt['network_d'] = {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 32}
    opt['train'] |= {'gan_opt': {'type': 'GANLoss', 'gan_type': 'hinge'}, 'optim_d': {'type': 'Adam', 'lr': 1e-4},
                     'net_d_iters': 3, 'net_d_init_iters': 10}  # fmt: skip
    found = dry_run.run(opt)
    assert {'l_pix', *ADVERSARIAL[1:]} <= found.terms.keys()
    parameters = found.discriminator.parameters
    assert parameters == sum(each.numel() for each in build_network(opt['network_d']).parameters())
    # Weights, gradient and Adam's two averages stay; 16 patches go through layers of 32 and more channels at full size.
    assert found.batch_memory - without.batch_memory > 4 * (4 * parameters + 16 * 6 * 32 * 64 * 64)
    text = capsys.readouterr().out
    assert f'  discriminator: UNetDiscriminatorSN, {parameters / 1e6:.2f} M parameters, ' in text
    assert ' for an HR patch of 64x64' in text
    opt['network_d'] = {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 4, 'input_size': 256}
    opt['datasets']['train']['gt_size'] = 256
    assert dry_run.measure(opt).patch == 64  # of the run, although it is larger than what is tried without


def test_what_a_graph_has_let_go_counts_no_longer():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.Conv2d(8, 8, 3), torch.nn.ReLU())
    x = torch.rand(1, 3, 32, 32)
    with dry_memory.count_saved(net) as once:
        net(x).sum().backward()
    with dry_memory.count_saved(net) as thrice:
        for _ in range(3):
            net(x).sum().backward()
    with dry_memory.count_saved(net) as together:
        (net(x).sum() + net(x).sum()).backward()
    assert once[0] == 4 * (3 * 32**2 + 8 * 30**2 + 8 * 28**2)  # the input, and what each ReLU answers
    assert thrice == once
    assert together[0] == 2 * once[0] - 4 * 3 * 32**2  # of one input


@pytest.mark.parametrize('arch', ['edsr', 'rcan', 'swinir'])
def test_full_size(arch, tmp_path, capsys):
    file = FOLDER / f'train_dukd_{arch}_x4.yml'
    force = ['--force_yml', 'num_gpu=0', 'datasets:train:gt_size=64']
    assert main(['train', '--check', '-opt', str(file), *force]) == 0
    output, warnings = capsys.readouterr()
    student, teacher = {'edsr': (2.70, 43.1), 'rcan': (5.17, 15.6), 'swinir': (1.24, 11.9)}[arch]
    assert f'{student:.2f} M parameters' in output
    assert f'{teacher:.1f} M parameters' in output
    assert 'LR patch 16x16' in output
    assert list(numbers(output)) == TERMS
    assert all(0 < value < 10 for value in numbers(output).values())
    assert 'peak memory of this check' in output
    assert 'memory of a GPU with batch 16: about ' in output
    assert warnings.count('warning: ') == 6  # the training set, four test sets, the teacher
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('file', SHIPPED, ids=lambda file: file.stem)
def test_every_shipped_file(file, tmp_path):
    opt = thinned(file)
    before = copy.deepcopy(opt)
    result = dry_run.measure(opt)
    assert opt == before
    wanted = {'SRModel': 1, 'SwinIRModel': 1, 'DistillModel': 2, 'DUKDModel': 5, 'DUKDRealModel': 5}[opt['model_type']]
    features = [f'l_{name}' for name in opt['train'].get('feature_opt') or ()]
    if '_gan_' in file.name:
        assert [name for name in result.terms if name not in TERMS] == ADVERSARIAL
        for name in ADVERSARIAL:
            assert abs(result.terms.pop(name)) < 10
        assert result.discriminator.network == opt['network_d']['type']
    assert list(result.terms) == TERMS[:wanted] + features
    off = set() if opt['train'].get('kd_opt') or wanted == 1 else {'l_kd'}
    if opt['model_type'] == 'DUKDRealModel':
        off.add('l_zoom_out_pix')  # a degraded image is no ground truth
    if wanted == 5 and (opt['train']['dukd_opt'] or {}).get('zoom_out', {}) is None:
        off |= {'l_zoom_out_kd', 'l_zoom_out_pix'}
    if '_rkd_' in file.name:
        off.add('l_rkd')  # of one sample, which relates to none
    assert {name for name, value in result.terms.items() if value == 0} == off
    assert all(0 <= value < 10 for value in result.terms.values())
    asked = 'network_t' in opt and opt['datasets']['train']['type'] != 'UpcycledImageDataset'
    assert [cost.network for cost in result.teachers] == ([opt['network_t']['type']] if asked else [])
    assert result.student.network == opt['network_g']['type']
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small():
    """DUKD of toys, whose weights may lie in the working folder."""
    opt = thinned(FOLDER / 'train_dukd_edsr_x2.yml')
    opt['network_g'], opt['network_t'] = STUDENT, TEACHER
    opt['path']['pretrain_network_t'] = 'teacher.pth'
    return opt


def test_weights_that_are_there_are_loaded(small, capsys):
    small['path']['pretrain_network_g'] = 'student.pth'
    small['network_t'] = STUDENT
    net = build_network(STUDENT)
    for file in ('teacher.pth', 'student.pth'):
        torch.save({'params': net.state_dict()}, file)
    result = dry_run.run(small)
    assert result.terms['l_kd'] == 0  # student and teacher are the same network
    assert result.terms['l_pix'] > 0
    small['network_t'] = TEACHER
    with pytest.raises(dry_run.UserError, match=r'teacher\.pth does not fit EDSR'):
        dry_run.run(small)


def test_basicsrs_logger_is_left_as_it_was(small):
    get_root_logger().setLevel(logging.INFO)
    with pytest.raises(dry_run.UserError, match='there is no file teacher'):
        dry_run.run({**small, 'network_t': {'type': 'Spandrel'}})  # its architecture is in the file that is not there
    dry_run.run(small)
    assert get_root_logger().level == logging.INFO


@pytest.mark.parametrize(
    ('real', 'window', 'scale', 'patch'),
    [(48, 1, 4, 48), (33, 8, 3, 33), (49, 1, 4, 48), (64, 8, 3, 48), (64, 7, 2, 42), (64, 7, 4, 28), (120, 16, 5, 80)],
)
def test_the_patch_is_real_or_fits_windows_and_zoom_out(real, window, scale, patch):
    net = torch.nn.Identity()
    net.window_size = window
    assert dry_run._patch(net, real, scale) == patch


def test_several_teachers(small):
    small['network_t'] = [TEACHER, STUDENT]
    small['path']['pretrain_network_t'] = ['teacher.pth', 'other.pth']
    small['train']['teacher_opt'] = {'combine': 'average'}
    result = dry_run.measure(small)
    assert len(result.teachers) == 2
    assert result.teachers[0].parameters > result.teachers[1].parameters


def test_a_large_patch_is_run_small_and_counted_large(small):
    small['datasets']['train']['gt_size'] = 128
    result = dry_run.measure(small)
    at_48 = dry_run.count_macs(build_network(STUDENT), 48, 48)
    assert result.patch == 48
    assert result.student.macs * 48**2 == at_48 * 64**2


def test_memory_of_the_real_batch(small):
    memory = []
    for batch in (1, 3, 5):
        small['datasets']['train']['batch_size_per_gpu'] = batch
        memory.append(dry_run.measure(small).batch_memory)
    assert memory[2] - memory[1] == pytest.approx(memory[1] - memory[0], abs=1)
    assert memory[0] < memory[1]


def test_memory_of_a_patch_larger_than_the_one_run(small):
    growth = []
    for side in (48, 64):
        memory = []
        for batch in (1, 2):
            small['datasets']['train'] |= {'gt_size': 2 * side, 'batch_size_per_gpu': batch}
            memory.append(dry_run.measure(small).batch_memory)
        growth.append(memory[1] - memory[0])
    assert growth[1] == pytest.approx(growth[0] * 64**2 / 48**2, abs=2)


def test_activations_that_autograd_keeps_are_counted_once():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 3, 3, padding=1))
    x = torch.rand(1, 3, 8, 8)
    with dry_memory.count_saved(net) as saved, dry_memory.find_largest_call(net) as largest:
        net(x).sum().backward()
    # The input, and the ReLU's output, which it and the second convolution keep; not the first convolution's output.
    assert saved[0] == 4 * 64 * (3 + 4)
    assert largest[0] == 4 * 64 * (4 + 4)


def test_a_loss_that_is_no_number_is_refused(small, capsys):
    net = save_weights('teacher.pth', TEACHER)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.fill_(1e30)  # numbers, whose products are none
    torch.save({'params': net.state_dict()}, 'teacher.pth')
    with pytest.raises(
        dry_run.UserError, match=r'the first loss is no number: l_kd is (nan|inf), l_zoom_in is (nan|inf)'
    ):
        dry_run.run(small)
    assert re.search('l_kd: (nan|inf)', capsys.readouterr().out)


def test_mistakes_in_the_file_are_still_errors(capsys):
    file = FOLDER / 'train_edsr_x4.yml'
    assert main(['train', '--check', '-opt', str(file), '--force_yml', 'train:total_itr=5']) == 2
    assert 'Did you mean "total_iter"?' in capsys.readouterr().err


def test_without_check_missing_files_stay_errors(tmp_path, capsys):
    assert main(['train', '-opt', str(FOLDER / 'train_edsr_x4.yml')]) == 2
    assert 'warning' not in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_real_batch_is_timed_and_one_too_large_is_estimated(small, monkeypatch):
    """One sample leaves a device idle: what an iteration takes is not a multiple of its time."""
    counts = []
    monkeypatch.setattr(dry_run, '_time_batch', lambda model, sample, count: counts.append(count) or 3.0)
    small['datasets']['train']['batch_size_per_gpu'] = 6
    small['train']['accumulate'] = 2
    assert dry_run.measure(small).batch_seconds == 2 * 3.0
    assert counts == [3]
    monkeypatch.setattr(dry_run, 'MEMORY', 0)
    found = dry_run.measure(small)
    assert found.batch_seconds == pytest.approx(6 * found.seconds)
    assert counts == [3]


def test_the_real_batch_is_what_is_trained_on(small):
    small['datasets']['train']['batch_size_per_gpu'] = 4
    found = dry_run.measure(small)
    assert found.batch_seconds > 0
    patch = small['datasets']['train']['gt_size'] // small['scale']
    text = dry_report.write_report(found, small)
    assert f'batch 4, LR patch {patch}x{patch}: about {found.batch_seconds:.3g} s' in text
