import csv
import json
import re

import pytest
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

from dukd_basicsr import cli
from dukd_basicsr.errors import UserError, format_count
from dukd_basicsr.evaluation.benchmark.tabulate import tabulate_networks
from tests.evaluation.benchmark.option_files import write_options
from tests.toys import STUDENT, TEACHER, save_weights

GREY = {'type': 'MSRResNet', 'num_in_ch': 1, 'num_out_ch': 1, 'num_feat': 4, 'num_block': 1}


def images(out, row, metric='psnr'):
    """A row's column of benchmark_images.csv."""
    with (out / 'benchmark_images.csv').open() as file:
        return [float(record[metric]) for record in csv.DictReader(file) if record['network'] == row]


def test_rows_with_a_plus_are_self_ensembles(tmp_path, capsys):
    content = tabulate_networks(
        [write_options(tmp_path, 'ours', teacher=TEACHER)], tmp_path / 'out', self_ensemble=True
    )
    rows = {row['name']: row for row in content['rows']}
    assert list(rows) == ['bicubic', 'ours', 'ours+', 'teacher (teacher)', 'teacher (teacher)+']
    assert [row['self_ensemble'] for row in content['rows']] == [False, False, True, False, True]
    assert rows['ours+']['scores'] != rows['ours']['scores']
    assert rows['ours+']['params'] == rows['ours']['params']
    assert rows['ours+']['macs'] == 8 * rows['ours']['macs']
    assert content['protocol']['self_ensemble'] is True
    assert 'x8 geometric self-ensemble in the rows with a +, none in the others' in capsys.readouterr().out


def test_a_plain_table_says_so_and_has_all_its_columns(tmp_path):
    out = tmp_path / 'out'
    content = tabulate_networks([write_options(tmp_path, 'ours')], out)
    assert 'no self-ensemble. MACs and memory for 1280x720 output' in content['protocol']['text']
    assert [row['memory'] is None for row in content['rows']] == [True, False]
    assert ' memory |' in (out / 'benchmark.md').read_text()
    with (out / 'benchmark.csv').open() as file:
        assert next(csv.reader(file)) == ['name', 'kind', 'weights', 'params', 'macs', 'ms_per_image', 'self_ensemble',
                                          'memory', 'trained_params', 'trained_macs', 'odd_psnr',
                                          'odd_ssim']  # fmt: skip
    with (out / 'benchmark_images.csv').open() as file:
        assert next(csv.reader(file)) == ['set', 'image', 'network', 'ms', 'tiled', 'psnr', 'ssim']


def test_two_rows_are_compared_image_by_image(tmp_path, capsys):
    files, out = [write_options(tmp_path, name) for name in ('ours', 'other')], tmp_path / 'out'
    command = ['benchmark', '-opt', *map(str, files), '--compare', 'ours', 'other', '-o', str(out)]
    assert cli.main(command) == 0
    found = json.loads((out / 'benchmark.json').read_text())['comparison']
    assert found['rows'] == ['ours', 'other']
    differences = [a - b for a, b in zip(images(out, 'ours'), images(out, 'other'), strict=True)]
    psnr, ssim = found['results']
    assert (psnr['set'], psnr['metric'], psnr['images'], ssim['metric']) == ('odd', 'psnr', 2, 'ssim')
    assert psnr['mean'] == pytest.approx(sum(differences) / 2, abs=1e-9)
    assert (psnr['low'], psnr['high']) == pytest.approx((min(differences), max(differences)))  # 1/4 of the resamples
    text = (out / 'benchmark.md').read_text()
    assert '| ours - other |' in text
    assert text in capsys.readouterr().out


@pytest.mark.parametrize(
    ('rows', 'sentence'),
    [
        (('ours', 'othr'), '--compare: no row is named othr. Did you mean "other"?'),
        (('ours+', 'other'), '--compare: ours+ is a self-ensemble and other is none; compare ours with other.'),
    ],
)
def test_rows_that_do_not_compare_are_refused_before_anything_is_measured(tmp_path, rows, sentence):
    files = [write_options(tmp_path, name) for name in ('ours', 'other')]
    with pytest.raises(UserError, match=re.escape(sentence)):
        tabulate_networks(files, tmp_path / 'out', self_ensemble=True, compare=rows)
    assert not (tmp_path / 'out').exists()


def test_what_a_self_ensemble_brings_can_be_tested(tmp_path):
    content = tabulate_networks([write_options(tmp_path, 'ours')], None, self_ensemble=True, compare=('ours+', 'ours'))
    assert content['comparison']['results'][0]['mean'] != 0


def test_a_tile_has_a_side(tmp_path, capsys):
    assert cli.main(['benchmark', '-opt', str(write_options(tmp_path, 'ours')), '--tile', '0']) == 2
    assert '--tile 0: tiles have a side of at least 1 LR pixel' in capsys.readouterr().err


def test_checkpoints_are_rows(tmp_path, capsys):
    file = write_options(tmp_path, 'ours')
    save_weights(tmp_path / 'teacher.pth', TEACHER)
    content = tabulate_networks([file], None, weights=[tmp_path / 'teacher.pth', tmp_path / 'ours.pth'])
    assert [row['name'] for row in content['rows']] == ['bicubic', 'ours', 'teacher', str(tmp_path / 'ours.pth')]
    ours, teacher, again = content['rows'][1:]
    assert again['scores'] == ours['scores']
    assert (again['params'], again['macs'], again['memory']) == (ours['params'], ours['macs'], ours['memory'])
    assert (teacher['kind'], teacher['weights']) == ('student', str(tmp_path / 'teacher.pth'))
    alone = tabulate_networks([write_options(tmp_path, 'alone', teacher=TEACHER)], None)
    save_weights(tmp_path / 'teacher.pth', TEACHER)
    assert teacher['params'] == alone['rows'][2]['params'] > ours['params']


def test_checkpoints_of_a_run_are_called_by_their_paths(tmp_path):
    file, models = write_options(tmp_path, 'ours'), tmp_path / 'experiments' / 'ours' / 'models'
    models.mkdir(parents=True)
    (models.parent / 'ours.yml').write_text(file.read_text())
    paths = [models / 'net_g_10.pth', models / 'net_g_20.pth']
    for path in paths:
        save_weights(path, STUDENT)
    assert [row['name'] for row in tabulate_networks([file], None, weights=paths)['rows'][2:]] == list(map(str, paths))
    with pytest.raises(UserError, match=re.escape(f'two networks are named {paths[0]}; ')):
        tabulate_networks([file], None, weights=[paths[0], paths[0]])


def test_a_file_without_weights_gives_the_protocol(tmp_path, capsys):
    file = write_options(tmp_path, 'ours', teacher=TEACHER)
    (tmp_path / 'ours.pth').unlink()
    content = tabulate_networks([file], None, weights=[tmp_path / 'teacher.pth'])
    assert [row['name'] for row in content['rows']] == ['bicubic', 'teacher']
    assert f'{file} has no weights yet: it gives test sets and metrics only.' in capsys.readouterr().err
    with pytest.raises(UserError, match=r'ours\.pth: there is no such checkpoint file'):
        tabulate_networks([file], None)


def test_an_exported_file_is_a_row_of_the_same_numbers(tmp_path):
    file, exported = write_options(tmp_path, 'ours'), tmp_path / 'ours.onnx'
    assert cli.main(['export', str(tmp_path / 'ours.pth'), '-o', str(exported)]) == 0
    ours, row = tabulate_networks([file], None, weights=[exported], self_ensemble=True)['rows'][1::2]
    assert (row['name'], row['memory']) == (str(exported), None)
    assert (row['params'], row['macs']) == (ours['params'], ours['macs'])  # of what it was made from
    assert row['scores']['odd'] == pytest.approx(ours['scores']['odd'], abs=1e-3)


class OwnNetwork(nn.Module):
    """Of no known layout."""

    def __init__(self, width):
        super().__init__()
        self.wide = nn.Conv2d(3, width, 3, padding=1)
        self.narrow = nn.Conv2d(width, 12, 3, padding=1)

    def forward(self, x):
        return nn.functional.pixel_shuffle(self.narrow(self.wide(x)), 2)


def test_what_a_checkpoint_does_not_say_is_as_in_the_options_file_that_it_fits(tmp_path):
    file = write_options(tmp_path, 'ours', network_g={**STUDENT, 'img_range': 1.0})
    save_weights(tmp_path / 'other.pth', TEACHER)
    content = tabulate_networks([file], None, weights=[tmp_path / 'ours.pth', tmp_path / 'other.pth'])
    ours, again, _ = content['rows'][1:]
    assert again['scores'] == ours['scores']
    text = content['protocol']['text']
    assert f'{tmp_path / "ours.pth"}: what it does not say of its network is as in {file}.' in text
    assert f'{tmp_path / "other.pth"}: img_range and rgb_mean are not in the file: the usual 255' in text


def test_a_network_of_ones_own_class_is_that_of_the_options_file(tmp_path, monkeypatch):
    monkeypatch.setitem(ARCH_REGISTRY._obj_map, 'OwnNetwork', OwnNetwork)
    own = {'type': 'OwnNetwork', 'width': 5}
    file = write_options(tmp_path, 'ours', network_g=own, path={'pretrain_network_g': str(tmp_path / 'first.pth')})
    for name in ('first', 'second'):
        save_weights(tmp_path / f'{name}.pth', own)
    rows = tabulate_networks([file], None, weights=[tmp_path / 'second.pth'])['rows']
    assert [row['name'] for row in rows] == ['bicubic', 'ours', 'second']
    assert rows[1]['params'] == rows[2]['params']
    assert rows[1]['scores'] != rows[2]['scores']


@pytest.mark.parametrize(
    ('network', 'sentence'),
    [
        ({**STUDENT, 'upscale': 4}, 'a network for x4 and 3 channels, but this table is of x2 and 3; leave it out'),
        ({**GREY, 'upscale': 2}, 'a network for x2 and 1 channels, but this table is of x2'),
    ],
)
def test_a_checkpoint_of_another_task_is_refused(tmp_path, network, sentence):
    save_weights(tmp_path / 'other.pth', network)
    with pytest.raises(UserError, match=re.escape(f'{tmp_path / "other.pth"}: {sentence}')):
        tabulate_networks([write_options(tmp_path, 'ours')], tmp_path / 'out', weights=[tmp_path / 'other.pth'])
    assert not (tmp_path / 'out').exists()


def test_all_files_that_are_no_networks_are_said_at_once(tmp_path):
    (tmp_path / 'text.pth').write_text('no weights')
    with pytest.raises(UserError, match=r'text\.pth(.|\n)*gone\.onnx: there is no such file'):
        tabulate_networks(
            [write_options(tmp_path, 'ours')], None, weights=[tmp_path / 'text.pth', tmp_path / 'gone.onnx']
        )


def test_blocks_are_folded_and_both_sizes_are_told(tmp_path, capsys):
    network = {'type': 'ECBSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 1, 'num_channel': 4, 'with_idt': True,
               'act_type': 'prelu', 'scale': 2}  # fmt: skip
    net = save_weights(tmp_path / 'ecbsr.pth', network)
    path = {'pretrain_network_g': str(tmp_path / 'ecbsr.pth')}
    file = write_options(tmp_path, 'edge', network_g=network, path=path)
    content = tabulate_networks([file], None, self_ensemble=True)
    row, ensemble = content['rows'][1:]
    pixels = 640 * 360
    # Kernels of 3x3 and biases; slopes of two PReLUs.
    kernels = 9 * (3 * 4 + 4 * 4 + 4 * 12)
    assert (row['params'], row['macs']) == (kernels + 4 + 4 + 12 + 8, pixels * kernels)
    assert row['trained_params'] == sum(parameter.numel() for parameter in net.parameters())
    # Each branch computes its 1x1 convolution and then a 3x3 one: on all channels, or with a filter for each.
    branches = sum(a * b * 2 + 9 * 2 * b * b + 3 * (a * b + 9 * b) for a, b in ((3, 4), (4, 4), (4, 12)))
    assert row['trained_macs'] == pixels * (kernels + branches)
    assert [ensemble[key] / row[key] for key in ('params', 'macs', 'trained_params', 'trained_macs')] == [1, 8, 1, 8]
    printed = capsys.readouterr().out
    sizes = [f'{format_count(row[key])} ({format_count(row[f"trained_{key}"])})' for key in ('params', 'macs')]
    assert f'| {sizes[0]} | {sizes[1]} |' in re.sub(r' +', ' ', printed)
    assert 'Blocks folded, as they are deployed; in brackets as they were trained: edge, edge+.' in printed
