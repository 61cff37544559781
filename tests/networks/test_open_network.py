"""Every way in which a file tells its network."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import yaml

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import padding
from dukd_basicsr.networks.onnx import session as exported
from dukd_basicsr.networks.open_network import open_network
from dukd_basicsr.networks.weights import build_network
from tests.toys import STUDENT, TEACHER, save_weights

COMPACT = {'type': 'SRVGGNetCompact', 'num_in_ch': 1, 'num_out_ch': 1, 'num_feat': 4, 'num_conv': 1, 'upscale': 3}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(file, **opt):
    Path(file).write_text(yaml.safe_dump(opt), encoding='utf-8')
    return Path(file)


def equal(opened, net):
    """Ready to be asked, and answering as the network that was saved."""
    assert not opened.net.training
    assert not any(parameter.requires_grad for parameter in opened.net.parameters())
    lq = torch.rand(1, opened.channels, 8, 8)
    with torch.no_grad():
        answer = opened.net(lq)
        assert answer.shape[-1] == 8 * opened.scale
        return torch.equal(answer, net.eval()(lq))


def test_the_options_of_the_run_beside_a_checkpoint(folder):
    Path('experiments/run/models').mkdir(parents=True)
    path = Path('experiments/run/models/net_g_latest.pth')
    network = {**STUDENT, 'res_scale': 0.5}  # which no weights tell
    net = save_weights(path, network)
    write('experiments/run/old.yml', name='old', network_g={**network, 'res_scale': 0.25})
    write('experiments/run/new.yml', name='new', network_g=network)
    os.utime('experiments/run/old.yml', (1, 1))
    opened = open_network(path)
    assert (opened.name, opened.scale, opened.channels) == ('new', 2, 3)
    assert opened.network == network
    assert opened.notes == ()
    assert equal(opened, net)
    elsewhere = Path('experiments/run/net.pth')  # not in models/: the options are of no one knows what
    path.rename(elsewhere)
    assert open_network(elsewhere).name == 'net'
    assert not equal(open_network(elsewhere), net)


def test_given_options_with_the_network_g(folder):
    network = {**STUDENT, 'res_scale': 0.5}
    net = save_weights('a.pth', network)
    opened = open_network(Path('a.pth'), write('a.yml', name='mine', network_g=network))
    assert (opened.name, opened.network, opened.weights) == ('mine', network, Path('a.pth'))
    assert equal(opened, net)
    assert open_network(Path('a.pth'), write('b.yml', network_g=network)).name == 'a'


@pytest.mark.parametrize('several', [False, True])
def test_given_options_that_name_the_file_as_a_teacher(several, folder):
    teacher = {**TEACHER, 'res_scale': 0.5}
    net = save_weights('teacher.pth', teacher)
    networks, paths = (
        ([STUDENT, teacher], [None, './teacher.pth']) if several else (teacher, str(folder / 'teacher.pth'))
    )
    file = write('a.yml', name='run', network_g=STUDENT, network_t=networks, path={'pretrain_network_t': paths})
    opened = open_network(Path('teacher.pth'), file)
    assert (opened.name, opened.network) == ('teacher', teacher)
    assert equal(opened, net)


def test_options_that_do_not_fit(folder):
    save_weights('a.pth', STUDENT)
    with pytest.raises(UserError, match=r'^a.yml: a.pth does not fit EDSR as configured: .*is \(4, 3, 3, 3\) in the'):
        open_network(Path('a.pth'), write('a.yml', network_g={**STUDENT, 'num_feat': 8}))
    for network in (None, {'num_feat': 8}, 'EDSR'):
        with pytest.raises(UserError, match=r'^b.yml: network_g has no type; write the network of a.pth, e.g.'):
            open_network(Path('a.pth'), write('b.yml', network_g=network))


def test_weights_that_tell_their_network(folder):
    save_weights('grey.pth', COMPACT)
    assert (open_network(Path('grey.pth')).scale, open_network(Path('grey.pth')).channels) == (3, 1)
    net = save_weights('a.pth', STUDENT)
    opened = open_network(Path('a.pth'))
    assert (opened.name, opened.scale, opened.channels, opened.network['num_feat']) == ('a', 2, 3, 4)
    assert opened.notes
    assert all(note.startswith('a.pth: ') and 'assumed' in note for note in opened.notes)
    assert equal(opened, net)


@pytest.mark.parametrize('told', [False, True])
def test_the_average_comes_first(told, folder):
    ours, average = (build_network(STUDENT) for _ in range(2))
    torch.save({'params': ours.state_dict(), 'params_ema': average.state_dict()}, 'a.pth')
    file = write('a.yml', network_g=STUDENT) if told else None
    assert equal(open_network(Path('a.pth'), file), average)
    assert equal(open_network(Path('a.pth'), file, 'params'), ours)
    torch.save(ours.state_dict(), 'bare.pth')
    assert equal(open_network(Path('bare.pth'), file), ours)


def test_half_precision_is_widened(folder):
    net = build_network(STUDENT)
    torch.save({name: tensor.half() for name, tensor in net.state_dict().items()}, 'a.pth')
    assert {parameter.dtype for parameter in open_network(Path('a.pth')).net.parameters()} == {torch.float32}


def test_folding_networks_are_asked_for_a_size_that_they_take(folder):
    network = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'scale': 2, 'num_feat': 4, 'num_block': 1,
               'num_grow_ch': 2}  # fmt: skip
    save_weights('a.pth', network)
    opened = open_network(Path('a.pth'))
    assert opened.scale == 2
    assert padding.find_size_requirement(opened.net).multiple == 2


def test_what_only_spandrel_knows(folder):
    """ESRGAN's own names, which BasicSR's are not."""
    names = {f'model.{place}.weight': (4, 4, 3, 3) for place in ('1.sub.1', 3, 6, 8)}
    names |= {'model.0.weight': (4, 3, 3, 3), 'model.10.weight': (3, 4, 3, 3)}
    for block in range(1, 4):
        for conv in range(1, 6):
            shape = (4 if conv == 5 else 32, 4 + 32 * (conv - 1), 3, 3)
            names[f'model.1.sub.0.RDB{block}.conv{conv}.0.weight'] = shape
    weights = {}
    for name, shape in names.items():
        weights |= {name: torch.rand(shape) / 10, name.replace('weight', 'bias'): torch.zeros(shape[0])}
    torch.save(weights, 'esrgan.pth')
    opened = open_network(Path('esrgan.pth'))
    assert (opened.name, opened.scale, opened.channels, opened.network) == ('esrgan', 4, 3, None)
    assert opened.net.architecture == 'ESRGAN'


def test_files_that_are_no_network(folder):
    with pytest.raises(
        UserError, match=rf'^none.pth: there is no such file in {Path.cwd()}; give the path of a checkpoint or an exp'
    ):
        open_network(Path('none.pth'))
    torch.save({'first.a': torch.zeros(2), 'second.b': torch.zeros(3)}, 'a.pth')
    said = r'^a.pth: no known network; its names begin with first.a, second.b. .* -opt FILE, .* --import FILE\.py\. '
    with pytest.raises(UserError, match=said + r'\(a.pth: spandrel'):
        open_network(Path('a.pth'))
    Path('b.pth').write_bytes(Path('a.pth').read_bytes()[:500])
    with pytest.raises(UserError, match=r'^b.pth: not a readable checkpoint'):
        open_network(Path('b.pth'))


def test_an_exported_file_is_asked_for_what_it_says(folder, monkeypatch):
    class Toy(torch.nn.Module):
        scale, channels = 3, 1

    net = Toy()
    monkeypatch.setattr(exported, 'open_exported', lambda path: net if path == Path('net.ONNX') else None)
    Path('net.ONNX').touch()
    opened = open_network(Path('net.ONNX'))
    assert (opened.name, opened.net, opened.scale, opened.channels) == ('net', net, 3, 1)
    assert (opened.weights, opened.network, opened.notes) == (Path('net.ONNX'), None, ())
    assert not net.training


def test_a_network_that_is_not_imported_is_asked_for(tmp_path):
    save_weights(tmp_path / 'net.pth', STUDENT)
    (tmp_path / 'own.yml').write_text('name: own\nnetwork_g: {type: Zzyzx}\n')
    with pytest.raises(UserError, match=r'there is no network Zzyzx; one of your own .* add --import FILE\.py'):
        open_network(tmp_path / 'net.pth', tmp_path / 'own.yml')
