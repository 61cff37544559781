"""What the report reads from a run."""

import json

import pytest

from dukd_basicsr.commands.distill.outcome import judge, read_curves

LOG = """\
2026-11-25 03:10:12,397 INFO: Start training from epoch: 0, iter: 0
2026-11-25 03:10:12,895 INFO: [toy][epoch:  0, iter:     500, lr:(4.000e-03,)] l_pix: 6.0e-02 l_kd: 2.5e-01
2026-11-25 03:10:13,218 INFO: [toy][epoch:  0, iter:   1,000, lr:(3.7e-03,)] [eta: 0:00:00] l_pix: 4.0e-02 l_kd: nan
2026-11-25 03:10:13,300 INFO: Validation held_out
\t # psnr: 26.25\tBest: 26.25 @ 1000 iter
\t # ssim: 0.5\tBest: 0.5 @ 1000 iter
2026-11-25 03:11:12,397 INFO: Start training from epoch: 0, iter: 500
2026-11-25 03:11:13,218 INFO: [toy][epoch:  0, iter:   1,000, lr:(3.7e-03,)] [eta: 0:00:00] l_pix: 3.0e-02 l_kd: 2.0e-01
\t # psnr: 26.50\tBest: 26.50 @ 1000 iter
2026-11-25 03:11:14,218 INFO: [toy][epoch:  0, iter:   1,500, lr:(3.7e-03,)] [eta: 0:00:00] l_pix: 2.0e-02 l_kd: 1.0e-01
2026-11-25 03:11:14,219 INFO: Save the latest model.
\t # psnr: 27.00\tBest: 27.00 @ 1500 iter
"""


def test_curves_of_a_log_that_was_stopped_and_resumed():
    assert read_curves(LOG) == {
        'losses: l_pix': [(500, 0.06), (1000, 0.03), (1500, 0.02)],
        'losses: l_kd': [(500, 0.25), (1000, 0.2), (1500, 0.1)],
        'psnr': [(1000, 26.5), (1500, 27.0)],
        'ssim': [(1000, 0.5)],
    }


@pytest.mark.parametrize(('psnr', 'warned'), [(30.1, False), (29.9, True), (None, False)])
def test_a_student_that_is_worse_than_bicubic_is_warned_of(psnr, warned, tmp_path):
    rows = [
        ('bicubic', 'bicubic', 30.0),
        ('toy', 'student', psnr),
        ('big (teacher)', 'teacher', 31.0),
        ('toy_int8', 'student', 1),
    ]
    content = {'rows': [{'name': name, 'kind': kind, 'scores': {'val': {'psnr': value}}} for name, kind, value in rows]}
    (tmp_path / 'benchmark.json').write_text(json.dumps(content))
    line, warning = judge(tmp_path / 'benchmark.json', 'toy')
    shown = '-' if psnr is None else f'{psnr:.2f}'
    assert line == f'bicubic 30.00 dB, toy {shown} dB, big (teacher) 31.00 dB'
    assert (warning is not None) == warned


def test_a_log_without_lines_has_no_curves():
    assert read_curves('') == {}
