"""Files that open and are not fit to use: weights that are no numbers, a flipped byte, names that are none."""

import zipfile

import pytest
import torch

from dukd_basicsr.cli import main
from dukd_basicsr.distillation.teacher import build_teacher
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.build import load_network
from dukd_basicsr.networks.weights import build_network, read_weights, refuse_no_numbers
from tests.evaluation.benchmark.option_files import write_options
from tests.toys import STUDENT, save_weights


def write_nan(path, value=torch.nan):
    weights = save_weights(path, STUDENT).state_dict()
    weights['conv_first.bias'][1] = value
    torch.save({'params': weights}, path)
    return 'conv_first.bias has values that are no numbers'


def flip_a_byte(path):
    save_weights(path, STUDENT)
    with zipfile.ZipFile(path) as archive:
        part = next(each for each in archive.infolist() if each.filename.endswith('data/3'))
    data = bytearray(path.read_bytes())
    name_and_extra = sum(int.from_bytes(data[part.header_offset + at :][:2], 'little') for at in (26, 28))
    place = part.header_offset + 30 + name_and_extra + 5
    data[place] ^= 1
    path.write_bytes(data)
    torch.load(path, weights_only=True)  # does not see it
    return 'data/3 is another'


def name_by_numbers(path):
    torch.save({'params': {1: torch.ones(2), 2: torch.ones(2)}}, path)
    return 'its weights are named by ints (the first is 1)'


WRITERS = [write_nan, flip_a_byte, name_by_numbers]


@pytest.mark.parametrize('write', WRITERS)
def test_every_reader_refuses_them(tmp_path, write, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'bad.pth'
    said = write(path)
    task = {'network_g': STUDENT, 'network_t': STUDENT, 'scale': 2, 'path': {'pretrain_network_t': str(path)}}
    for read in (
        lambda: read_weights(path),
        lambda: load_network(STUDENT, str(path)),
        lambda: build_teacher(task),
    ):
        with pytest.raises(UserError) as error:
            read()
        assert said in str(error.value)
        assert len(error.value.messages) == 1
    (tmp_path / 'in').mkdir()
    (tmp_path / 'in' / 'a.png').write_bytes(b'not looked at')
    options = write_options(tmp_path, 'ours')
    for command in (
        ['convert', path, tmp_path / 'out.pth'],
        ['export', path, '-o', tmp_path / 'out.onnx'],
        ['upscale', tmp_path / 'in', '-o', tmp_path / 'out', '--weights', path],
        ['benchmark', '-opt', options, '--weights', path],
    ):
        assert main([str(each) for each in command]) == 2
        err = capsys.readouterr().err
        assert said in err
        assert err.count('\n') == 1
    assert not list(tmp_path.glob('out*'))


def test_networks_of_spandrel_are_read_with_the_same_care(tmp_path):
    path = tmp_path / 'compact.pth'
    weights = save_weights(path, {'type': 'SRVGGNetCompact', 'num_feat': 4, 'num_conv': 1, 'upscale': 2}).state_dict()
    assert load_network({'type': 'Spandrel'}, str(path)).channels == 3
    weights['body.0.bias'][0] = torch.nan
    torch.save({'params': weights}, path)
    with pytest.raises(UserError, match=r'body\.0\.bias has values that are no numbers'):
        load_network({'type': 'Spandrel'}, str(path))
    flip_a_byte(path)
    with pytest.raises(UserError, match='data/3 is another'):
        load_network({'type': 'Spandrel'}, str(path))


@pytest.mark.parametrize('value', [torch.inf, -torch.inf, torch.nan])
def test_what_is_no_number(tmp_path, value):
    write_nan(tmp_path / 'bad.pth', value)
    with pytest.raises(UserError, match='are no numbers'):
        read_weights(tmp_path / 'bad.pth')


def test_a_mask_of_minus_infinities_is_let_pass():
    weights = build_network(STUDENT).state_dict()
    refuse_no_numbers({**weights, 'mask': torch.tensor([[0, -torch.inf], [0, 0]]), 'index': torch.arange(3)}, 'x.pth')
    with pytest.raises(UserError, match=r'x\.pth: mask has values'):
        refuse_no_numbers({'mask': torch.tensor([1, -torch.inf])}, 'x.pth')


def test_old_and_half_precision_files_are_read(tmp_path):
    weights = {name: tensor.half() for name, tensor in build_network(STUDENT).state_dict().items()}
    torch.save({'params': weights}, tmp_path / 'old.pth', _use_new_zipfile_serialization=False)
    assert read_weights(tmp_path / 'old.pth').keys() == weights.keys()
