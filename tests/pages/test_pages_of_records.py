"""docs/model_zoo.md and docs/which_student.md are what the records say, and the records are of what is shipped."""

from __future__ import annotations

import hashlib
import json
import re

import pytest

from benchmarks import pages
from benchmarks.speed import students
from dukd_basicsr.networks.build import build
from dukd_basicsr.networks.cost import count_parameters
from dukd_basicsr.networks.deploy import deploy

RECORD = json.loads((pages.DOCS / 'which_student.json').read_text(encoding='utf-8'))


def test_the_pages_are_written_from_the_records():
    assert pages.write(check=True) == [], 'run python -m benchmarks.pages'


def test_every_shipped_weight_is_in_the_zoo_by_its_hash():
    text = (pages.DOCS / 'model_zoo.md').read_text(encoding='utf-8')
    files = sorted(pages.DEMO.glob('*.pth'))
    assert re.findall(r'`(\w+\.pth)` \|', text) == sorted((file.name for file in files), reverse=True)
    for file in files:
        assert hashlib.sha256(file.read_bytes()).hexdigest() in text


@pytest.mark.parametrize('one', [one for one in RECORD['networks'] if one['params'] < 3_000_000],
                         ids=lambda one: f'{one["name"]} x{one["scale"]}')  # fmt: skip
def test_recorded_sizes_are_those_of_the_deployed_networks_of_the_options_files(one):
    (listed,) = (
        each for each in students.list_networks() if (each['scale'], each['name']) == (one['scale'], one['name'])
    )
    assert count_parameters(deploy(build(listed['options']).eval())) == one['params']


def test_a_network_that_was_not_measured_is_listed_last_and_said_so():
    rows = pages.list_sizes([one for one in RECORD['networks'] if one['name'] != 'ECBSR 16x4'], 4)
    assert rows[-1][:2] == ['ECBSR 16x4', 'not measured yet']
    assert len(rows) == len(pages.list_sizes(RECORD['networks'], 4))


def test_times_are_ratios_of_one_run():
    for one in RECORD['networks']:
        assert len(one['time']) == RECORD['rounds']
        assert one['name'] != RECORD['reference'] or one['time'] == [1.0] * RECORD['rounds']


def test_what_differs_is_named_and_nothing_is_written_by_a_check(tmp_path, monkeypatch):
    (tmp_path / 'study').symlink_to(pages.DOCS / 'study')
    (tmp_path / 'which_student.json').write_text(json.dumps(RECORD), encoding='utf-8')
    monkeypatch.setattr(pages, 'DOCS', tmp_path)
    both = ['model_zoo.md', 'which_student.md']
    assert pages.write(check=True) == both
    assert pages.write() == both
    (tmp_path / both[0]).write_text('by hand', encoding='utf-8')
    assert pages.write(check=True) == both[:1]
    assert (tmp_path / both[0]).read_text(encoding='utf-8') == 'by hand'
