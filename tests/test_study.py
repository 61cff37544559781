"""The study: protocol to cells, running and resuming them, and every number of its report against plain loops."""

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from toys import forget_logger, save_weights

from dukd_basicsr import cli
from dukd_basicsr.errors import RunStopped, UserError

REPOSITORY = Path(__file__).parent.parent
sys.path.insert(0, str(REPOSITORY / 'benchmarks'))

import study  # noqa: E402
import study_cells  # noqa: E402
import study_cost  # noqa: E402
import study_logs  # noqa: E402
import study_peer  # noqa: E402
import study_pictures  # noqa: E402
import study_protocol  # noqa: E402
import study_results  # noqa: E402
import study_run  # noqa: E402
import study_tables  # noqa: E402

FULL, CI = (REPOSITORY / 'docs' / 'study' / name for name in ('protocol.yml', 'protocol_ci.yml'))


@pytest.fixture
def data(tmp_path):
    """Training images, a test set and a teacher, all drawn."""
    rng = np.random.default_rng(0)
    for name, side in (('train/a', 64), ('train/b', 64), ('Set/c', 32), ('Set/d', 32)):
        file = tmp_path / 'data' / f'{name}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        smooth = cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(file), smooth)
    save_weights(tmp_path / 'data' / 'teacher.pth', study_protocol.read_protocol(CI).merged()['network_t'])
    return tmp_path / 'data'


@pytest.fixture
def in_process(monkeypatch, tmp_path):
    """Every child process as a call in this one; returns the names of the cells that were trained."""
    trained = []
    monkeypatch.chdir(tmp_path)

    def basicsr(work, *arguments, threads=None):
        monkeypatch.chdir(work)
        assert cli.main([str(argument) for argument in arguments]) == 0

    def run(cells, work, jobs, threads, peer):
        for cell in cells:
            if not cell.finished(work):
                forget_logger()
                trained.append(cell.name)
                basicsr(work, 'train', '-opt', cell.file(work), '--auto_resume')
        return []

    def measure(protocol, cell, work, peer, *extra):
        monkeypatch.chdir(work)
        return study_cost.measure_cache(cell.file(work)) if extra else study_cost.measure(cell.file(work), 1, None)

    monkeypatch.setattr(study_run, 'basicsr', basicsr)
    monkeypatch.setattr(study_results, 'basicsr', basicsr)
    monkeypatch.setattr(study_run, 'run', run)
    monkeypatch.setattr(study_cost, 'in_own_process', measure)
    yield trained
    forget_logger()


def command(monkeypatch, *arguments):
    monkeypatch.setattr(sys, 'argv', ['study.py', *map(str, arguments)])
    study.main()


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


def test_a_protocol_becomes_a_report_that_is_the_same_every_time(data, in_process, monkeypatch, tmp_path, capsys):
    work, docs = tmp_path / 'work', tmp_path / 'docs'
    work.mkdir()
    command(monkeypatch, CI, '--data', data, '--work', work, '--docs', docs)
    assert in_process == ['alone_s1', 'dukd_s1', 'alone_s2', 'dukd_s2']
    wanted = {'tables.md', 'tables.tex', 'results.csv', 'results.json', 'curves.png', 'cost.png'}
    assert {path.name for path in docs.iterdir()} == {*wanted, 'pictures'}
    assert 0 < len(list((docs / 'pictures').iterdir())) <= study_pictures.COUNT
    check_numbers(work, json.loads((docs / 'results.json').read_text()))
    text = (docs / 'tables.md').read_text()
    assert "CSD: VGG's weights were not given" in text
    assert '| DUKD | 2 |' in text

    before = contents(docs)
    command(monkeypatch, CI, '--data', data, '--work', work, '--docs', docs)
    assert len(in_process) == 4  # nothing was trained again
    assert contents(docs) == before

    longer = tmp_path / 'longer.yml'
    longer.write_text(CI.read_text().replace('total_iter: 4', 'total_iter: 8'))
    for extra in ([], ['--report']):
        with pytest.raises(SystemExit) as stopped:
            command(monkeypatch, longer, '--data', data, '--work', work, '--docs', docs, *extra)
        assert stopped.value.code == 2
        assert 'dukd_s2 was started with other options (train.total_iter: 4 there, 8 here)' in capsys.readouterr().err
    assert contents(docs) == before


def check_numbers(work, results):
    """Means, deviations and gains again, from the benchmark's own file."""
    (table,) = (work / 'benchmark').glob('*/benchmark.json')
    scores = {row['name']: row['scores']['Set']['psnr'] for row in json.loads(table.read_text())['rows']}
    a, b = scores['dukd_s1'], scores['dukd_s2']
    found = results['methods']['dukd']['final']['Set']['psnr']
    assert found['mean'] == pytest.approx((a + b) / 2)
    assert found['std'] == pytest.approx(abs(a - b) / 2**0.5)
    gain = results['methods']['dukd']['gain']['alone']['Set']['psnr']
    assert gain['mean'] == pytest.approx((a - scores['alone_s1'] + b - scores['alone_s2']) / 2)
    curve = results['methods']['dukd']['curve']
    assert list(curve) == ['2', '4']
    assert curve['4']['Set']['psnr']['mean'] == pytest.approx(found['mean'], abs=1e-4)  # the log has four decimals
    assert results['significance']['alone']['Set']['mean'] == pytest.approx(gain['mean'])
    assert results['cache_seconds'] > 0
    assert results['references']['teacher']['Set']['psnr'] != results['references']['bicubic']['Set']['psnr']


def test_every_cell_of_the_real_protocol_passes_the_checks_of_an_options_file(tmp_path):
    vgg = tmp_path / 'vgg.pth'
    cells = study_cells.cells_of(study_protocol.read_protocol(FULL, vgg))
    study_cells.check(cells, tmp_path, files=False)
    by_name = {cell.name: cell for cell in cells}
    assert by_name['csd_s10'].opt['train']['feature_opt']['csd']['vgg'] == str(vgg)
    groups = [study_protocol.GROUPS.index(cell.method.group) for cell in cells]
    assert groups == sorted(groups)
    main = [cell.name for cell in cells if cell.method.group == 'main']
    assert main[:3] == ['alone_s10', 'kd_s10', 'dukd_s10']
    assert main[3:6] == ['alone_s11', 'kd_s11', 'dukd_s11']
    for key in ('scheduler', 'total_iter', 'optim_g', 'ema_decay'):
        # but for the one method that is about the number of steps
        same = [cell for cell in cells if cell.method.name != 'dukd_steps']
        assert len({json.dumps(cell.opt['train'][key]) for cell in same}) == 1


def test_a_protocol_with_a_mistake_is_refused(tmp_path):
    for old, new, sentence in [
        ('group: rival', 'group: rivals', 'rivals is not one of main, rival'),
        ('budget: dukd', 'budget: dukt', 'Did you mean "dukd"'),
        ('needs: vgg', 'need: vgg', 'unknown key. Did you mean "needs"'),
        ('val_freq: 2', 'val_freq: 3', 'must be a multiple of val_freq'),
        ('tests: [Set]', '', 'tests: missing key'),
        ('per_image: 2', 'per_images: 2', 'Did you mean "per_image"'),
    ]:
        file = tmp_path / 'protocol.yml'
        file.write_text(CI.read_text().replace(old, new))
        with pytest.raises(UserError, match=sentence):
            study_protocol.read_protocol(file)
    with pytest.raises(UserError, match='--only kdd'):
        study_cells.cells_of(study_protocol.read_protocol(CI), ['kdd'])


def test_merging_goes_into_mappings_and_replaces_everything_else():
    base = {'a': {'b': 1, 'c': [1, 2]}, 'd': {'e': 1}, 'f': 2}
    found = study_protocol.merged(base, {'a': {'c': [3], 'x': {'y': 1}}, 'd': None, 'f': {'g': 1}})
    assert found == {'a': {'b': 1, 'c': [3], 'x': {'y': 1}}, 'd': None, 'f': {'g': 1}}
    assert base == {'a': {'b': 1, 'c': [1, 2]}, 'd': {'e': 1}, 'f': 2}


def test_logs_of_a_resumed_run_are_read_as_one(tmp_path):
    (tmp_path / 'train_x_20260101_000000.log').write_text(
        '2026 INFO: Teacher on Set5 (iteration 0)\n\t # psnr: 37.8\n2026 INFO: [x][epoch:  0, iter:   1,000, lr:(5,)]\n'
        '2026 INFO: Validation Set5\n\t # psnr: 30.5\tBest: 30.5 @ 1000 iter\n\t # ssim: 0.9\n\n'
        '2026 INFO: [x][epoch:  0, iter:   2,000, lr:(5,)]\n2026 INFO: Validation Set5\n\t # psnr: 1.0\n'
    )
    (tmp_path / 'train_x_20260102_000000.log').write_text(
        '2026 INFO: Resuming training from epoch: 0, iter: 2000.\n2026 INFO: Validation Set5\n\t # psnr: 31.5\n'
    )
    assert study_logs.validations(tmp_path) == {
        1000: {'Set5': {'psnr': 30.5, 'ssim': 0.9}},
        2000: {'Set5': {'psnr': 31.5}},
    }
    assert study_logs.last_iteration(tmp_path) == 2000
    assert study_logs.last_iteration(tmp_path / 'none') == 0


def test_equal_wall_clock_is_read_off_the_curve_as_a_plain_loop_reads_it():
    curve = {10: 20.0, 20: 30.0, 40: 34.0}

    def plain(at):
        points = sorted(curve.items())
        for (x0, y0), (x1, y1) in itertools.pairwise(points):
            if x0 <= at <= x1:
                return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
        return points[-1][1]

    for at in (10, 13.7, 20, 25.5, 40, 99):
        assert study_results.at_iteration(curve, at) == pytest.approx(plain(at))


def test_a_method_that_pays_for_the_cache_or_has_not_begun_is_told_apart(monkeypatch):
    cells = study_cells.cells_of(study_protocol.read_protocol(CI), ['alone', 'dukd'])
    by_method = {name: [cell for cell in cells if cell.method.name == name] for name in ('alone', 'dukd')}
    curve = {2: {'Set': {'psnr': 20.0}}, 4: {'Set': {'psnr': 24.0}}}
    curves = {cell.name: curve for cell in cells}
    cost = {'seconds': {'alone': 1.0, 'dukd': 2.0}, 'cache_seconds': 3.0}
    found = study_results._at_budget('dukd', by_method, curves, cost, 6.0)
    assert found['free']['psnr']['Set']['psnr']['mean'] == 22.0  # 3 iterations
    assert found['free']['gain']['Set']['psnr']['mean'] == -2.0  # alone is done
    assert found['paying'] == {'psnr': {}, 'gain': {}}  # 1.5 iterations: before the first validation
    assert study_results._at_budget('alone', by_method, curves, cost, 3.0)['paying']['psnr']['Set']['psnr']['n'] == 2


def test_gains_are_paired_by_seed_and_deviations_are_of_the_sample():
    ours = {1: {'S': {'psnr': 3.0}}, 2: {'S': {'psnr': 5.0}}, 3: {'S': {'psnr': 100.0}}}
    theirs = {2: {'S': {'psnr': 4.0}}, 1: {'S': {'psnr': 1.0}}}
    found = study_results.summarised(study_results.paired(ours, theirs))['S']['psnr']
    assert found == {'values': {'1': 2.0, '2': 1.0}, 'mean': 1.5, 'std': pytest.approx(0.5**0.5), 'n': 2}
    assert study_results.moments([7.0]) == {'mean': 7.0, 'std': None, 'n': 1}


def test_significance_of_equal_methods_is_zero_and_of_a_shift_the_shift():
    protocol = study_protocol.read_protocol(CI)
    cells = study_cells.cells_of(protocol)
    by_method = {name: [cell for cell in cells if cell.method.name == name] for name in ('alone', 'dukd')}
    images = {f'{n}': 30.0 + n**2 for n in range(5)}
    same = {(cell.name, 'Set'): images for cell in cells}
    zero = study_results.significance(same, protocol, by_method)['alone']['Set']
    assert (zero['mean'], zero['low'], zero['high'], zero['images'], zero['seeds']) == (0, 0, 0, 5, 2)
    shifted = same | {(f'dukd_s{seed}', 'Set'): {name: psnr + seed for name, psnr in images.items()} for seed in (1, 2)}
    found = study_results.significance(shifted, protocol, by_method)['alone']['Set']
    assert found['mean'] == found['low'] == found['high'] == pytest.approx(1.5)


def stub(monkeypatch, script):
    """Children that are a line of shell."""

    def start(cell, work, threads, peer):
        with (work / 'logs' / f'{cell.name}.log').open('w') as log:
            return subprocess.Popen(['sh', '-c', script], stdout=log, stderr=log, start_new_session=True)

    monkeypatch.setattr(study_run, '_start', start)


def test_a_cell_that_fails_is_told_with_its_last_lines_and_the_others_run(monkeypatch, tmp_path):
    (tmp_path / 'logs').mkdir()
    stub(monkeypatch, 'echo one; echo the reason; exit 3')
    cells = study_cells.cells_of(study_protocol.read_protocol(CI), ['alone'])
    failed = study_run.run(cells, tmp_path, 2, 1, None)
    assert [text.split(' (')[0] for text in failed] == [
        'alone_s1 ended with exit code 3',
        'alone_s2 ended with exit code 3',
    ]
    assert failed[0].endswith('one\n    the reason')


def test_a_signal_reaches_the_children_and_the_run_can_go_on(monkeypatch, tmp_path):
    (tmp_path / 'logs').mkdir()
    stub(monkeypatch, 'trap "echo saved; exit 75" TERM; echo up; while :; do sleep 0.05; done')
    cells = study_cells.cells_of(study_protocol.read_protocol(CI), ['alone'])
    logs = [tmp_path / 'logs' / f'{cell.name}.log' for cell in cells]

    def stop():
        while not all(log.is_file() and log.read_text() for log in logs):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(RunStopped, match='the same command goes on'):
        study_run.run(cells, tmp_path, 2, 1, None)
    assert {log.read_text() for log in (tmp_path / 'logs').iterdir()} == {'up\nsaved\n'}
    assert RunStopped.exit_code == 75


def test_titles_become_latex_and_markdown_tables_have_a_row_each():
    assert study_tables.escaped('p_1 & 50 % of λ') == r'p\_1 \& 50 \% of $\lambda$'
    assert study_tables.spread({'mean': 1.23456, 'std': 0.5, 'n': 2}, 2, True) == '+1.23 ± 0.50'
    assert study_tables.table(['a', 'b'], [['x', '1']]) == '| a | b |\n| --- | ---: |\n| x | 1 |'


def test_pictures_are_cut_where_the_difference_is_and_stay_small():
    first, second = np.zeros((2, 12, 12, 3), np.uint8)
    second[6:9, 2:5] = 90
    value, corner = study_pictures.most_different([first, second], 3)
    assert (value, corner) == (90.0, (6, 2))
    noise = np.random.default_rng(0).integers(0, 256, (400, 600, 3), np.uint8)
    suffix, data = study_pictures.encoded(noise)
    assert suffix == '.jpg'
    assert len(data) <= study_pictures.LARGEST
    assert study_pictures.encoded(first)[0] == '.png'


def test_a_folder_without_the_authors_code_is_refused(tmp_path):
    with pytest.raises(UserError, match='no models/dukd_model'):
        study_peer.register(tmp_path)


def test_cells_that_need_what_is_not_given_do_not_run():
    cells = study_cells.cells_of(study_protocol.read_protocol(CI))
    names = {cell.method.name for cell in study_cells.available(cells, {'vgg': None, 'peer': None})}
    assert names == {'alone', 'dukd'}
    assert {cell.method.name for cell in study_cells.available(cells, {'vgg': Path('x')})} == {'alone', 'dukd', 'csd'}
    assert not dataclasses.replace(cells[0]).finished(Path('nowhere'))
