"""`basicsr export`: every network as a graph of free size that equals torch, in fewer bits, and what is refused."""

import copy
import hashlib
import itertools
import re
import sys
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import skimage.data
import torch
from basicsr.archs import swinir_arch
from basicsr.metrics import calculate_psnr
from basicsr.utils import tensor2img
from torch import nn

from dukd_basicsr.cli import main
from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.networks import export as export_run
from dukd_basicsr.networks import open_network, padding
from dukd_basicsr.networks.onnx.check import compare, draw_images, require_equal
from dukd_basicsr.networks.onnx.graph import pad, to_onnx
from dukd_basicsr.networks.onnx.precision import to_fp16, to_int8
from dukd_basicsr.networks.onnx.session import ExportedNetwork, Metadata, open_exported, open_session
from dukd_basicsr.networks.padding import super_resolve
from dukd_basicsr.networks.weights import build_network
from tests.toys import EXPORTED, REPOSITORY, STUDENT, save_weights

PAGE = REPOSITORY / 'docs' / 'export.md'
PHOTOGRAPH = Path(skimage.data.__file__).parent / 'chelsea.png'
ABOUT = Metadata('1', 'EDSR', 2, 3, 'RGB', '[0, 1]', 'fp32', 17, 5, 7, 'a.pth', 'ab')


def exported(model, scale=2, path='x.onnx'):
    return ExportedNetwork(open_session(model.SerializeToString()), Path(path), ABOUT)


def command(*arguments):
    return main(['export', *map(str, arguments)])


@pytest.fixture(scope='module', params=EXPORTED)
def traced(request):
    """A network, its scale and its graph."""
    torch.manual_seed(0)
    opt, scale = EXPORTED[request.param]
    net = build_network(opt).eval()
    before, stock = copy.deepcopy(net), swinir_arch.window_reverse
    model = to_onnx(net, scale, 3)
    assert swinir_arch.window_reverse is stock
    assert_untouched(net, before)
    return net.requires_grad_(False), scale, model


def assert_untouched(net, before):
    """Weights, buffers and whatever else a module keeps, as the module before the trace has them."""
    assert all(parameter.requires_grad for parameter in net.parameters())
    for module, other in zip(net.modules(), before.modules(), strict=True):
        kept, wanted = (vars(each) | each._parameters | each._buffers for each in (module, other))
        assert kept.keys() == wanted.keys()
        for name, value in wanted.items():
            if isinstance(value, torch.Tensor):
                assert torch.equal(kept[name], value)
            elif isinstance(value, (int, float, bool, str, tuple)):
                assert kept[name] == value


def test_the_graph_is_the_network_for_every_size(traced):
    net, scale, model = traced
    session = exported(model)
    assert [each.size for each in compare(net, session, draw_images(net, 3))] == ['1x3x24x32', '2x3x19x37', '1x3x5x8']
    for shape in [(1, 3, 24, 32), (2, 3, 19, 37), (3, 3, 8, 8), (1, 3, 1, 1), (1, 3, 1, 9)]:
        lq = torch.rand(shape)
        expected = super_resolve(net, lq)
        assert session(lq).shape == expected.shape == (*shape[:2], scale * shape[2], scale * shape[3])
        torch.testing.assert_close(session(lq), expected, rtol=0, atol=4e-6)  # torch 2.6: 2.6e-6


def test_half_precision_keeps_float32_outside(traced):
    net, _, model = traced
    before = model.SerializeToString()
    half = to_fp16(model)
    types = {weight.data_type for weight in half.graph.initializer if len(weight.dims) > 1}
    assert types - {onnx.TensorProto.INT64} == {onnx.TensorProto.FLOAT16}
    lq = torch.rand(2, 3, 9, 14)
    assert (exported(half)(lq) - super_resolve(net, lq)).abs().max() < 5e-3
    assert model.SerializeToString() == before


def test_int8_has_a_scale_for_each_output_channel_and_stays_near(traced):
    net, _, model = traced
    image = cv2.resize(cv2.imread(str(PHOTOGRAPH)), (24, 20)).transpose(2, 0, 1)[None] / np.float32(255)
    small = to_int8(model, [image])
    scales = {tensor.name: tensor.dims for tensor in small.graph.initializer if tensor.name.endswith('_scale')}
    convolutions = [node for node in model.graph.node if node.op_type == 'Conv']
    for node in convolutions:
        channels = next(weight.dims[0] for weight in model.graph.initializer if weight.name == node.input[1])
        assert list(scales[f'{node.input[1]}_scale']) == [channels]
    lq = torch.from_numpy(image)
    assert 0 < (exported(small)(lq) - super_resolve(net, lq)).abs().max() < 0.1


def test_padding_in_tensors_is_padding():
    for multiple, minimum in [(1, 1), (4, 1), (8, 1), (1, 30), (7, 12)]:
        requirement = padding.SizeRequirement(multiple, minimum)
        for height, width in itertools.product([1, 2, 3, 5, 7, 8, 16, 29], repeat=2):
            lq = torch.rand(1, 1, height, width)
            assert torch.equal(pad(lq, requirement), padding.pad(lq, requirement))


class Baked(nn.Module):
    """Its trace keeps the batch of the image that was traced."""

    def forward(self, lq):
        return lq.repeat_interleave(2, -1).repeat_interleave(2, -2) * int(lq.shape[0])


class Picky(nn.Module):
    def forward(self, lq):
        if lq.shape[-1] == 37:
            raise ValueError('no 37')
        return lq


def test_a_graph_that_is_another_function_is_refused(tmp_path, monkeypatch, capsys):
    weights = tmp_path / 'net.pth'
    save_weights(weights, STUDENT)
    opened = open_network.Opened('net', Baked(), 2, 3, weights, STUDENT, [])
    monkeypatch.setattr(export_run, 'open_network', lambda path, opt: opened)
    assert command(weights, '-o', tmp_path / 'net.onnx') == 1
    assert 'the exported graph differs from torch by 1.0e+00 on an input of 1x3x' in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ['net.pth']


def test_the_check_names_sizes_and_refuses_what_is_no_number():
    net = nn.Identity()
    with pytest.raises(RunError, match='Picky takes no input of 2x3x19x37'):
        compare(Picky(), net, draw_images(net, 3))
    (found,) = compare(net, nn.Threshold(2.0, float('nan')), [torch.zeros(1, 3, 2, 2)])
    assert found.largest == float('inf')
    (cut,) = compare(net, nn.MaxPool2d(2), [torch.zeros(1, 3, 2, 2)])
    with pytest.raises(RunError, match=r'inf on an input of 1x3x2x2, more than 1e\+00'):
        require_equal([cut], 1.0)
    require_equal(compare(net, net, draw_images(net, 1)))


@pytest.fixture(scope='module')
def files(tmp_path_factory):
    """Weights, a folder of LR images, and a test set."""
    from datasets_prep.prepare import prepare_benchmark

    folder = tmp_path_factory.mktemp('export')
    torch.manual_seed(1)
    net = save_weights(folder / 'net.pth', STUDENT).eval().requires_grad_(False)
    (folder / 'hr').mkdir()
    for index in range(2):
        cv2.imwrite(
            str(folder / 'hr' / f'{index}.png'), cv2.imread(str(PHOTOGRAPH))[100:140, 60 * index + 20 :][:, :44]
        )
    prepare_benchmark(folder / 'hr', folder, 'Cats', scales=(2,))
    return net, folder


@pytest.fixture(scope='module')
def written(files):
    """The network and its file as the command writes it."""
    net, folder = files
    assert command(folder / 'net.pth', '-o', folder / 'new' / 'net.onnx') == 0
    return net, folder / 'new' / 'net.onnx', folder


def test_a_file_says_what_it_is_and_stands_for_its_network(written, tmp_path):
    net, path, folder = written
    assert [each.name for each in path.parent.iterdir()] == ['net.onnx']
    onnx.checker.check_model(onnx.load(path), full_check=True)
    opened = open_exported(path)
    digest = hashlib.sha256((folder / 'net.pth').read_bytes()).hexdigest()
    parameters = sum(parameter.numel() for parameter in net.parameters())
    about = opened.metadata
    assert (about.network, about.scale, about.channels, about.colours) == ('EDSR', 2, 3, 'RGB')
    assert (about.value_range, about.precision, about.opset) == (
        '[0, 1]',
        'fp32',
        onnx.load(path).opset_import[0].version,
    )
    assert (about.weights, about.weights_sha256, about.params) == ('net.pth', digest, parameters)
    assert Metadata.from_text(about.to_text()) == about
    assert (opened.scale, opened.channels, opened.file) == (2, 3, path)
    assert padding.find_size_requirement(opened) == padding.SizeRequirement()
    assert list(opened.parameters()) == []
    lq = torch.rand(2, 3, 7, 5, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(copy.deepcopy(opened)(lq), super_resolve(net, lq.detach().float()), rtol=0, atol=1e-6)
    with pytest.raises(RunError, match=re.escape(f'{path}: onnxruntime cannot run it on an input of (1, 4, 7, 5)')):
        opened(torch.rand(1, 4, 7, 5))


@pytest.mark.parametrize(('precision', 'most'), [('fp16', 0.01), ('int8', 1.0)])
def test_fewer_bits_and_what_they_cost(files, tmp_path, capsys, precision, most):
    net, folder = files
    calibrate = ['--calibrate', folder / 'Cats' / 'LRbicx2'] if precision == 'int8' else []
    out = tmp_path / 'net.onnx'
    assert command(folder / 'net.pth', '-o', out, '--precision', precision, *calibrate) == 0
    printed = capsys.readouterr().out
    assert f'{out}: EDSR x2, {precision}, opset 17, ' in printed
    exported = open_exported(out)
    assert exported.metadata.precision == precision
    scores = {net: [], exported: []}
    for name in ('0.png', '1.png'):
        lq, gt = (cv2.imread(str(folder / 'Cats' / kind / name)) for kind in ('LRbicx2', 'GTmod2'))
        lq = torch.from_numpy(lq[..., ::-1].transpose(2, 0, 1)[None] / np.float32(255))
        for each, found in scores.items():
            found.append(calculate_psnr(tensor2img([each(lq)]), gt, 2, test_y_channel=True))
    assert np.mean(scores[exported]) == pytest.approx(np.mean(scores[net]), abs=most)
    names = re.findall(r'largest difference to torch, (\w+): ', printed)
    assert names == ['fp32', precision]


def test_mistakes(files, tmp_path, capsys):
    _, folder = files
    weights, out = folder / 'net.pth', tmp_path / 'net.onnx'
    (tmp_path / 'there.onnx').touch()
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'bad').mkdir()
    (tmp_path / 'bad' / 'bad.png').write_bytes(b'no image')
    int8 = [weights, '-o', out, '--precision', 'int8']
    cases = [
        ([weights, '-o', tmp_path / 'net.pth'], 'must end in .onnx'),
        ([weights, '-o', tmp_path / 'there.onnx'], 'exists already'),
        ([tmp_path / 'there.onnx', '-o', out], 'is exported already'),
        (int8, 'add --calibrate FOLDER'),
        ([weights, '-o', out, '--calibrate', folder], '--calibrate is for --precision int8, not fp32'),
        ([*int8, '--calibrate', tmp_path / 'empty'], 'there is no image in it'),
        ([*int8, '--calibrate', tmp_path / 'bad'], 'bad.png: not an image that OpenCV can read; mend or remove it.'),
        ([weights, '-o', folder / 'net.pth' / 'net.onnx'], 'net.pth is a file, but results go to a folder of that'),
    ]
    for arguments, message in cases:
        assert command(*arguments) == 2
        assert message in capsys.readouterr().err
    assert not out.exists()


def test_a_file_that_comes_while_the_lock_is_waited_for_is_kept(files, tmp_path, monkeypatch):
    out = tmp_path / 'net.onnx'

    @contextmanager
    def wait(target):
        target.write_bytes(b'of another process')
        yield

    monkeypatch.setattr(export_run, 'hold', wait)
    with pytest.raises(UserError, match='exists already'):
        export_run.export_network(files[1] / 'net.pth', out)
    assert out.read_bytes() == b'of another process'


def test_what_is_no_exported_file(tmp_path, monkeypatch):
    (tmp_path / 'text.onnx').write_text('no model')
    net = to_onnx(nn.Identity(), 1, 3)
    onnx.save(net, tmp_path / 'foreign.onnx')
    cases = [('none', 'there is no such exported file'), ('text', 'onnxruntime finds no ONNX model in it'),
             ('foreign', 'does not say its scale and colours')]  # fmt: skip
    for name, message in cases:
        with pytest.raises(UserError, match=message):
            open_exported(tmp_path / f'{name}.onnx')
    monkeypatch.setitem(sys.modules, 'onnxruntime', None)
    with pytest.raises(UserError, match=re.escape("pip install 'dukd-basicsr[export]'")):
        open_exported(tmp_path / 'foreign.onnx')


@pytest.mark.parametrize(
    ('changes', 'said'),
    [
        (
            {'scale': '4'},
            'it says that it enlarges x4 with 3 channels, but of an image of 16x16 it makes (1, 3, 32, 32)',
        ),
        ({'channels': '1'}, 'onnxruntime cannot run it on an input of (1, 1, 16, 16)'),
        ({}, 'its answer has values that are no numbers; export it again from its weights.'),
    ],
)
def test_a_file_that_does_not_do_what_it_says_is_refused(written, tmp_path, capsys, changes, said):
    _, path, _ = written
    model = onnx.load(path)
    if not changes:
        bias = next(each for each in model.graph.initializer if each.name.endswith('conv_last.bias'))
        bias.CopyFrom(onnx.numpy_helper.from_array(np.full(3, np.nan, np.float32), bias.name))
    props = {each.key: each.value for each in model.metadata_props}
    onnx.helper.set_model_props(model, props | changes)
    onnx.save(model, tmp_path / 'wrong.onnx')
    (tmp_path / 'a.png').touch()
    files = tmp_path / 'a.png', tmp_path / 'out', tmp_path / 'wrong.onnx'
    assert main(['upscale', str(files[0]), '-o', str(files[1]), '--weights', str(files[2])]) == 2
    assert said in capsys.readouterr().err


def test_the_code_of_the_page_makes_the_picture_that_torch_makes(written, tmp_path, monkeypatch):
    net, path, folder = written
    (code,) = re.findall(r'```python\n(.*?)```', PAGE.read_text(encoding='utf-8'), re.DOTALL)
    assert len(code.strip().splitlines()) <= 10
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'net.onnx').write_bytes(path.read_bytes())
    image = cv2.imread(str(folder / 'hr' / '0.png'))
    cv2.imwrite('photo.png', image)
    exec(compile(code, str(PAGE), 'exec'), {})
    lq = torch.from_numpy(image[..., ::-1].transpose(2, 0, 1)[None] / np.float32(255))
    difference = cv2.imread('large.png').astype(int) - tensor2img([net(lq)])
    assert abs(difference).max() <= 1  # a value on the edge of two levels
    assert (difference != 0).mean() < 1e-3
