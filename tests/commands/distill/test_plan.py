"""The plan, and every mistake that is found before anything is made."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from dukd_basicsr.cli import build_parser, main
from dukd_basicsr.commands.distill import measure
from dukd_basicsr.commands.distill import plan as planning
from dukd_basicsr.commands.distill.options_file import write_options
from dukd_basicsr.commands.distill.plan import Plan, format_time
from dukd_basicsr.commands.distill.request import Goal, Request, read_request
from dukd_basicsr.data.locks import hold
from tests.commands.distill.toy_distillation import SETTINGS, SHORT, distill, studio  # noqa: F401  the fixture
from tests.images import fill
from tests.toys import save_weights

REQUEST = Request(Path('teacher.pth'), Path('photos'), 'compact', Goal('times', 10.0), Path('run'))
pytestmark = pytest.mark.usefixtures('studio')


def listing():
    return sorted(str(path) for path in Path().rglob('*'))


def test_the_plan_says_all_and_leaves_nothing(capsys):
    before = listing()
    assert distill(*SHORT, '--iterations', 8, '--plan') == 0
    said = capsys.readouterr().out
    assert listing() == before
    for line in (
        'teacher      EDSR x2, ', 'student      compact_x2_f8c4, 3.48 K parameters', '10 to train on, 2 held out',
        '8 iterations of', 'about ', '$ basicsr prepare photographs/train', '$ basicsr train -opt compact_x2_f8c4.yml',
        '--precision int8', '$ basicsr benchmark', 'nothing has been made',
    ):  # fmt: skip
        assert line in said


@pytest.mark.parametrize(
    ('live', 'cached', 'length', 'expected'),
    [
        (1.0, 0.9, {'iterations': 10}, (10, False)),  # labels take longer than they save
        (1.0, 0.1, {'iterations': 10_000}, (10_000, True)),
        (1.0, 0.5, {'hours': 1.0}, (6900, True)),  # 3600 s - 10 s - 8 validations - 90 s of labels, in half seconds
        (1.0, 0.99, {'hours': 1.0}, (3500, False)),
    ],
)
def test_the_cheaper_way_for_the_length(live, cached, length, expected):
    asked = replace(REQUEST, **length)
    found = planning._choose_length(SETTINGS, asked, live, cached, {'label': 90.0, 'export': 10.0, 'validation': 1.0})
    assert (found.iterations, found.cached) == expected
    assert found.late == (found.iterations >= 10_000)


@pytest.mark.parametrize(
    ('seconds', 'way', 'share'),
    [
        ((1.0, 0.95, 0.91), (False, False), 1.0),  # not worth another way: measurements differ by as much
        ((1.0, 0.6, 0.7), (True, False), 0.6),
        ((1.0, 0.6, 0.35), (True, True), 0.35),
        ((1.0, 1.2, 4.0), (False, False), 1.0),  # a CPU that has no bfloat16 computes it slowly
        ((1.0, 1.0, 1.0), (False, False), 1.0),
    ],
)
def test_the_quickest_way_to_compute(monkeypatch, seconds, way, share):
    took = {(False, False): seconds[0], (True, False): seconds[1], (True, True): seconds[2]}
    monkeypatch.setattr(measure, 'measure_step', lambda each, *_, **__: took[each.channels_last, each.bf16])
    chosen, quick, plain = measure.choose_way(SETTINGS, Path('teacher.pth'), cached=True)
    assert (chosen.channels_last, chosen.bf16) == way
    assert (quick, plain) == (took[way], 1.0)
    assert quick / plain == share
    assert replace(chosen, channels_last=False, bf16=False) == SETTINGS


@pytest.mark.parametrize(
    ('took', 'said', 'written'),
    [
        (
            lambda each: 0.5 if each.bf16 else 1.0,
            'bfloat16 convolutions, channels_last: an iteration takes 0.5',
            'bf16',
        ),
        (lambda each: 1.0, 'float32: neither channels_last nor bfloat16 is quicker here', None),
    ],
)
def test_the_plan_says_how_it_is_computed(monkeypatch, took, said, written):
    monkeypatch.setattr(measure, 'measure_step', lambda each, *_, **__: took(each))
    request = read_request(build_parser().parse_args(['distill', 'teacher.pth', 'photos', *SHORT, '--iterations', '8']))
    plan, _ = planning.make_plan(request)
    assert said in plan.facts['precision']
    opt = measure.read_text(write_options(plan.settings, ()))
    assert (opt['train']['amp'], opt['train']['channels_last']) == (written, written is not None)


@pytest.mark.parametrize(('training', 'each', 'count'), [(1000, 1, 8), (1000, 50, 2), (1000, 101, 1), (10, 1000, 1)])
def test_validations_take_a_tenth_of_the_training(training, each, count):
    assert planning._count_validations(training, each) == count


def test_a_plan_is_kept_as_it_is():
    request = read_request(build_parser().parse_args(['distill', 'teacher.pth', 'photos', *SHORT, '--iterations', '8']))
    plan, _ = planning.make_plan(request)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    ('words', 'said'),
    [
        (('--params', '3K', '--hours', '0.0001'), '--hours 0.0001 leave no time to train in: all else takes about'),
        (('--params', '30'), '--params 30: no compact student of x2 has about 30 parameters; the smallest has'),
        (('--params', '1M'), 'no smaller than the teacher with'),
        (('--times', 'x'), '--times x is no size'),
    ],
)
def test_requests_that_cannot_be_met(words, said, capsys):
    before = listing()
    assert distill('--student', 'compact', *words) == 2
    assert said in ' '.join(capsys.readouterr().err.split())
    assert listing() == before


def test_a_teacher_that_nobody_recognises(capsys):
    torch.save({'params': {'a.weight': torch.zeros(2, 2)}}, 'teacher.pth')
    before = listing()
    assert distill(*SHORT) == 2
    assert 'teacher.pth: no known network; its names begin with a.weight' in capsys.readouterr().err
    Path('teacher.pth').write_bytes(b'no checkpoint')
    assert distill(*SHORT) == 2
    assert 'basicsr distill: ' in capsys.readouterr().err
    assert listing() == before


def test_a_teacher_of_another_task(capsys):
    compact = {'type': 'SRVGGNetCompact', 'num_in_ch': 1, 'num_out_ch': 1, 'num_feat': 4, 'num_conv': 1, 'upscale': 2}
    save_weights(Path('teacher.pth'), compact)
    assert distill(*SHORT) == 2
    assert 'only networks of RGB images are distilled' in capsys.readouterr().err


def test_photographs_that_do_not_do(capsys, tmp_path):
    fill(tmp_path / 'tiny', *[(40, 40 + n) for n in range(12)])
    before = listing()
    for folder, said in (
        ('tiny', '0 of its 12 photographs can be used, with a side of at least 64'),
        ('.', 'no photographs'),
    ):
        assert main(['distill', 'teacher.pth', folder, *SHORT]) == 2
        assert said in ' '.join(capsys.readouterr().err.split())
    assert listing() == before


def test_real_degradations_are_those_of_x4(capsys):
    before = listing()
    assert distill(*SHORT, '--real') == 2
    assert '--real: the degradations are those of x4, and the teacher is of x2' in ' '.join(
        capsys.readouterr().err.split()
    )
    assert listing() == before


def test_a_folder_that_is_in_use(capsys):
    with hold(Path('run')):
        assert distill(*SHORT, '--iterations', 8) == 2
    assert 'is being written to by process' in capsys.readouterr().err
    assert not Path('run').exists()


def test_a_folder_of_other_things(capsys):
    Path('run').mkdir()
    Path('run', 'precious.txt').write_text('x')
    assert distill(*SHORT, '--iterations', 8) == 2
    assert 'run is not empty and no run of basicsr distill' in capsys.readouterr().err
    assert [path.name for path in Path('run').iterdir()] == ['precious.txt']


@pytest.mark.parametrize(('seconds', 'text'), [(0.4, '0 s'), (59, '59 s'), (185, '3:05 min'), (7805, '2:10 h')])
def test_times_are_read_easily(seconds, text):
    assert format_time(seconds) == text
