"""Weights as fine as they can be without a pair of products that leaves 16 bits."""

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import helper, numpy_helper

from dukd_basicsr.networks.onnx.weight_scales import fit_pairs, override_scales

INT16 = np.iinfo(np.int16)
SIZES = st.tuples(st.integers(1, 4), st.integers(1, 9))
VALUES = st.floats(-1e4, 1e4, width=32) | st.integers(-129, 129).map(lambda each: each / 2)
WEIGHTS = arrays.arrays(np.float32, SIZES, elements=VALUES)


def integers(weights, scales):
    return np.rint(weights / scales[:, None]).astype(int)


def add_in_pairs(products):
    """(N, K) in int16, as pmaddubsw does it, then exactly."""
    even = np.pad(products, ((0, 0), (0, products.shape[1] % 2)))
    return even.reshape(len(even), -1, 2).sum(2).clip(INT16.min, INT16.max).sum(1)


@given(WEIGHTS, st.data())
def test_no_pair_saturates_however_the_weights_are_packed(weights, data):
    found = integers(weights, fit_pairs(weights))
    assert np.abs(found).max() <= 127
    count = weights.shape[1]
    order = data.draw(st.permutations(range(count)))
    activations = data.draw(arrays.arrays(np.uint8, count, elements=st.sampled_from([0, 1, 254, 255])))
    products = found[:, order] * activations.astype(int)
    assert np.array_equal(add_in_pairs(products), products.sum(1))
    for sign in (1, -1):  # the worst there is: the largest of one sign side by side, at the largest activation
        worst = 255 * sign * np.sort((sign * found).clip(min=0), axis=1)[:, ::-1]
        assert np.array_equal(add_in_pairs(worst), worst.sum(1))


@given(WEIGHTS)
def test_scales_are_never_coarser_than_seven_bits_and_never_finer_than_eight(weights):
    scales, largest = fit_pairs(weights), np.abs(weights).max(1)
    used = largest > 1e-30
    assert np.all(scales[used] <= np.float32(1 + 1e-6) * largest[used] / 64)
    assert np.all(scales[used] >= np.float32(1 - 1e-6) * largest[used] / 127)
    assert np.all(scales[largest == 0] == 1)


@given(WEIGHTS)
def test_no_finer_scale_would_do(weights):
    weights = weights[np.abs(weights).max(1) > 1e-30]
    for row, finer in zip(weights, integers(weights, 0.98 * fit_pairs(weights)), strict=True):
        pairs = [finer[a] + finer[b] for a in range(len(row)) for b in range(a)]
        assert max(np.abs(finer).max() - 127, max(map(abs, pairs), default=0) - 128) > 0


@given(WEIGHTS, st.integers(-20, 20))
def test_signs_order_and_powers_of_two_change_nothing(weights, power):
    weights = weights[np.abs(weights).max(1) > 1e-20]
    scales = fit_pairs(weights)
    assert np.array_equal(fit_pairs(-weights), scales)
    assert np.array_equal(fit_pairs(weights[:, ::-1]), scales)
    assert np.array_equal(fit_pairs(np.ldexp(weights, power)), np.ldexp(scales, power))


@pytest.mark.parametrize(
    ('row', 'expected'),
    [
        ([1, 0, 0], [127, 0, 0]),
        ([1, -1, 0], [127, -127, 0]),
        ([1, 1, -1], [64, 64, -64]),
        ([-3, -1, 1], [-96, -32, 32]),
        ([0, 0, 0], [0, 0, 0]),
        ([1e-44, 0, 0], [0, 0, 0]),
    ],
)
def test_known_rows(row, expected):
    weights = np.array([row], np.float32)
    assert integers(weights, fit_pairs(weights)).tolist() == [expected]


def test_the_output_channels_of_each_operator():
    generator = np.random.default_rng(0)
    shapes = {'conv': (4, 2, 3, 3), 'gemm': (4, 5), 'transposed': (5, 4), 'product': (5, 4)}
    stored = {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    nodes = [
        helper.make_node('Conv', ['x', 'conv'], ['a']),
        helper.make_node('Gemm', ['y', 'gemm'], ['b'], transB=1),
        helper.make_node('Gemm', ['y', 'transposed'], ['c']),
        helper.make_node('MatMul', ['y', 'product'], ['d']),
        helper.make_node('MatMul', ['y', 'b'], ['e']),
    ]
    weights = [numpy_helper.from_array(value, name) for name, value in stored.items()]
    model = onnx.ModelProto(graph=onnx.GraphProto(node=nodes, initializer=weights))
    rows = {'conv': stored['conv'].reshape(4, 18), 'gemm': stored['gemm'],
            'transposed': stored['transposed'].T, 'product': stored['product'].T}  # fmt: skip
    found = override_scales(model, ('Conv', 'Gemm', 'MatMul'), per_channel=True)
    assert {name: each[0]['axis'] for name, each in found.items()} == {
        'conv': 0, 'gemm': 0, 'transposed': 1, 'product': 1
    }  # fmt: skip
    for name, channels in found.items():
        assert [each['scale'] for each in channels] == fit_pairs(rows[name]).tolist()
    whole = override_scales(model, ('Conv',), per_channel=False)
    assert whole == {'conv': [{'scale': fit_pairs(rows['conv']).max(), 'zero_point': 0}]}
