"""docs/study and README.md say what the committed cells say, and their advice follows from them."""

from pathlib import Path

import pytest

from benchmarks.study import __main__ as command
from benchmarks.study import cost, page, records, results, tables
from benchmarks.study.reading import read_protocol

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / 'docs' / 'study'


@pytest.fixture(scope='module')
def found():
    """The results, anew from the records."""
    chosen = read_protocol(DOCS / 'protocol.yml')
    cells = DOCS / 'cells'
    known = command.known_records(chosen, cells)
    return results.collect(chosen, known, records.references(cells), cost.read(cost.file_of(cells)))


def test_tables_and_pages_are_those_of_the_committed_cells(found):
    assert (DOCS / 'tables.md').read_text(encoding='utf-8') == tables.markdown(found)
    assert (DOCS / 'results.csv').read_text(encoding='utf-8').count('\n') == tables.to_csv(found).count('\n')
    blocks = page.blocks(found, DOCS)
    for file, names in (
        (DOCS / 'README.md', ('gains', 'rates', 'seconds', 'missing')),
        (REPOSITORY / 'README.md', ('study',)),
    ):
        text = file.read_text(encoding='utf-8')
        for name in names:
            assert f'<!-- {name} -->\n{blocks[name]}\n<!-- /{name} -->' in text, f'{file}: {name}'


def test_every_record_is_a_cell_of_the_protocol(found):
    written = {file.stem for file in (DOCS / 'cells').glob('*.json')} - {'references', 'cost'}
    assert len(written) == found['finished']


def gain(found, comparison, method, other):
    """Means on all sets."""
    return [each['mean'] for each in found['comparisons'][comparison]['rows'][method]['gain'][other].values()]


def psnr(found, comparison, method):
    """Means on all sets."""
    return [each['psnr']['mean'] for each in found['comparisons'][comparison]['rows'][method]['scores'].values()]


def lead(found, comparison, method, other):
    """By seed, on all sets."""
    rows = found['comparisons'][comparison]['rows']
    theirs = rows[other]['by_seed']
    return {
        seed: [psnr - theirs[seed][name] for name, psnr in sets.items()]
        for seed, sets in rows[method]['by_seed'].items()
    }


def rounded(values):
    """As the page has them."""
    return [f'{each:.2f}' for each in values]


def test_bfloat16_changes_no_more_than_the_page_says(found):
    for method, most in (('kd', 0.03), ('dukd', 0.03), ('alone', 0.06)):
        assert found['comparisons']['middle_bf16']['rows'][method]['seeds'] == [10, 11, 12]
        pairs = zip(psnr(found, 'middle', method), psnr(found, 'middle_bf16', method), strict=True)
        assert all(abs(one - other) < most for one, other in pairs)
    pairs = zip(gain(found, 'middle', 'dukd', 'kd'), gain(found, 'middle_bf16', 'dukd', 'kd'), strict=True)
    assert all(abs(one - other) <= 0.0301 for one, other in pairs)


def test_the_advice_of_the_page_follows_from_the_cells(found):
    assert set(found['chosen'].values()) == {'0.004'}  # 1
    for method in ('alone', 'kd'):  # 2
        pairs = zip(psnr(found, 'short', method), psnr(found, 'seconds_short', method), strict=True)
        assert all(longer - shorter > 0.2 for shorter, longer in pairs)
    for comparison in ('short', 'middle', 'seconds_short', 'seconds_middle', 'student_20k'):  # 3
        assert min(gain(found, comparison, 'kd', 'alone')) > 0
    for comparison, seeds in (('short', 3), ('middle', 3), ('long', 3), ('student_20k', 2)):  # 4
        leads = lead(found, comparison, 'dukd', 'kd')
        assert len(leads) == seeds
        assert all(each > 0 for sets in leads.values() for each in sets)
    assert rounded(gain(found, 'middle', 'dukd', 'kd')) == ['0.14', '0.11', '0.07']
    assert rounded(gain(found, 'long', 'dukd', 'kd')) == ['0.13', '0.09', '0.05']
    assert rounded(gain(found, 'longer', 'dukd', 'kd')) == ['0.13', '0.08', '0.07']
    assert found['per_iteration']['dukd'] > 2 * found['per_iteration']['kd']
    assert rounded(gain(found, 'middle_bf16', 'kd_18', 'kd')) == ['0.25', '0.16', '0.13']  # 5
    assert rounded(gain(found, 'long', 'kd_18', 'kd')) == ['0.18', '0.16', '0.12']
    for comparison in ('middle_bf16', 'long'):
        assert all(each > 0 for sets in lead(found, comparison, 'kd_18', 'dukd').values() for each in sets)
    early = gain(found, 'seconds_short', 'dukd', 'kd')  # 6
    assert max(gain(found, 'seconds_short', 'dukd', 'alone')) < 0
    assert max(early) < -0.1
    later = gain(found, 'seconds_middle', 'dukd', 'kd')
    assert max(map(abs, later)) < 0.05
    assert min(gain(found, 'seconds_middle', 'dukd', 'alone')) > 0
    level = found['comparisons']['seconds_long']['rows']['dukd']['gain']['kd'].values()
    assert rounded(each['mean'] for each in level) == ['0.02', '-0.01', '0.00']
    assert all(each['low'] < 0 < each['high'] for each in level)
    assert all(each < 0 for sets in lead(found, 'short', 'in_batch', 'kd').values() for each in sets)  # 7
    assert max(gain(found, 'middle', 'in_batch', 'kd')) < 0
    assert sum(gain(found, 'middle', 'in_batch', 'kd')) > 0.4 * sum(gain(found, 'short', 'in_batch', 'kd'))
    for method in ('scheduled', 'in_batch_late'):  # 8
        for comparison in ('short', 'middle', 'student_20k'):
            assert max(map(abs, gain(found, comparison, method, 'kd'))) < 0.04
            row = found['comparisons'][comparison]['rows'][method]
            assert all(each['low'] <= 0 for each in row['gain']['kd'].values())
    assert rounded(gain(found, 'student_250k', 'dukd', 'kd')) == ['0.06', '0.03', '0.02']  # 11
    assert rounded(gain(found, 'middle_bf16', 'dukd', 'kd')) == ['0.17', '0.10', '0.07']
    assert found['cache_seconds'] / found['per_iteration']['kd'] > 2000  # 9
