"""A small report with something in every part."""

import numpy as np

from dukd_basicsr.evaluation.report import Form, Report

HOSTILE = '</script><script>alert(1)</script> <b>"x"</b> & \'y\' 学生 <!--'


def draw(seed=0, height=40, width=60):
    """A random picture, (height, width, 3) uint8."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def make_report(name='Toy', **changes):
    """A report whose texts are all `name`, apart from the numbers."""
    content = {
        'title': name,
        'facts': [(name, name)],
        'headers': [name, 'PSNR'],
        'rows': [[name, '28.98'], [name, name]],
        'comparisons': {name: {'teacher': draw(0), 'student': draw(1), 'bicubic': draw(2), name: draw(3)}},
        'forms': [Form(name, 349012, 44.1, 28.98), Form('int8', 98012)],
        'curves': {f'{name}: student': [(100, 27.0), (200, 28.0), (300, 28.5)], name: [(1, 0.5), (2, 0.25)]},
        'commands': [name],
    }
    return Report(**{**content, **changes})
