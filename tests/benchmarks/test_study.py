"""The study: protocol to cells, running and resuming them anywhere, and every number of its report by plain loops."""

import dataclasses
import itertools
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

import cv2
import numpy as np
import pytest

from benchmarks.study import (
    __main__ as command,
)
from benchmarks.study import (
    cells,
    cost,
    data,
    evaluate,
    interval,
    logs,
    page,
    peer,
    plots,
    rates,
    records,
    results,
    run,
    tables,
)
from benchmarks.study.protocol import merged
from benchmarks.study.reading import read_protocol
from dukd_basicsr import cli, options
from dukd_basicsr.errors import RunStopped, UserError
from tests.toys import REPOSITORY, forget_logger, save_weights

FULL, CI = (REPOSITORY / 'docs' / 'study' / name for name in ('protocol.yml', 'protocol_ci.yml'))


@pytest.fixture
def images(tmp_path):
    """Training images, one of them held out, a test set and a teacher, all drawn."""
    rng = np.random.default_rng(0)
    for name, side in (('train/a', 64), ('train/b', 64), ('train/h', 48), ('Set/c', 32), ('Set/d', 32)):
        file = tmp_path / 'data' / f'{name}.png'
        file.parent.mkdir(parents=True, exist_ok=True)
        smooth = cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), (side, side), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(file), smooth)
    save_weights(tmp_path / 'data' / 'teacher.pth', read_protocol(CI).merged()['network_t'])
    return tmp_path / 'data'


@pytest.fixture
def in_process(monkeypatch, tmp_path):
    """Every child process as a call in this one; returns the names of the cells that were trained."""
    trained = []
    monkeypatch.chdir(tmp_path)

    def basicsr(work, *arguments, threads=None):
        monkeypatch.chdir(work)
        assert cli.main([str(argument) for argument in arguments]) == 0

    def measured(work, chosen, *arguments):
        monkeypatch.chdir(work)
        monkeypatch.setattr(sys, 'argv', ['evaluate', *arguments])
        evaluate.main()

    def run_all(plan, place, jobs, chosen):
        while waiting := plan():
            cell = waiting[0]
            forget_logger()
            trained.append(cell.name)
            basicsr(place.work, 'train', '-opt', cell.file(place.work), '--auto_resume')
            measured(place.work, chosen, *run.measuring(cell, place)[2:])
            run.keep(cell, place)
        return []

    def measure(chosen, cell, place, *extra):
        monkeypatch.chdir(place.work)
        return cost.measure_cache(cell.file(place.work)) if extra else cost.measure(cell.file(place.work), 1, None)

    monkeypatch.setattr(run, 'basicsr', basicsr)
    monkeypatch.setattr(data, 'basicsr', basicsr)
    monkeypatch.setattr(data, 'measured', measured)
    monkeypatch.setattr(run, 'run', run_all)
    monkeypatch.setattr(cost, 'in_own_process', measure)
    yield trained
    forget_logger()


def study(monkeypatch, file, *arguments):
    monkeypatch.setattr(sys, 'argv', ['study', *map(str, (file, *arguments))])
    command.main()


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob('*')) if path.is_file()}


PAGE = '# Page\n<!-- gains -->\nold\n<!-- /gains -->\nprose\n<!-- missing -->\n<!-- /missing -->\n'


def test_a_study_goes_on_from_its_records_on_another_machine(images, in_process, monkeypatch, tmp_path, capsys):
    file, docs = tmp_path / 'study' / 'protocol.yml', tmp_path / 'docs'
    docs.mkdir()
    (docs / 'README.md').write_text(PAGE)
    file.parent.mkdir()
    shutil.copyfile(CI, file)
    first, second = tmp_path / 'first', tmp_path / 'second'
    for work in (first, second):
        work.mkdir()
    study(monkeypatch, file, '--data', images, '--work', first, '--only', 'short', '--seeds', 1, '--run')
    assert len(in_process) == 4  # the searches, whose best are the cells of this seed
    study(monkeypatch, file, '--data', images, '--work', first, '--only', 'short', '--run')
    rate = {method: searched_rate(file, method) for method in ('alone', 'dukd')}
    searches = [f'{method}_6_lr{rate}_s1' for method in ('alone', 'dukd') for rate in ('0.001', '0.002')]
    short = [f'{method}_6_lr{rate[method]}_s2' for method in ('alone', 'dukd')]  # at seed 1 the searches are the cells
    assert in_process == [*searches, *short]

    study(monkeypatch, file, '--data', images, '--work', second, '--docs', docs)  # another working folder
    added = [
        f'alone_12_lr{rate["alone"]}_s1',
        *(f'{method}_{other}_6_lr{rate[method]}_s1' for other in ('wide', 'bf16') for method in ('alone', 'dukd')),
    ]
    assert in_process[6:] == added
    check_numbers(file, first, second, json.loads((docs / 'results.json').read_text()))
    text = (docs / 'tables.md').read_text()
    assert "CSD: VGG's weights were not given" in text
    page_text = (docs / 'README.md').read_text()
    assert page_text.startswith('# Page\n<!-- gains -->\n### At equal iterations')
    assert "- rivals: CSD (VGG's weights were not given" in page_text
    assert 'old' not in page_text
    wanted = {'tables.md', 'results.csv', 'results.json', 'gain_iterations.png', 'gain_students.png', 'README.md'}
    assert wanted <= {path.name for path in docs.iterdir()}

    before = contents(docs)
    for work in (first, second):
        shutil.rmtree(work)
    study(monkeypatch, file, '--docs', docs, '--report')  # neither data nor checkpoints are needed
    assert contents(docs) == before

    file.write_text(CI.read_text().replace('gt_size: 16', 'gt_size: 8'))
    with pytest.raises(SystemExit) as stopped:
        study(monkeypatch, file, '--docs', docs, '--report')
    assert stopped.value.code == 2
    assert 'is of other options than the protocol has now (datasets.train.gt_size: 16 there, 8 here)' in (
        capsys.readouterr().err
    )
    assert contents(docs) == before


def test_a_precision_is_of_both_models_and_in_the_names():
    chosen = read_protocol(CI)
    alone, dukd = cells.cells_of(chosen, 'half', {'alone': 1e-3, 'dukd': 2e-3})
    assert (alone.name, dukd.name) == ('alone_bf16_6_lr0.001_s1', 'dukd_bf16_6_lr0.002_s1')
    assert (alone.opt['model_type'], dukd.opt['model_type']) == ('BF16SRModel', 'DUKDModel')
    assert dukd.opt['train']['amp'] == 'bf16'
    assert dukd.opt['train']['channels_last'] is True
    in_float = cells.make_cell(chosen, 'dukd', 6, 2e-3, 1)
    assert set(cells.differences(in_float.opt, dukd.opt)) == {
        'name: dukd_6_lr0.002_s1 there, dukd_bf16_6_lr0.002_s1 here',
        'train.amp: None there, bf16 here',
        'train.channels_last: None there, True here',
    }


def searched_rate(file, method):
    """The rate with the higher held-out PSNR, from the files themselves."""
    found = {}
    for rate in ('0.001', '0.002'):
        record = json.loads((file.parent / 'cells' / f'{method}_6_lr{rate}_s1.json').read_text())
        found[rate] = statistics.fmean(record['scores']['HeldOut']['psnr'])
    return max(found, key=found.get)


def check_numbers(file, first, second, found):
    """Means, deviations, gains and PSNR to the teacher again, by plain loops over pictures."""
    rate = {method: searched_rate(file, method) for method in ('alone', 'dukd')}
    psnr = {(method, seed): plain_scores(first, f'{method}_6_lr{rate[method]}_s{seed}') for method in rate
            for seed in (1, 2)}  # fmt: skip
    row = found['comparisons']['short']['rows']['dukd']
    means = [statistics.fmean(each[0] for each in psnr['dukd', seed]) for seed in (1, 2)]
    assert row['scores']['Set']['psnr']['mean'] == pytest.approx(statistics.fmean(means), abs=1e-4)
    assert row['scores']['Set']['psnr']['std'] == pytest.approx(abs(means[0] - means[1]) / 2**0.5, abs=1e-4)
    to_teacher = statistics.fmean(each[1] for seed in (1, 2) for each in psnr['dukd', seed])
    assert row['scores']['Set']['to_teacher']['mean'] == pytest.approx(to_teacher, abs=1e-4)
    gain = statistics.fmean(psnr['dukd', seed][image][0] - psnr['alone', seed][image][0] for seed in (1, 2)
                            for image in (0, 1))  # fmt: skip
    assert row['gain']['alone']['Set']['mean'] == pytest.approx(gain, abs=2e-4)
    assert (row['gain']['alone']['Set']['seeds'], row['gain']['alone']['Set']['images']) == (2, 2)
    assert found['cache_seconds'] > 0
    equal = found['comparisons']['equal']['rows']
    assert equal['alone']['seconds'] == pytest.approx(12 * equal['alone']['per_iteration'])
    assert equal['dukd']['iterations'] == 6
    in_bf16 = found['comparisons']['half']
    assert in_bf16['precision'] == 'bf16'
    assert in_bf16['rows']['dukd']['per_iteration'] != row['per_iteration']
    assert found['comparisons']['wide']['rows']['dukd']['parameters'] > row['parameters']
    assert found['references']['teacher']['Set']['psnr'] != found['references']['bicubic']['Set']['psnr']


def plain_scores(work, name):
    """Of each image of the set: PSNR to ground truth and to the teacher, by numpy, on Y without the border."""
    import torch
    from basicsr.archs.edsr_arch import EDSR
    from basicsr.utils import bgr2ycbcr

    def of(network, weights, key, lq):
        net = EDSR(**{name: value for name, value in network.items() if name != 'type'}).eval()
        net.load_state_dict(torch.load(weights, weights_only=True)[key])
        with torch.no_grad():
            tensor = torch.from_numpy(lq[..., ::-1].transpose(2, 0, 1).copy()).float()[None] / 255
            sr = net(tensor)[0].clamp(0, 1).numpy()
        return np.round(sr.transpose(1, 2, 0)[..., ::-1] * 255).astype(np.uint8)

    def psnr(a, b):
        a, b = (bgr2ycbcr(each.astype(np.float32) / 255, y_only=True)[2:-2, 2:-2] * 255 for each in (a, b))
        return 10 * np.log10(255**2 / np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))

    opt = options.load(work / 'options' / f'{name}.yml')
    network_t = read_protocol(CI).merged()['network_t']
    found = []
    for image in ('c', 'd'):
        lq, gt = (
            cv2.imread(str(work / 'datasets' / 'Set' / folder / f'{image}.png')) for folder in ('LRbicx2', 'GTmod2')
        )
        sr = of(opt['network_g'], work / 'experiments' / name / 'models' / 'net_g_latest.pth', 'params_ema', lq)
        teacher = of(network_t, work / 'experiments' / 'pretrained_models' / 'EDSR_Mx2_f64b8_DIV2K.pth', 'params', lq)
        found.append((psnr(sr, gt), psnr(sr, teacher)))
    return found


@pytest.mark.parametrize('file', ['protocol.yml', 'protocol_x4.yml'])
def test_every_cell_of_the_real_protocols_passes_the_checks_of_an_options_file(tmp_path, file):
    vgg = tmp_path / 'vgg.pth'
    chosen = read_protocol(FULL.parent / file, vgg)
    assert list(chosen.methods)[:3] == ['alone', 'kd', 'dukd']
    every = [
        cell
        for name in chosen.comparisons
        for cell in cells.cells_of(chosen, name, dict.fromkeys(chosen.methods, 1e-3))
    ]
    tried = [cell for method in rates.searched(chosen) for cell in cells.search_cells(chosen, method)]
    assert {cell.opt['train'].get('amp') for cell in tried} == {'bf16' if file == 'protocol_x4.yml' else None}
    every += tried
    cells.check(list({cell.name: cell for cell in every}.values()), tmp_path, files=False)
    for cell in every:  # a whole schedule each
        assert cell.opt['train']['scheduler']['periods'] == [cell.opt['train']['total_iter']] == [cell.iterations]
    for key in ('optim_g', 'ema_decay'):
        same = {json.dumps(cell.opt['train'][key]) for cell in every if cell.rate == 1e-3}
        assert len(same) == 1


def test_a_file_of_the_command_line_is_put_where_the_protocol_says(tmp_path):
    given = read_protocol(CI, tmp_path / 'vgg.pth').methods['csd'].overrides
    assert given['train']['feature_opt']['csd']['vgg'] == str(tmp_path / 'vgg.pth')


def test_cells_that_two_comparisons_ask_for_are_one(tmp_path):
    chosen = read_protocol(CI)
    given = {'alone': 1e-3, 'dukd': 2e-3, 'csd': 2e-3}
    short, equal = (cells.cells_of(chosen, name, given) for name in ('short', 'equal'))
    assert [cell.name for cell in equal] == ['alone_12_lr0.001_s1', 'dukd_6_lr0.002_s1']
    assert equal[1] in short
    assert equal[1].digest != equal[0].digest
    train = {'total_iter': 1000, 'scheduler': {'milestones': [600, 960]}, 'dukd_opt': {'schedule': {'start': 800}}}
    cells.stretch(train, 250)
    assert train == {
        'total_iter': 250,
        'scheduler': {'milestones': [150, 240]},
        'dukd_opt': {'schedule': {'start': 200}},
    }


def test_a_rate_is_chosen_by_held_out_photographs_alone_and_only_of_a_whole_search():
    chosen = read_protocol(CI)
    scores = {'dukd_6_lr0.001_s1': (30.0, 10.0), 'dukd_6_lr0.002_s1': (29.0, 99.0), 'alone_6_lr0.001_s1': (30.0, 30.0)}
    found = {name: {'scores': {'HeldOut': {'psnr': [held_out]}, 'Set': {'psnr': [test]}}}
             for name, (held_out, test) in scores.items()}  # fmt: skip
    assert rates.chosen(chosen, found) == {'dukd': 1e-3, 'csd': 1e-3}
    assert [cell.name for cell in rates.missing(chosen, found)['alone']] == ['alone_6_lr0.002_s1']
    assert 'csd' not in rates.missing(chosen, found)
    more = dataclasses.replace(chosen.methods['dukd'], rates=(0.004,))
    chosen = dataclasses.replace(chosen, methods=chosen.methods | {'dukd': more})
    assert rates.chosen(chosen, found) == {}
    assert [cell.rate for cell in rates.missing(chosen, found)['dukd']] == [0.004]


def test_held_out_photographs_are_not_trained_on(images):
    chosen = read_protocol(CI)
    training, held_out = data.split(chosen, images / 'train')
    assert [file.stem for file in training] == ['a', 'b']
    assert [file.stem for file in held_out] == ['h']
    with pytest.raises(UserError, match=r'train\.held_out: no file'):
        data.split(chosen, images / 'Set')


def test_a_protocol_with_a_mistake_is_refused(tmp_path):
    for old, new, sentence in [
        ('kind: parts', 'kind: part', 'part is not one of iterations, seconds.*Did you mean "parts"'),
        ('needs: vgg', 'need: vgg', 'unknown key. Did you mean "needs"'),
        ('iterations: 6, seed: 1', 'iterations: 7, seed: 1', '7 iterations: there are 6 validations'),
        ('tests: [Set]', '', 'tests: missing key'),
        ('per_image: 2', 'per_images: 2', 'Did you mean "per_image"'),
        ('student: wide', 'student: wade', 'Did you mean "wide"'),
        ('methods: [dukd, csd]', 'methods: [dukd, cds]', 'Did you mean "csd"'),
        ('rate_of: dukd', 'rate_of: dukt', 'Did you mean "dukd"'),
    ]:
        file = tmp_path / 'protocol.yml'
        file.write_text(CI.read_text().replace(old, new))
        with pytest.raises(UserError, match=sentence):
            read_protocol(file)


def test_merging_goes_into_mappings_and_replaces_everything_else():
    base = {'a': {'b': 1, 'c': [1, 2]}, 'd': {'e': 1}, 'f': 2}
    found = merged(base, {'a': {'c': [3], 'x': {'y': 1}}, 'd': None, 'f': {'g': 1}})
    assert found == {'a': {'b': 1, 'c': [3], 'x': {'y': 1}}, 'd': None, 'f': {'g': 1}}
    assert base == {'a': {'b': 1, 'c': [1, 2]}, 'd': {'e': 1}, 'f': 2}


def test_logs_of_a_resumed_run_are_read_as_one(tmp_path):
    (tmp_path / 'train_x_20260101_000000.log').write_text(
        '2026-01-01 00:00:00,1 INFO: Teacher on Set5 (iteration 0)\n\t # psnr: 37.8\n'
        '2026-01-01 00:00:05,1 INFO: [x][epoch:  0, iter:   1,000, lr:(5,)]\n'
        '2026 INFO: Validation Set5\n\t # psnr: 30.5\tBest: 30.5 @ 1000 iter\n\t # ssim: 0.9\n\n'
        '2026-01-01 00:01:00,1 INFO: [x][epoch:  0, iter:   2,000, lr:(5,)]\n'
        '2026 INFO: Validation Set5\n\t # psnr: 1.0\n'
    )
    (tmp_path / 'train_x_20260102_000000.log').write_text(
        '2026-01-02 00:00:00,1 INFO: Resuming training from epoch: 0, iter: 2000.\n'
        '2026-01-02 00:00:07,1 INFO: Validation Set5\n\t # psnr: 31.5\n'
    )
    assert logs.validations(tmp_path) == {1000: {'Set5': {'psnr': 30.5, 'ssim': 0.9}}, 2000: {'Set5': {'psnr': 31.5}}}
    assert logs.last_iteration(tmp_path) == 2000
    assert logs.last_iteration(tmp_path / 'none') == 0
    assert logs.wall_seconds(tmp_path) == 67


def test_the_interval_has_the_variance_that_enumerating_every_draw_has():
    differences = np.array([[0.0, 3.0], [1.0, -1.0], [6.0, 2.0]])
    seeds, count = differences.shape
    means = differences.mean(1)
    widened = differences + ((means - means.mean()) * (1.5**0.5 - 1))[:, None]
    draws = [statistics.fmean(widened[s, i] for s in chosen for i in shown)
             for chosen in itertools.product(range(seeds), repeat=seeds)
             for shown in itertools.product(range(count), repeat=count)]  # fmt: skip
    found = interval.over_images_and_seeds(differences, resamples=200_000)
    assert found.mean == pytest.approx(differences.mean())
    low, high = np.quantile(draws, [0.025, 0.975], method='inverted_cdf')
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-9)


def test_the_interval_knows_seeds_without_images_and_images_without_seeds():
    by_seed = np.repeat([[1.0], [2.0], [3.0]], 5, axis=1)  # every image alike: only seeds differ
    found = interval.over_images_and_seeds(by_seed, resamples=100_000)
    outcomes = [2 + statistics.fmean(draw) * 1.5**0.5 for draw in itertools.product((-1, 0, 1), repeat=3)]
    assert (found.low, found.high) == pytest.approx((min(outcomes), max(outcomes)))  # each has more than 2.5 %
    from dukd_basicsr.evaluation.benchmark.significance import paired_bootstrap

    images = [0.1, -0.2, 0.5, 0.9, 0.0, 0.3]
    single, known = interval.over_images_and_seeds([images], 100_000), paired_bootstrap(images, [0.0] * 6, 100_000)
    assert (single.mean, single.low, single.high) == pytest.approx((known.mean, known.low, known.high), abs=5e-3)
    both = interval.over_images_and_seeds([images, images], 100_000)  # equal seeds say nothing more
    assert (both.low, both.high) == pytest.approx((single.low, single.high), abs=5e-3)
    shift = interval.over_images_and_seeds(np.full((3, 4), 0.25))
    assert (shift.mean, shift.low, shift.high) == (0.25, 0.25, 0.25)
    for wrong in ([1.0, 2.0], np.zeros((0, 3))):
        with pytest.raises(ValueError, match='by seed and image'):
            interval.over_images_and_seeds(wrong)


def record(psnr, curve=None):
    scores = {'psnr': psnr, 'ssim': [0.9] * len(psnr), 'to_teacher': [40.0] * len(psnr)}
    return {
        'scores': {'Set': scores, 'HeldOut': scores},
        'curve': curve or {},
        'parameters': 10,
        'versions': {'torch': '1'},
    }


def test_gains_are_paired_by_seed_and_image_and_of_shared_seeds_only():
    chosen = read_protocol(CI)
    found = {'alone_6_lr0.001_s1': record([30.0, 20.0]), 'alone_6_lr0.002_s1': record([1.0, 1.0]),
             'dukd_6_lr0.001_s1': record([31.0, 22.0]), 'dukd_6_lr0.002_s1': record([1.0, 1.0]),
             'dukd_6_lr0.001_s2': record([99.0, 99.0])}  # fmt: skip
    references = {'images': {'Set': ['c', 'd']}, 'scores': {'teacher': {'Set': {'psnr': [1.0], 'ssim': [1.0]}}}}
    got = results.collect(chosen, found, references, {'seconds': {'dukd': 0.5}})
    row = got['comparisons']['short']['rows']['dukd']
    assert row['gain']['alone']['Set']['mean'] == 1.5
    assert row['gain']['alone']['Set']['seeds'] == 1
    assert row['seconds'] == 3.0
    assert row['scores']['Set']['psnr'] == {
        'mean': pytest.approx((26.5 + 99) / 2),
        'std': pytest.approx(72.5 / 2**0.5),
        'n': 2,
    }
    assert got['comparisons']['short']['missing'] == {'alone': '1 of its cells not run yet'}
    assert results.moments([7.0]) == {'mean': 7.0, 'std': None, 'n': 1}


def test_a_gain_is_bold_only_on_three_seeds_and_off_zero():
    gain = {'mean': 0.05, 'low': 0.01, 'high': 0.09, 'seeds': 3}
    assert tables.gain_text(gain) == '**+0.050** (+0.010 to +0.090)'
    assert tables.gain_text(gain | {'seeds': 2}) == '+0.050 (+0.010 to +0.090)'
    assert tables.gain_text(gain | {'low': -0.01}) == '+0.050 (-0.010 to +0.090)'
    assert tables.gain_text(None) == '-'
    assert tables.table(['a', 'b'], [['x', '1']]) == '| a | b |\n| --- | ---: |\n| x | 1 |'


def test_seconds_are_those_of_iterations_spread_over_the_whole_run():
    assert cost.spread_over(12, 4) == [2, 5, 8, 11]
    numbers = cost.spread_over(2100, 20)
    assert sum(number > 1575 for number in numbers) == 5  # a quarter for a schedule's last quarter
    assert 1 <= min(numbers) < max(numbers) <= 2100
    assert cost.spread_over(1, 1) == [1]


def test_equal_seconds_are_read_between_whole_runs_in_the_logarithm():
    def row(seconds, psnr):
        return {'seconds': seconds, 'by_seed': {seed: {'Set': value} for seed, value in psnr.items()}}

    # at seed 2 KD has one length only, and what cannot be compared must not shift the mean
    short = {'kd': row(10.0, {'1': 30.0, '2': 0.0}), 'dukd': row(20.0, {'1': 31.5, '2': 99.0})}
    long = {'kd': row(40.0, {'1': 32.0}), 'dukd': row(80.0, {'1': 33.0})}
    comparisons = {
        'a': {'kind': 'iterations', 'precision': None, 'rows': short},
        'b': {'kind': 'iterations', 'precision': None, 'rows': long},
        # a third of the seconds, of another precision: a line of its own, and none of KD's above is read for it
        'c': {'kind': 'precision', 'precision': 'bf16', 'rows': {'kd': row(3.0, {'1': 30.0})}},
        'd': {'kind': 'iterations', 'precision': 'bf16', 'rows': {'kd': row(12.0, {'1': 31.0})}},
        'e': {'kind': 'seconds', 'precision': 'bf16', 'rows': {'dukd': row(6.0, {'1': 31.0})}},
    }
    found = {'comparisons': {key: {'student': None} | each for key, each in comparisons.items()}}
    plain, quick = plots.by_seconds(found, 'dukd', 'kd', 'Set')
    assert list(plain) == [20.0]  # beyond KD's longest there is nothing to compare with
    assert plain[20.0]['mean'] == pytest.approx(0.5)  # halfway between 10 and 40
    assert quick[6.0]['mean'] == pytest.approx(0.5)


def test_marked_parts_of_a_page_are_renewed_and_nothing_else():
    text = 'a\n<!-- x -->\nold\nold\n<!-- /x -->\nb <!-- y -->'
    assert page.replaced(text, 'x', r'new \1') == 'a\n<!-- x -->\nnew \\1\n<!-- /x -->\nb <!-- y -->'
    assert page.replaced(text, 'z', 'new') == text


def test_records_of_other_data_are_refused(tmp_path):
    chosen = read_protocol(CI)
    cell = cells.make_cell(chosen, 'dukd', 6, 1e-3, 1)
    records.write(tmp_path, 'references', {'data': {'training': 'x'}})
    records.write(tmp_path, cell.name, records.of_cell(cell, {'scores': {}}, {'training': 'x'}))
    assert list(records.read(tmp_path, [cell])) == [cell.name]
    records.write(tmp_path, cell.name, records.of_cell(cell, {'scores': {}}, {'training': 'y'}))
    with pytest.raises(UserError, match=r'of other data than references\.json .training: y there, x here'):
        records.read(tmp_path, [cell])


def stub(monkeypatch, script):
    """Children that are a line of shell."""

    def start(cell, place, chosen, *arguments):
        with (place.work / 'logs' / f'{cell.name}.log').open('w') as log:
            return subprocess.Popen(['sh', '-c', script], stdout=log, stderr=log, start_new_session=True)

    monkeypatch.setattr(run, '_start', start)


@pytest.fixture
def two_cells(tmp_path):
    """Where, and what: a place with two cells that have not begun."""
    (tmp_path / 'logs').mkdir()
    chosen = read_protocol(CI)
    found = [cells.make_cell(chosen, 'alone', 6, 1e-3, seed) for seed in (1, 2)]
    return chosen, found, run.Place(tmp_path, tmp_path / 'cells')


def test_a_cell_that_fails_is_told_with_its_last_lines_and_the_others_run(monkeypatch, two_cells):
    chosen, found, place = two_cells
    stub(monkeypatch, 'echo one; echo the reason; exit 3')
    failed = run.run(lambda: found, place, 2, chosen)
    ends = [f'alone_6_lr0.001_s{seed} ended with exit code 3' for seed in (1, 2)]
    assert sorted(text.split(' (')[0] for text in failed) == ends
    assert failed[0].endswith('one\n    the reason')


def test_a_signal_reaches_the_children_and_the_run_can_go_on(monkeypatch, two_cells):
    chosen, found, place = two_cells
    stub(monkeypatch, 'trap "echo saved; exit 75" TERM; echo up; while :; do sleep 0.05; done')
    files = [place.work / 'logs' / f'{cell.name}.log' for cell in found]

    def stop():
        while not all(log.is_file() and log.read_text() for log in files):
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=stop, daemon=True).start()
    with pytest.raises(RunStopped, match='the same command goes on'):
        run.run(lambda: found, place, 2, chosen)
    assert {log.read_text() for log in files} == {'up\nsaved\n'}
    assert RunStopped.exit_code == 75


def test_a_folder_without_the_authors_code_is_refused(tmp_path):
    with pytest.raises(UserError, match='no models/dukd_model'):
        peer.register(tmp_path)


def test_a_cell_is_trained_once_its_last_weights_are_there_and_validated(tmp_path):
    cell = cells.make_cell(read_protocol(CI), 'alone', 6, 1e-3, 1)
    assert not cell.trained(tmp_path)
    cell.weights(tmp_path).parent.mkdir(parents=True)
    cell.weights(tmp_path).touch()
    assert not dataclasses.replace(cell).trained(tmp_path)
    log = cell.folder(tmp_path) / 'train_x_20260101_000000.log'
    log.write_text('2026 INFO: [x][epoch: 0, iter: 6, lr:(5,)]\n2026 INFO: Validation Set\n\t # psnr: 1.0\n')
    assert cell.trained(tmp_path)
