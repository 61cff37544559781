"""The table of students, and the choice of one."""

import itertools
import math

import pytest

from dukd_basicsr.commands import distill
from dukd_basicsr.commands.distill import students
from dukd_basicsr.commands.distill.request import Goal
from dukd_basicsr.commands.distill.students import (
    FAMILIES,
    LEAST_RATE,
    Figures,
    choose_rate,
    choose_student,
    count_figures,
)
from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.build import build
from dukd_basicsr.networks.deploy import deploy
from dukd_basicsr.networks.padding import answer_zeros

LARGE = Figures(50_000_000, 10**13, 50_000_000)


def figures(kind, scale=2):
    family = FAMILIES[kind]
    nets = [build(family.make(width, depth, scale)).eval() for width, depth in family.sizes]
    return [count_figures(net, deploy(net), scale) for net in nets]


def test_the_flag_takes_what_the_table_has():
    assert set(distill.STUDENTS) == set(FAMILIES)


@pytest.mark.parametrize('kind', FAMILIES)
def test_every_size_is_larger_than_the_one_before(kind):
    found = figures(kind)
    for small, large in itertools.pairwise(found):
        assert 1 < large.params / small.params < 4
        assert small.macs < large.macs


@pytest.mark.parametrize('kind', FAMILIES)
@pytest.mark.parametrize('scale', [2, 3, 4, 8])
def test_students_enlarge_by_the_scale(kind, scale):
    width, depth = FAMILIES[kind].sizes[0]
    assert answer_zeros(build(FAMILIES[kind].make(width, depth, scale)).eval(), 3).shape[-1] == 16 * scale


def test_reparametrised_students_are_counted_as_they_are_deployed():
    (m4c16,) = (each for (width, depth), each in zip(FAMILIES['ecbsr'].sizes, figures('ecbsr'), strict=True)
                if (width, depth) == (16, 4))  # fmt: skip
    convolutions = 9 * (3 * 16 + 4 * 16 * 16 + 16 * 12)
    assert m4c16.params == convolutions + 16 * 5 + 12 + 16 * 5  # biases, PReLUs
    assert m4c16.trained_params > 4 * m4c16.params
    assert m4c16.macs == convolutions * 640 * 360


@pytest.mark.parametrize('kind', ['edsr', 'compact'])
def test_the_nearest_is_chosen(kind):
    table = figures(kind)
    for goal, values in (
        (Goal('params', 60_000), [each.params for each in table]),
        (Goal('macs', 5e9), [each.macs for each in table]),
        (Goal('times', 500), [each.params for each in table]),
    ):
        wanted = LARGE.params / 500 if goal.kind == 'times' else goal.value
        best = min(range(len(values)), key=lambda n: max(values[n] / wanted, wanted / values[n]))
        chosen = choose_student(kind, 2, goal, LARGE)
        assert chosen.network == FAMILIES[kind].make(*FAMILIES[kind].sizes[best], 2)
        assert chosen.figures == table[best]


def test_the_time_that_was_asked_for_is_measured(monkeypatch):
    asked = []

    def pretend(net, scale):
        asked.append(net)
        return sum(parameter.numel() for parameter in net.parameters()) / 1e4

    monkeypatch.setattr(students, 'measure_time', pretend)
    table = figures('compact')
    chosen = choose_student('compact', 2, Goal('ms', 7.0), LARGE)
    best = min(table, key=lambda each: abs(math.log(each.params / 7e4)))
    assert chosen.figures.params == best.params
    assert chosen.figures.ms == best.params / 1e4
    assert len(asked) < len(table)


@pytest.mark.parametrize(
    ('goal', 'said'),
    [
        (Goal('params', 10), r'--params 10: no compact student of x2 has about 10 parameters; the smallest has'),
        (
            Goal('params', 1e9),
            r'--params 1e\+09: no compact student of x2 has about 1.00 G parameters; the largest has',
        ),
        (Goal('times', 1e6), r'--times 1e\+06: no compact student of x2 has about 50 parameters'),
        (Goal('macs', 1e3), r'multiply-accumulates for 1280x720; the smallest has'),
    ],
)
def test_sizes_that_no_student_reaches(goal, said):
    with pytest.raises(UserError, match=said):
        choose_student('compact', 2, goal, LARGE)


def test_a_student_is_smaller_than_its_teacher():
    with pytest.raises(UserError, match=r'no smaller than the teacher with 1\.00 K parameters'):
        choose_student('edsr', 2, Goal('params', 100_000), Figures(1000, 1000, 1000))


def test_rates_fall_with_the_size_and_stay_within_what_was_measured():
    rates = [choose_rate(4e-3, parameters) for parameters in (1, 69_000, 70_000, 280_000, 1_120_000, 10**8, 10**10)]
    assert rates == [4e-3, 4e-3, 4e-3, 2e-3, 1e-3, 2e-4, 2e-4]
    assert all(LEAST_RATE < family.rate <= 4e-3 for family in FAMILIES.values())
