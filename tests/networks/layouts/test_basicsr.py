"""BasicSR's own networks: weights alone say which options built them."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks import layouts
from dukd_basicsr.networks.weights import build_network, load_into

FEW = settings(max_examples=25, deadline=None)
small = st.integers(1, 3)
ENDS = {'num_in_ch': 3, 'num_out_ch': 3}


def assert_recognised(options, size=8):
    """The file's network is built from what was recognised, and computes the same."""
    net = build_network(options).eval()
    weights = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    before = torch.get_rng_state()
    layout = layouts.recognise(weights)
    assert torch.equal(torch.get_rng_state(), before)
    assert layout is not None
    assert layout.parameters == sum(parameter.numel() for parameter in net.parameters())
    again = build_network(layout.network).eval()
    again.load_state_dict(layout.weights, strict=True)
    x = torch.rand(1, options.get('in_chans', options.get('num_in_ch', 3)), size, size)
    with torch.no_grad():
        torch.testing.assert_close(again(x), net(x), rtol=0, atol=0)
    return layout


@FEW
@given(small, st.integers(1, 6), st.sampled_from([1, 2, 3, 4, 8]))
def test_edsr(num_block, num_feat, upscale):
    options = {'type': 'EDSR', **ENDS, 'num_feat': num_feat, 'num_block': num_block, 'upscale': upscale}
    layout = assert_recognised(options)
    usual = {'res_scale': 1.0, 'img_range': 255.0, 'rgb_mean': [0.4488, 0.4371, 0.4040]}
    assert layout.network == options | usual
    assert set(layout.assumed) == usual.keys()


def test_edsr_l_has_its_own_residual_scale():
    net = build_network({'type': 'EDSR', **ENDS, 'num_feat': 256, 'num_block': 1, 'upscale': 2})
    layout = layouts.recognise(net.state_dict())
    assert layout.network['res_scale'] == 0.1
    assert any(note.startswith('res_scale') and '0.1' in note for note in layout.notes)


@FEW
@given(small, small, st.integers(2, 9), st.integers(1, 4), st.sampled_from([1, 2, 3, 4]))
def test_rcan(num_group, num_block, num_feat, squeeze_factor, upscale):
    options = {
        'type': 'RCAN', **ENDS, 'num_group': num_group, 'num_block': num_block, 'num_feat': num_feat,
        'squeeze_factor': min(squeeze_factor, num_feat), 'upscale': upscale,
    }  # fmt: skip
    layout = assert_recognised(options)
    for name in set(options) - {'squeeze_factor'}:
        assert layout.network[name] == options[name]


@FEW
@given(small, st.integers(1, 6), st.sampled_from([2, 3, 4]), st.sampled_from([1, 3]))
def test_msrresnet(num_block, num_feat, upscale, channels):
    ends = {'num_in_ch': channels, 'num_out_ch': channels}
    options = {'type': 'MSRResNet', **ends, 'num_feat': num_feat, 'num_block': num_block, 'upscale': upscale}
    assert assert_recognised(options).network == options


@FEW
@given(
    small, st.integers(1, 6), st.sampled_from([2, 3, 4]), st.sampled_from([1, 3]), st.sampled_from(['prelu', 'relu'])
)
def test_ecbsr(num_block, num_channel, scale, channels, act_type):
    options = {
        'type': 'ECBSR', 'num_in_ch': channels, 'num_out_ch': channels, 'num_block': num_block,
        'num_channel': num_channel, 'with_idt': False, 'act_type': act_type, 'scale': scale,
    }  # fmt: skip
    layout = assert_recognised(options)
    assert layout.network == options
    assert layout.assumed == (('with_idt',) if act_type == 'prelu' else ('with_idt', 'act_type'))


@FEW
@given(small, st.integers(1, 6), st.integers(1, 4), st.sampled_from([1, 2, 4]), st.sampled_from([1, 3]))
def test_rrdbnet(num_block, num_feat, num_grow_ch, scale, channels):
    options = {
        'type': 'RRDBNet', 'num_in_ch': channels, 'num_out_ch': channels, 'num_feat': num_feat, 'scale': scale,
        'num_block': num_block, 'num_grow_ch': num_grow_ch,
    }  # fmt: skip
    assert assert_recognised(options).network == options


@FEW
@given(st.integers(0, 3), st.integers(1, 6), st.sampled_from([1, 2, 3, 4]), st.sampled_from(['prelu', 'relu']))
def test_srvggnet(num_conv, num_feat, upscale, act_type):
    options = {
        'type': 'SRVGGNetCompact', **ENDS, 'num_feat': num_feat, 'num_conv': num_conv, 'upscale': upscale,
        'act_type': act_type,
    }  # fmt: skip
    layout = assert_recognised(options)
    assert layout.network == options
    assert layout.assumed == (() if act_type == 'prelu' else ('act_type',))


HEADS = [('pixelshuffle', 2), ('pixelshuffle', 3), ('pixelshuffledirect', 4), ('nearest+conv', 4), ('', 1)]
swinir_options = st.fixed_dictionaries({
    'img_size': st.sampled_from([1, 2, 3]),
    'window_size': st.sampled_from([2, 4, 8]),
    'depths': st.lists(st.integers(1, 3), min_size=1, max_size=3),
    'heads': st.sampled_from([1, 2, 3]),
    'embed_dim': st.sampled_from([12, 18]),
    'mlp_ratio': st.sampled_from([1, 1.5, 2, 2.66, 4]),
    'head': st.sampled_from(HEADS),
    'in_chans': st.sampled_from([1, 3]),
    'resi_connection': st.sampled_from(['1conv', '3conv']),
    'qkv_bias': st.booleans(),
    'patch_norm': st.booleans(),
})  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(swinir_options)
def test_swinir(drawn):
    drawn = dict(drawn)
    drawn['img_size'] *= drawn['window_size']
    drawn['upsampler'], drawn['upscale'] = drawn.pop('head')
    options = {'type': 'SwinIR', **drawn, 'num_heads': [drawn.pop('heads')] * len(drawn['depths'])}
    del options['heads']
    layout = assert_recognised(options, size=options['window_size'] * 2)
    for name in ('depths', 'num_heads', 'embed_dim', 'window_size', 'upsampler', 'upscale', 'resi_connection'):
        assert layout.network[name] == options[name]
    if max(options['depths']) > 1:  # else no mask is there to tell
        assert layout.network['img_size'] == options['img_size']


def test_swinir_with_absolute_positions_and_rectangular_training_images():
    options = {'type': 'SwinIR', 'window_size': 4, 'depths': [2], 'embed_dim': 12, 'num_heads': [2], 'upscale': 2,
               'upsampler': 'pixelshuffledirect'}  # fmt: skip
    absolute = build_network({**options, 'img_size': 12, 'ape': True})
    network = layouts.recognise(absolute.state_dict()).network
    assert (network['img_size'], network['ape']) == (12, True)
    # As many windows as 16 x 16, but other masks: those of 16 x 16 would be wrong for images of that size.
    assert layouts.recognise(build_network({**options, 'img_size': [8 * 4, 2 * 4]}).state_dict()) is None


def test_published_swinir_files():
    """Three kinds of the authors' files, in their names and sizes (shortened to two layers)."""
    common = {'type': 'SwinIR', 'in_chans': 3, 'window_size': 8, 'img_range': 1.0, 'mlp_ratio': 2.0}
    light = {'upscale': 4, 'img_size': 64, 'depths': [6, 6], 'embed_dim': 60, 'num_heads': [6, 6],
             'resi_connection': '1conv', 'upsampler': 'pixelshuffledirect'}  # fmt: skip
    classical = light | {'upscale': 2, 'img_size': 48, 'embed_dim': 180, 'upsampler': 'pixelshuffle'}
    jpeg = light | {'upscale': 1, 'img_size': 126, 'window_size': 7, 'img_range': 255.0, 'upsampler': ''}
    for options in (light, classical, jpeg):
        weights = build_network(common | options).state_dict()
        assert layouts.recognise(weights).network == common | options


def test_half_precision_is_recognised():
    options = {'type': 'SwinIR', 'img_size': 8, 'window_size': 4, 'depths': [2], 'embed_dim': 12, 'num_heads': [2]}
    weights = build_network(options).state_dict()
    assert layouts.recognise({name: tensor.half() for name, tensor in weights.items()}) is not None


def test_what_nearly_is_a_known_network_is_none():
    weights = build_network({'type': 'EDSR', **ENDS, 'num_feat': 4, 'num_block': 2}).state_dict()
    assert layouts.recognise({}) is None
    assert layouts.recognise({**weights, 'extra.weight': torch.zeros(1)}) is None
    for name in weights:
        assert layouts.recognise({key: value for key, value in weights.items() if key != name}) is None
        assert layouts.recognise({**weights, name: torch.zeros(())}) is None


def test_a_wrong_network_block_is_answered_with_the_right_one():
    weights = build_network({'type': 'EDSR', **ENDS, 'num_feat': 4, 'num_block': 2, 'upscale': 2}).state_dict()
    net = build_network({'type': 'EDSR', **ENDS, 'num_feat': 4, 'num_block': 3, 'upscale': 2})
    with pytest.raises(UserError) as error:
        load_into(net, weights, 'path.pretrain_network_t: x.pth')
    assert str(error.value).endswith(
        ' fits network_t: {type: EDSR, num_in_ch: 3, num_out_ch: 3, num_feat: 4, num_block: 2, upscale: 2, '
        'res_scale: 1.0, img_range: 255.0, rgb_mean: [0.4488, 0.4371, 0.404]}.'
    )
    with pytest.raises(UserError, match=r'fits network_g: \{type: EDSR'):
        load_into(nn.Linear(2, 2), weights, 'path.pretrain_network_g: x.pth', strict=False)
