import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dukd_basicsr.evaluation.report.charts import draw_chart, find_ticks, group_curves


def read_lines(chart):
    """The points of every polyline."""
    return [
        [tuple(map(float, point.split(','))) for point in points.split()]
        for points in re.findall(r'<polyline points="([^"]*)"', chart)
    ]


def read_scale(chart, anchor):
    """From the labels of an axis: a function from a place in the drawing to a value."""
    place = 'y' if anchor == 'end' else 'x'
    found = re.findall(rf'<text x="([\d.-]+)" y="([\d.-]+)" text-anchor="{anchor}">([\d.,e+-]+)</text>', chart)
    pairs = [(float(y) - 4 if place == 'y' else float(x), float(text.replace(',', ''))) for x, y, text in found]
    (first, low), (last, high) = pairs[0], pairs[-1]
    return lambda at: low + (at - first) * (high - low) / (last - first)


def test_points_stand_where_the_labels_of_the_axes_say():
    curve = [(1000, 27.0), (2500, 28.4), (4000, 28.1), (8000, 29.3)]
    chart = draw_chart('PSNR', {'student': curve})
    to_x, to_y = read_scale(chart, 'middle'), read_scale(chart, 'end')
    (line,) = read_lines(chart)
    for (x, y), (iteration, value) in zip(line, curve, strict=True):
        assert to_x(x) == pytest.approx(iteration, abs=10)
        assert to_y(y) == pytest.approx(value, abs=0.005)


def test_what_is_no_number_is_a_gap():
    values = [1.0, 2.0, math.nan, 3.0, math.inf, 4.0, 5.0]
    chart = draw_chart('loss', {'l_pix': list(enumerate(values))})
    assert [len(line) for line in read_lines(chart)] == [2, 1, 2]
    assert '5 at 6' in chart
    assert 'No value of it is a number' in draw_chart('loss', {'l_pix': [(1, math.nan)]})
    assert 'No value of it is a number' in draw_chart('loss', {'l_pix': []})


def test_long_curves_keep_their_peaks_and_their_end():
    values = [math.sin(number / 7) for number in range(20_000)]
    values[12_345], values[777] = 9.0, -9.0
    chart = draw_chart('loss', {'l_pix': list(enumerate(values))})
    (line,) = read_lines(chart)
    to_x, to_y = read_scale(chart, 'middle'), read_scale(chart, 'end')
    assert len(line) <= 3 * 250
    assert [x for x, _ in line] == sorted(x for x, _ in line)
    heights = [to_y(y) for _, y in line]
    assert max(heights) == pytest.approx(9, abs=0.05)
    assert min(heights) == pytest.approx(-9, abs=0.05)
    assert to_x(line[-1][0]) == pytest.approx(19_999, abs=40)


@given(
    values=st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=8),
    start=st.integers(0, 10**9),
)
def test_every_curve_is_drawn_inside_the_chart(values, start):
    chart = draw_chart('any', {'line': [(start + number, value) for number, value in enumerate(values)]})
    for x, y in (point for line in read_lines(chart) for point in line):
        assert 0 <= x <= 520
        assert 0 <= y <= 300


@given(low=st.floats(-1e6, 1e6), size=st.floats(1e-3, 1e6), most=st.integers(3, 8))
def test_ticks_are_round_even_and_within_the_axis(low, size, most):
    ticks = find_ticks(low, low + size, most)
    assert 1 <= len(ticks) <= most
    assert all(low - size * 1e-6 <= tick <= low + size * (1 + 1e-6) for tick in ticks)
    steps = [after - before for before, after in itertools.pairwise(ticks)]
    for step in steps:
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-6)
        assert min(abs(mantissa - round_one) for round_one in (1, 2, 2.5, 5, 10)) < 1e-3


def test_lines_of_one_chart_share_its_name():
    grouped = group_curves({'PSNR: student': [(1, 1.0)], 'loss': [(1, 2.0)], 'PSNR: teacher: best': [(1, 3.0)]})
    assert grouped == {'PSNR': {'student': [(1, 1.0)], 'teacher: best': [(1, 3.0)]}, 'loss': {'loss': [(1, 2.0)]}}
