"""docs/study and README.md say what the committed cells say, and their advice follows from them."""

from pathlib import Path

import pytest

from benchmarks.study import __main__ as command
from benchmarks.study import cost, page, protocol, records, results, tables

REPOSITORY = Path(__file__).parents[2]
DOCS = REPOSITORY / 'docs' / 'study'


@pytest.fixture(scope='module')
def found():
    """The results, anew from the records."""
    chosen = protocol.read_protocol(DOCS / 'protocol.yml')
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


def test_the_advice_of_the_page_follows_from_the_cells(found):
    assert set(found['chosen'].values()) == {'0.004'}  # 1
    for method in ('alone', 'kd'):  # 2
        pairs = zip(psnr(found, 'short', method), psnr(found, 'seconds_short', method), strict=True)
        assert all(longer - shorter > 0.2 for shorter, longer in pairs)
    assert min(gain(found, 'short', 'kd', 'alone')) > 0  # 3
    assert min(gain(found, 'seconds_short', 'kd', 'alone')) > 0
    assert max(gain(found, 'seconds_short', 'dukd', 'alone')) < 0  # 4
    assert max(gain(found, 'seconds_short', 'dukd', 'kd')) < 0
    assert max(gain(found, 'seconds_short', 'dukd', 'kd')) < max(gain(found, 'seconds_short', 'dukd', 'alone'))
    rows = found['comparisons']['short']['rows']
    ours, theirs = (rows[method]['by_seed'] for method in ('dukd', 'kd'))
    assert len(ours) > 1  # 5
    assert all(psnr > theirs[seed][name] for seed, sets in ours.items() for name, psnr in sets.items())
    assert found['per_iteration']['dukd'] > 2 * found['per_iteration']['kd']
    assert all(
        psnr < theirs[seed][name] for seed, sets in rows['in_batch']['by_seed'].items() for name, psnr in sets.items()
    )  # 6
    for method in ('scheduled', 'in_batch_late'):  # 7
        assert max(map(abs, gain(found, 'short', method, 'kd'))) < 0.04
        assert all(each['low'] <= 0 for each in rows[method]['gain']['kd'].values())
    assert found['cache_seconds'] / found['per_iteration']['kd'] > 2000  # 8
