"""`basicsr upcycle`: what it writes, twice, in pieces and after kills; what it and a training refuse."""

import json
import os
import re
import shutil
import signal
import socket
import threading
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
import yaml
from tqdm import tqdm

from dukd_basicsr import options
from dukd_basicsr.data.cache import manifest as stamps
from dukd_basicsr.data.cache.fit import find_misfit
from dukd_basicsr.data.cache.record import HIGH, LOW, Layout, pack, unpack
from dukd_basicsr.data.cache.shards import find_shards, read_keys
from dukd_basicsr.data.checks.files import check_files
from dukd_basicsr.distillation.labelling import run as command
from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.options.rules.teacher import make_labelling_options
from tests import warm
from tests.toys import L1, TEACHER, IdentityUp, save_weights
from tests.upcycled import SCALE, cached, make_pairs, records, run_options


@pytest.fixture
def toy(tmp_path):
    make_pairs(tmp_path)
    return tmp_path


def test_labels_are_the_teachers_within_half_a_level(toy, monkeypatch):
    """Every part of every record against a teacher that is asked again, one image at a time."""
    from dukd_basicsr.data.cache.record import unpack_input
    from dukd_basicsr.distillation.teacher import build_teacher
    from tests.upcycled import images

    cache = cached(toy, monkeypatch, per_image=3, size=7)
    teacher, layout = build_teacher(run_options(toy, cache)), Layout(SCALE, 7, 3, ('lq', 'zoom_in', 'zoom_out'))
    found = records(cache)
    assert len(found) == 5
    for key, record in found.items():
        lq, gt = images(toy, key)
        fields = layout.read(record, *lq.shape[-2:])
        small = torch.from_numpy(unpack_input(fields['zoom_out']))
        pairs = [(lq, fields['lq_label']), (small, fields['zoom_out_label'])]
        places = fields['zoom_in_at'].tolist()
        assert len({tuple(place) for place in places}) > 1
        pairs += [
            (gt[:, top : top + 7, left : left + 7], words)
            for (top, left), words in zip(places, fields['zoom_in_label'], strict=True)
        ]
        for u, words in pairs:
            answer = teacher(u[None])[0].clamp(LOW, HIGH)
            torch.testing.assert_close(
                torch.from_numpy(unpack(words)), answer, rtol=0, atol=(HIGH - LOW) / 1023 / 2 + 1e-5
            )


def test_values_beyond_the_range_become_the_nearest():
    values = torch.tensor([-9, LOW, -0.1, 0, 0.5, 1, 1.1, HIGH, 9.0])
    stored = unpack(pack(values.expand(3, 1, 9)))
    assert stored.shape == (3, 1, 9)
    expected = values.clamp(LOW, HIGH)
    assert (torch.from_numpy(stored) - expected).abs().max() <= (HIGH - LOW) / 1023 / 2 + 1e-6
    assert stored[0, 0, 0] == pytest.approx(LOW)
    assert stored[2, 0, -1] == pytest.approx(HIGH)


def test_only_what_the_losses_need_is_written(toy, monkeypatch):
    opt = run_options(toy, toy / 'c.lmdb', dukd_opt={**L1, 'zoom_in': None}, kd_opt=None)
    command.run(opt, command.Request(toy / 'c.lmdb'))
    layout = Layout(SCALE, 6, 4, ('zoom_out',))
    assert stamps.read(toy / 'c.lmdb')['parts'] == ['zoom_out']
    assert {len(record) for record in records(toy / 'c.lmdb').values()} == {
        layout.nbytes(18, 15), layout.nbytes(18, 18)
    }  # fmt: skip


def test_the_size_said_before_is_the_size_on_disk(toy, monkeypatch, capsys):
    make = toy / 'many'
    make.mkdir()
    make_pairs(make, count=120)
    cache = cached(make, monkeypatch, teacher=IdentityUp(SCALE), per_image=20)
    said = float(re.search(r'; ([\d.]+) MB to write', capsys.readouterr().out)[1]) * 1e6
    assert said / sum(path.stat().st_size for path in cache.rglob('data.mdb')) == pytest.approx(1, rel=0.1)


def test_too_little_space_is_said_before_anything_is_labelled(toy, monkeypatch):
    monkeypatch.setattr(command.shutil, 'disk_usage', lambda path: shutil._ntuple_diskusage(10, 10, 1000))
    monkeypatch.setattr(command, '_label', lambda *_: pytest.fail('it began'))
    with pytest.raises(UserError, match=r'needs \S+ MB more and its disk has 0\.0 MB of free space: free some'):
        cached(toy, monkeypatch)
    assert not (toy / 'cache.lmdb').exists()


def test_a_full_disk_on_the_way_is_a_failed_run(toy, monkeypatch):
    def full(self, records):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(command.Shard, 'put', full)
    with pytest.raises(RunError, match='No space left on device') as caught:
        cached(toy, monkeypatch)
    assert caught.value.exit_code == 1
    assert 'goes on where it stopped' in str(caught.value)


def killed(folder, call, after):
    """Upcycle in this process until the `call`th transaction, and end it inside (or right after) that by SIGKILL."""
    tqdm.set_lock(threading.RLock())  # the parent's would stay locked for ever if this process dies with it
    stock, calls = command.Shard.put, []

    def put(self, records):
        calls.append(1)
        if len(calls) == call and after:
            stock(self, records)
        elif len(calls) == call:
            transaction = self._env.begin(write=True)
            transaction.put(records[0][0].encode(), records[0][1])
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        stock(self, records)

    command.Shard.put = put
    command.run(run_options(folder, folder / 'cache.lmdb'), command.Request(folder / 'cache.lmdb', batch=1))


def test_killed_anywhere_and_resumed_it_is_byte_for_byte_the_same(toy, monkeypatch):
    whole = records(cached(toy, monkeypatch, target=toy / 'whole.lmdb', batch=1))
    cache = toy / 'cache.lmdb'
    left = []
    for call, after in ((1, False), (1, True), (2, False), (2, True)):
        process = get_context('fork').Process(target=killed, args=(toy, call, after))
        process.start()
        process.join(60)
        assert process.exitcode == -signal.SIGKILL
        assert stamps.read(cache)['complete'] is False
        left.append(len(read_keys(cache)))
        assert find_misfit(run_options(toy, cache), toy).startswith(
            f'{cache} is not complete; run the basicsr upcycle that made it again'
        )
    assert left == [0, 1, 2, 4]
    cached(toy, monkeypatch, batch=1)
    assert stamps.read(cache)['complete'] is True
    assert records(cache) == whole


def one_rank(rank, folder, port):
    """One of two processes of torchrun."""
    os.environ |= {'RANK': str(rank), 'WORLD_SIZE': '2', 'MASTER_ADDR': '127.0.0.1', 'MASTER_PORT': str(port)}
    command.run(run_options(folder, folder / 'two.lmdb'), command.Request(folder / 'two.lmdb', batch=1))
    torch.distributed.destroy_process_group()


def test_two_processes_write_what_one_writes(toy, monkeypatch):
    whole = records(cached(toy, monkeypatch, batch=1))
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    mp.start_processes(one_rank, args=(toy, port), nprocs=2, start_method='fork')
    assert [len((path / 'keys.txt').read_text().split()) for path in find_shards(toy / 'two.lmdb')] == [3, 2]
    assert records(toy / 'two.lmdb') == whole
    both = [stamps.read(toy / name) for name in ('cache.lmdb', 'two.lmdb')]
    assert both[0] == both[1]


def test_the_same_command_again_changes_nothing(toy, monkeypatch):
    cache = cached(toy, monkeypatch)
    before = {path: path.stat().st_mtime_ns for path in cache.rglob('data.mdb')}
    cached(toy, monkeypatch)
    assert {path: path.stat().st_mtime_ns for path in cache.rglob('data.mdb')} == before


@pytest.mark.parametrize(
    ('request_', 'sentence'),
    [
        ({'per_image': 2}, 'exists and was made with per_image 4 instead of 2: delete it, or choose another -o'),
        ({'size': 8}, 'exists and was made with size 6 instead of 8'),
        ({'precision': 'bf16'}, 'exists and was made with precision fp32 instead of bf16'),
        ({'size': 5}, r'--size 5 is smaller than the LR patch of 6 \(gt_size / scale\)'),
        ({'size': 31}, '--size 31 is larger than the HR sub-image im0_s001 with a side of 30'),
        ({'per_image': 0}, '--per_image 0 makes nothing'),
        ({'batch': 0}, '--batch_size 0 makes nothing'),
    ],
)
def test_requests_that_are_refused(toy, monkeypatch, request_, sentence):
    cached(toy, monkeypatch)
    with pytest.raises(UserError, match=sentence):
        cached(toy, monkeypatch, **request_)


def test_another_teacher_or_another_folder_is_not_written_into(toy, monkeypatch):
    cached(toy, monkeypatch)
    save_weights(toy / 'teacher.pth', TEACHER)
    with pytest.raises(UserError, match='was made with another teacher: delete it'):
        cached(toy, monkeypatch)
    with pytest.raises(UserError, match='exists and is no upcycled cache'):
        cached(toy, monkeypatch, target=toy / 'lr.lmdb')


def test_several_teachers_need_one_label(toy, monkeypatch):
    opt = run_options(toy, toy / 'c.lmdb', teacher_opt={'combine': 'random'})
    opt['network_t'], opt['path']['pretrain_network_t'] = [TEACHER] * 2, [str(toy / 'teacher.pth')] * 2
    with pytest.raises(UserError, match='one label for each input, so random is not possible; write combine: average'):
        command.run(opt, command.Request(toy / 'c.lmdb'))
    assert not (toy / 'c.lmdb').exists()
    opt['train']['teacher_opt']['combine'] = 'average'
    assert len(stamps.read(command.run(opt, command.Request(toy / 'c.lmdb')))['teacher']['weights']) == 2


REFUSED = [  # stamp, options of the run, file to change; the sentence
    ({}, {'datasets.train.dataroot_upcycled': 'no.lmdb'}, 'no.lmdb is not there or has no stamp.json; make one with: '
     'basicsr upcycle -opt FILE -o no.lmdb.'),
    ({'complete': False}, {}, 'C is not complete; run the basicsr upcycle that made it again, it goes on where it '
     'stopped.'),
    ({'version': 0}, {}, 'C has format 0 and this program reads 1; O.'),
    ({'scale': 4}, {}, 'C is of scale 4, but scale: 2; O.'),
    ({'data': 'x'}, {}, 'C was made from other data than dataroot_gt and dataroot_lq; O.'),
    ({}, {'network_t': {**TEACHER, 'num_feat': 6}}, 'C has labels of another network_t; O.'),
    ({}, {'path.pretrain_network_t': 'other.pth'}, 'C has labels of other weights than path.pretrain_network_t has; '
     'O.'),
    ({}, {'path.param_key_t': 'params_ema'}, 'C has labels of other weights; O.'),
    ({'parts': ['lq']}, {}, 'C has no labels of zoom_in and zoom_out, which the losses of train need; O.'),
    ({}, {'datasets.train.gt_size': 16}, 'C has crops of 6x6, but the LR patch is 8x8 (gt_size / scale); write '
     'gt_size: 12 or less, or O.'),
    ({}, {'train.dukd_opt': {**L1, 'zoom_in': {'num': 5}}}, 'C has 4 crops of each sub-image, but '
     'train.dukd_opt.zoom_in.num: 5; write 4 or less, or O.'),
]  # fmt: skip


@pytest.mark.parametrize(('stamp', 'changes', 'sentence'), REFUSED, ids=range(len(REFUSED)))
def test_a_cache_of_another_run_is_refused_in_one_sentence(toy, monkeypatch, stamp, changes, sentence):
    cache = cached(toy, monkeypatch)
    opt = run_options(toy, cache)
    check_files(opt, toy, is_train=True)
    stamps.write(cache, stamps.read(cache) | stamp)
    save_weights(toy / 'other.pth', TEACHER)
    for path, value in changes.items():
        *parents, last = path.split('.')
        node = opt
        for parent in parents:
            node = node[parent]
        node[last] = value
    with pytest.raises(options.OptionsError) as caught:
        check_files(opt, toy, is_train=True)
    other = 'make another with: basicsr upcycle -opt FILE -o OTHER.lmdb'
    sentence = sentence.replace('O.', f'{other}.') if sentence.endswith('O.') else sentence
    sentence = sentence.replace('C ', f'{cache} ', 1) if sentence.startswith('C ') else sentence
    assert caught.value.messages == (f'datasets.train.dataroot_upcycled: {sentence}',)


def test_ablations_and_other_students_train_from_the_same_cache(toy, monkeypatch):
    """Fewer losses, another student, another seed, a smaller patch, no teacher any more: nothing is refused."""
    cache = cached(toy, monkeypatch)
    (toy / 'teacher.pth').rename(toy / 'gone.pth')
    opt = run_options(toy, cache, dukd_opt={**L1, 'zoom_out': None})
    opt['path']['pretrain_network_t'] = 'gone/teacher.pth'
    opt['network_g'] = {**TEACHER, 'num_feat': 5}
    opt['manual_seed'] = 4
    opt['datasets']['train']['gt_size'] = 8
    assert options.check(opt, Path('x.yml'), is_train=True) == []
    check_files(opt, toy, is_train=True)
    del opt['network_t'], opt['path']['pretrain_network_t']
    assert options.check(opt, Path('x.yml'), is_train=True) == []
    check_files(opt, toy, is_train=True)


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        ({'dataroot_upcycled': None}, 'x.yml: datasets.train.dataroot_upcycled: ~ is not text.'),
        ({'io_backend': {'type': 'disk'}}, 'x.yml: datasets.train.io_backend.type: "disk" is unknown. Allowed: lmdb.'),
        ({'color': 'y'}, 'x.yml: datasets.train.color: "y" is not possible; the labels are in RGB; leave it out.'),
        ({'dataroot_upcycle': 'x'}, 'x.yml: datasets.train.dataroot_upcycle: unknown key. '
         'Did you mean "dataroot_upcycled"?'),
    ],
)  # fmt: skip
def test_the_schema_of_the_dataset(toy, changes, sentence):
    opt = run_options(toy, toy / 'c.lmdb')
    opt['datasets']['train'] |= changes
    with pytest.raises(options.OptionsError) as caught:
        options.check(opt, Path('x.yml'), is_train=True)
    assert sentence in caught.value.messages


def test_an_upcycled_set_is_for_training(toy):
    opt = run_options(toy, toy / 'c.lmdb')
    opt['datasets']['val'] = opt['datasets']['train'] | {'name': 'v'}
    with pytest.raises(options.OptionsError, match=r'val\.type: UpcycledImageDataset is for training; write Paired'):
        options.check(opt, Path('x.yml'), is_train=True)


@pytest.mark.parametrize(
    ('change', 'sentence'),
    [
        (lambda opt: opt.pop('network_t'), 'network_t: upcycle needs the teacher'),
        (lambda opt: opt['train'].update(kd_opt=None, dukd_opt=None), 'train: no loss asks a teacher'),
        (lambda opt: opt['datasets']['train'].update(mean=[0, 0, 0]), r'train\.mean: the labels are in RGB and not'),
        (lambda opt: opt['datasets']['train']['io_backend'].update(type='disk'), 'upcycle reads LMDBs'),
    ],
)
def test_options_that_upcycle_cannot_use(toy, change, sentence):
    opt = run_options(toy, toy / 'c.lmdb')
    change(opt)
    with pytest.raises(options.OptionsError, match=sentence):
        make_labelling_options(opt)


def test_upcycle_and_train_as_typed(toy):
    opt = run_options(toy, toy / 'c.lmdb')
    (toy / 'toy.yml').write_text(yaml.safe_dump(json.loads(json.dumps(opt))))
    refused = warm.command('train', '-opt', 'toy.yml', cwd=toy)
    assert (refused.returncode, (toy / 'experiments').exists()) == (2, False)
    assert 'is not there or has no stamp.json; make one with: basicsr upcycle -opt FILE -o' in refused.stderr
    done = warm.command('upcycle', '-opt', 'toy.yml', '--per_image', '2', cwd=toy)
    assert done.returncode == 0, done.stderr
    assert 'complete. For the options file:' in done.stdout
    (toy / 'teacher.pth').unlink()
    done = warm.command('train', '-opt', 'toy.yml', cwd=toy)
    assert done.returncode == 0, done.stderr
    assert 'l_zoom_out_kd' in done.stdout + done.stderr
    assert 'Teacher' not in done.stdout + done.stderr
    assert (toy / 'experiments/toy/models/net_g_latest.pth').is_file()
