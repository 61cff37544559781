"""What is shown of the commands that are run."""

import io
from pathlib import Path

from dukd_basicsr.commands.distill.commands import _TRAINING, _Filtered, _Shown, show_command


def test_a_training_shows_its_progress_and_its_warnings():
    shown = io.StringIO()
    stream = _Filtered(shown, lambda line: _TRAINING.search(line) is not None)
    wanted = [
        '2026-11-25 INFO: [toy..][epoch:  0, iter:   1, lr:(4.000e-03,)] l_pix: 6.0e-02\n',
        '\t # psnr: 26.2380\tBest: 26.2380 @ 1 iter\n',
        '2026-11-25 WARNING: 2 steps were skipped\n',
    ]
    for line in (
        '2026-11-25 INFO: \n', '  name: toy\n', *wanted,
        'WARNING: Params backbone.0.conv1x1_sbx.mask will not be optimized.\n', 'Network [EDSR] is created.\n',
    ):  # fmt: skip
        half = len(line) // 2
        stream.write(line[:half])
        stream.write(line[half:])
    assert shown.getvalue() == ''.join(wanted)


def test_progress_bars_pass_at_once():
    shown = io.StringIO()
    stream = _Filtered(shown, lambda line: False)
    stream.write('\r 10%')
    assert shown.getvalue() == '\r 10%'
    stream.write('\r100%\n')
    stream.write('a line of a log\n')
    assert shown.getvalue() == '\r 10%\r100%\n'


def test_what_is_said_of_an_options_file_is_left_out():
    shown = io.StringIO()
    stream = _Filtered(shown, _Shown())
    stream.write('3 pairs of 3 images.\nFor the options file:\n\nscale: 2\n')
    assert shown.getvalue() == '3 pairs of 3 images.\n'
    assert stream.isatty() is False


def test_a_command_is_shown_as_it_would_be_typed():
    files = [Path('/a b/my.py')]
    assert show_command(['train', '-opt', 'x.yml'], files) == "basicsr train --import '/a b/my.py' -opt x.yml"
    assert show_command(['prepare', 'a b'], files) == "basicsr prepare 'a b'"
