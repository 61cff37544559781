"""`basicsr convert` from its command line to a file that stock BasicSR loads."""

import os
import subprocess
import sys

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from dukd_basicsr.cli import main
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.weights import build_network, read_weights
from tests.networks.layouts.originals import original_edsr, original_rcan
from tests.toys import REPOSITORY, Malicious

ROOT = REPOSITORY
SMALL = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1, 'upscale': 2}


def convert(*arguments):
    return main(['convert', *map(str, arguments)])


@pytest.mark.parametrize('original', [original_edsr(), original_rcan()])
@pytest.mark.parametrize('target', ['new/net.pth', 'net.safetensors'])
def test_the_printed_options_build_a_network_for_the_written_file(tmp_path, capsys, original, target):
    source, target = tmp_path / 'original.pt', tmp_path / target
    torch.save(original.state_dict(), source)
    assert convert(source, target) == 0
    first, _, rest = capsys.readouterr().out.partition('\n')
    printed = yaml.safe_load(rest)
    net = build_network(printed['network_t'])
    assert f'{printed["network_t"]["type"]}, names of EDSR-PyTorch, ' in first
    assert f'{sum(parameter.numel() for parameter in net.parameters()):,} parameters' in first
    assert printed['path'] == {'pretrain_network_t': str(target)}
    written = load_file(target) if target.suffix == '.safetensors' else torch.load(target)['params']
    net.load_state_dict(written, strict=True)
    assert torch.equal(net.conv_first.weight, original.head[0].weight)
    assert [path.name for path in target.parent.iterdir() if path.suffix == '.tmp'] == []


def test_notes_say_what_was_assumed_and_the_network_can_be_chosen(tmp_path, capsys):
    net, ema = build_network(SMALL), build_network(SMALL)
    torch.save({'params': net.state_dict(), 'params_ema': ema.state_dict()}, tmp_path / 'a.pth')
    assert convert(tmp_path / 'a.pth', tmp_path / 'b.pth', '--arch', 'EDSR', '--param_key', 'params_ema') == 0
    output = capsys.readouterr().out
    assert '# res_scale is not in the file' in output
    assert '# img_range and rgb_mean are not in the file' in output
    assert torch.equal(torch.load(tmp_path / 'b.pth')['params']['conv_last.bias'], ema.conv_last.bias)


def test_help_answers_before_torch_would_be_loaded():
    code = (
        'import contextlib, sys; from dukd_basicsr.cli import main\n'
        'with contextlib.suppress(SystemExit): main(["convert", "--help"])\n'
        'assert not {"torch", "basicsr", "yaml"} & set(sys.modules)'
    )
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert '--param_key' in done.stdout


def test_mistakes(tmp_path, capsys):
    good, strange = tmp_path / 'good.pth', tmp_path / 'strange.pth'
    torch.save({'params': build_network(SMALL).state_dict()}, good)
    torch.save({'encoder.weight': torch.zeros(2, 2)}, strange)
    before = good.read_bytes()
    cases = [
        ([good, good], f'{good} exists already'),
        ([good, tmp_path / 'x.onnx'], 'must end in .pth or .safetensors'),
        ([good, tmp_path / 'x.pth', '--arch', 'EDRS'], 'Did you mean "EDSR"?'),
        ([good, tmp_path / 'x.pth', '--arch', 'RCAN'], 'holds EDSR, not RCAN'),
        ([strange, tmp_path / 'x.pth'], "its names begin with encoder.weight. Known: BasicSR's EDSR, RCAN, SwinIR"),
        ([tmp_path / 'none.pth', tmp_path / 'x.pth'], 'there is no such checkpoint file'),
        ([good, good / 'x.pth'], 'cannot be written'),
    ]
    for arguments, message in cases:
        assert convert(*arguments) == 2
        assert message in capsys.readouterr().err
    assert good.read_bytes() == before
    assert sorted(tmp_path.iterdir()) == [good, strange]


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    torch.save({'params': build_network(SMALL).state_dict()}, tmp_path / 'a.pth')

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, 'replace', interrupt)
    assert convert(tmp_path / 'a.pth', tmp_path / 'b.pth') == 130
    assert [path.name for path in tmp_path.iterdir()] == ['a.pth']


def test_a_malicious_pickle_does_not_run(tmp_path, capsys):
    target = tmp_path / 'made_by_pickle'
    torch.save({'head.0.weight': Malicious(str(target))}, tmp_path / 'bad.pt')
    assert convert(tmp_path / 'bad.pt', tmp_path / 'x.pth') == 2
    assert 'would run code' in capsys.readouterr().err
    assert not target.exists()


def test_safetensors(tmp_path, monkeypatch):
    weights, path = build_network(SMALL).state_dict(), tmp_path / 'net.safetensors'
    save_file(weights, path)
    torch.testing.assert_close(dict(read_weights(path)), dict(weights), rtol=0, atol=0)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match='not a readable checkpoint'):
        read_weights(path)
