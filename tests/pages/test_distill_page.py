"""docs/distill.md: its commands as they stand, with fewer iterations in place of hours, and its numbers."""

import re
import shlex
from pathlib import Path

from dukd_basicsr.cli import main
from dukd_basicsr.commands import distill
from dukd_basicsr.commands.distill import photographs, plan, refinement
from dukd_basicsr.commands.distill.request import DEFAULT_GOAL, DEFAULT_HOURS
from dukd_basicsr.commands.distill.students import FAMILIES, LEAST_RATE, OF_PARAMETERS
from tests.images import fill
from tests.toys import REPOSITORY, STUDENT, forget_logger, save_weights

PAGE = (REPOSITORY / 'docs' / 'distill.md').read_text(encoding='utf-8')


def test_every_command_of_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    save_weights(tmp_path / 'teacher.pth', {**STUDENT, 'num_feat': 48, 'num_block': 8})
    fill(tmp_path / 'photos', *[(70 + n, 80) for n in range(8)])
    commands = [line for block in re.findall(r'```bash\n(.*?)```', PAGE, re.DOTALL) for line in block.splitlines()]
    assert len(commands) == 2
    for command in commands:
        forget_logger()
        words = shlex.split(command.replace('--hours 8', '--iterations 2'))
        assert words[:2] == ['basicsr', 'distill']
        assert main(words[1:]) == 0, capsys.readouterr().err
    forget_logger()
    said, folder = capsys.readouterr().out, Path('distilled/teacher_to_edsr')
    name = re.search(r'student +(\w+),', said)[1]
    (left,) = re.findall(r'```\n(DIR.*?)```', PAGE, re.DOTALL)
    for line in left.splitlines():
        path = line.split()[0].replace('DIR/', '').replace('<student>', name)
        for each in [path.replace('{fp32,fp16,int8}', form) for form in ('fp32', 'fp16', 'int8')]:
            assert (folder / each).exists(), line


def test_the_numbers_of_the_page():
    words = ' '.join(PAGE.split())
    assert f'a tenth of PHOTOS, {photographs.FEWEST} to {photographs.MOST} of them' in words
    assert photographs.SHARE == 10
    assert 'six or more' in words
    assert photographs.FEWEST + photographs.FEWEST_TO_TRAIN == 6
    assert f'{DEFAULT_GOAL.value:.0f} if nothing is given' in words
    assert DEFAULT_GOAL.kind == 'times'
    assert f'{DEFAULT_HOURS:.0f} hours if nothing is given' in words
    assert f'above {photographs.LARGEST_HELD_OUT} pixels' in words
    for name, family in FAMILIES.items():
        assert f'{family.rate:g}'.replace('0.00', '') + f'e-3 for `{name}`' in words
    assert f'up to {OF_PARAMETERS // 1000} K parameters' in words
    assert LEAST_RATE == 2e-4
    assert f'from {plan.LATE_FROM:,} iterations on' in words
    assert (refinement.SHARE, refinement.SLOWER) == (10, 8)
    assert f"is a tenth of the training's iterations, at least {refinement.LEAST} and" in words
    assert "an eighth of the training's first" in words
    assert all(f'`{student}`' in words for student in distill.STUDENTS)
