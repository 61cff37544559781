"""Generations: whatever happens to their files, what is taken is complete, and what was saved before stays."""

import errno
import os
import pickle
import random
import resource
import signal
from pathlib import Path

import pytest
import torch

from dukd_basicsr.compat.train import load_resume_state
from dukd_basicsr.errors import RunError, UserError
from dukd_basicsr.training import checkpoints as generations
from tests.toys import trained_model

REAL = {'open': Path.open, 'fsync': os.fsync, 'replace': os.replace}


@pytest.fixture
def folders(tmp_path):
    """`training_states` and `models` of a run with generations 4 and 8."""
    folders = tmp_path / 'run' / 'training_states', tmp_path / 'run' / 'models'
    for folder in folders:
        folder.mkdir(parents=True)
    for iteration in (4, 8):
        write(*folders, iteration)
    return folders


def network(iteration):
    torch.manual_seed(iteration)
    return {key: {'weight': torch.randn(2, 3)} for key in ('params', 'params_ema')}


def training_state(iteration):
    parameter = torch.nn.Parameter(torch.full((3,), float(iteration)))
    optimizer = torch.optim.Adam([parameter])
    parameter.square().sum().backward()
    optimizer.step()
    return {'epoch': 0, 'iter': iteration, 'optimizers': [optimizer.state_dict()], 'schedulers': [], 'samples': 7}


def write(states, models, iteration):
    """A generation as `save_network` and `save_training_state` write it."""
    name = f'net_g_{iteration}.pth'
    digest = generations.save(network(iteration), models / name)
    files = {generations.FILES: {name: digest}}
    generations.save(training_state(iteration) | files, states / f'{iteration}.state')


def everything(folder):
    return {path: path.read_bytes() for path in folder.rglob('*') if path.is_file()}


def taken(folders):
    """The iteration that is gone on from, and what was passed over."""
    found, passed = generations.find_newest(*folders)
    return found and found.state['iter'], passed


def read(path, models):
    """The state, or why there is none."""
    try:
        return generations.read(path, models).state, ''
    except generations.IncompleteError as error:
        return None, str(error)


def same(a, b):
    return pickle.dumps(flat(a)) == pickle.dumps(flat(b))


def flat(value):
    if isinstance(value, torch.Tensor):
        return str(value.dtype), value.tolist()
    if isinstance(value, dict):
        return [(key, flat(each)) for key, each in value.items()]
    return [flat(each) for each in value] if isinstance(value, (list, tuple)) else repr(value)


def test_the_newest_generation_is_taken(folders):
    assert taken(folders) == (8, [])
    assert generations.find_newest(*folders)[0].state.keys() == {*training_state(8), generations.FILES}


@pytest.mark.parametrize('file', ['8.state', 'net_g_8.pth'])
def test_a_truncated_file_of_any_length_is_passed_over(folders, file):
    path = folders[file == 'net_g_8.pth'] / file
    whole = path.read_bytes()
    for length in [*range(0, len(whole), 29), *range(len(whole) - 30, len(whole))]:
        path.write_bytes(whole[:length])
        iteration, (reason,) = taken(folders)
        assert iteration == 4
        assert reason.startswith('8.state (')
        assert '\n' not in reason
    path.write_bytes(whole)
    assert taken(folders) == (8, [])


def test_an_empty_and_a_missing_file_are_named(folders):
    states, models = folders
    (models / 'net_g_8.pth').unlink()
    assert taken(folders) == (4, ['8.state (net_g_8.pth is not there)'])
    (states / '8.state').write_bytes(b'')
    assert taken(folders) == (4, ['8.state (empty)'])


def test_a_flipped_bit_is_found_or_changes_nothing(folders):
    path = folders[0] / '8.state'
    whole, expected = path.read_bytes(), generations.read(path, folders[1]).state
    found = 0
    for position in range(0, len(whole), 7):
        for bit in (0, 3, 7):
            damaged = bytearray(whole)
            damaged[position] ^= 1 << bit
            path.write_bytes(damaged)
            state, reason = read(path, folders[1])
            assert state is None or same(state, expected), (position, bit)
            assert '\n' not in reason
            found += state is None
    assert found > len(whole) // 7


def test_a_flipped_bit_of_a_network_is_found(folders):
    path = folders[1] / 'net_g_8.pth'
    whole = path.read_bytes()
    for position in range(0, len(whole), 101):
        damaged = bytearray(whole)
        damaged[position] ^= 1
        path.write_bytes(damaged)
        assert taken(folders) == (4, ['8.state (net_g_8.pth is damaged or of another run)'])


def test_random_bytes_are_no_generation(folders):
    generator = random.Random(0)
    for length in (1, 10, 1000):
        (folders[0] / '9.state').write_bytes(generator.randbytes(length))
        assert taken(folders)[0] == 8
    (folders[0] / '9.state').write_bytes(b'PK\x05\x06' + bytes(18))  # an empty archive
    assert taken(folders)[0] == 8


def test_swapped_files_are_passed_over(folders, tmp_path):
    states, models = folders
    right = everything(tmp_path)
    (states / '8.state').write_bytes((states / '4.state').read_bytes())
    assert taken(folders) == (4, ['8.state (it is the state of iteration 4)'])
    (states / '8.state').write_bytes(right[states / '8.state'])
    (models / 'net_g_8.pth').write_bytes((models / 'net_g_4.pth').read_bytes())
    assert taken(folders) == (4, ['8.state (net_g_8.pth is damaged or of another run)'])


@pytest.mark.parametrize(
    'content', [{'files': 3}, {'files': ['net_g_8.pth']}, {'files': {3: 4}}, {'files': {}, 'iter': 9}, {'iter': 'x'},
                {'optimizers': 5}]
)  # fmt: skip
def test_a_state_of_wrong_content_is_passed_over(folders, content):
    generations.save(training_state(9) | content, folders[0] / '9.state')
    iteration, (reason,) = taken(folders)
    assert iteration == 8
    assert reason.startswith('9.state (')


def test_other_names_are_not_looked_at(folders):
    for name in ('010.state', '٩.state', '-1.state', '+9.state', 'best.state', '9.state.tmp', '9 copy.state'):
        (folders[0] / name).write_bytes(b'')
    (folders[1] / 'net_g_9.pth.tmp').write_bytes(b'half')
    (folders[0] / '11.state').mkdir()
    assert taken(folders) == (8, [])


class Evil:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize('file', ['9.state', 'net_g_9.pth'])
def test_nothing_in_a_file_is_executed(folders, tmp_path, file):
    states, models = folders
    marker = tmp_path / 'marker'
    evil = {'evil': Evil(marker)}
    digest = generations.save(network(9) | (evil if file == 'net_g_9.pth' else {}), models / 'net_g_9.pth')
    state = training_state(9) | {generations.FILES: {'net_g_9.pth': digest}}
    generations.save(state | (evil if file == '9.state' else {}), states / '9.state')
    if file == '9.state':
        iteration, (reason,) = taken(folders)
        assert iteration == 8
        assert 'refused: loading it would run code' in reason
    else:
        from dukd_basicsr.networks.weights import read_weights

        assert taken(folders)[0] == 9  # the hash is of that very file: loading it is what must refuse
        with pytest.raises(UserError, match=r'net_g_9\.pth'):
            read_weights(models / 'net_g_9.pth')
    assert not marker.exists()
    (tmp_path / 'bare.state').write_bytes(pickle.dumps(Evil(marker)))  # no archive at all
    with pytest.raises(generations.IncompleteError):
        generations.read(tmp_path / 'bare.state', models)
    assert not marker.exists()


def test_a_name_in_a_state_does_not_leave_the_folder(folders, tmp_path):
    digest = generations.save(network(9), tmp_path / 'outside.pth')
    state = training_state(9) | {generations.FILES: {'../../outside.pth': digest}}
    generations.save(state, folders[0] / '9.state')
    assert taken(folders) == (8, ['9.state (outside.pth is not there)'])


def test_auto_resume_says_in_one_line_what_it_passed_over(folders, tmp_path, capsys):
    (folders[0] / '9.state').write_bytes(b'')
    (folders[0] / '8.state').write_bytes((folders[0] / '4.state').read_bytes())
    before = everything(tmp_path)
    assert load_resume_state(resume_options(folders))['iter'] == 4
    assert capsys.readouterr().out.splitlines()[0] == (
        '--auto_resume: passed over 9.state (empty), 8.state (it is the state of iteration 4).'
    )
    assert everything(tmp_path) == before


def test_without_a_complete_generation_nothing_is_started_over(folders, tmp_path):
    for path in folders[0].iterdir():
        path.write_bytes(path.read_bytes()[:-1])
    before = everything(tmp_path)
    with pytest.raises(UserError, match=r'no training state in .* is complete: 8\.state .*, 4\.state ') as error:
        load_resume_state(resume_options(folders))
    assert error.value.exit_code == 2
    assert everything(tmp_path) == before


def resume_options(folders):
    path = {'training_states': str(folders[0]), 'models': str(folders[1]), 'resume_state': None}
    return {'auto_resume': True, 'rank': 0, 'network_g': {}, 'path': path, 'name': 'run'}


def fail(call, number, times=99):
    """`Path.open`, `os.fsync` or `os.replace`, whose first `times` calls fail."""
    left = [times]

    def failing(*args, **kwargs):
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(number, os.strerror(number))
        return REAL[call](*args, **kwargs)

    return failing


@pytest.fixture
def breakable(monkeypatch):
    monkeypatch.setattr(generations.time, 'sleep', lambda _: None)
    owners = {'open': Path, 'fsync': os, 'replace': os}
    return lambda call, *how: monkeypatch.setattr(owners[call], call, fail(call, *how))


@pytest.mark.parametrize('number', [errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO])
@pytest.mark.parametrize('call', ['open', 'fsync', 'replace'])
def test_a_write_that_fails_leaves_everything(folders, tmp_path, breakable, monkeypatch, call, number):
    before = everything(tmp_path)
    with monkeypatch.context():
        breakable(call, number)
        for path in (folders[1] / 'net_g_12.pth', folders[0] / '8.state'):
            with pytest.raises(RunError) as error:
                generations.save({'new': 1}, path)
            assert error.value.exit_code == 1
            assert str(error.value) == (
                f'{path} cannot be written ({os.strerror(number)}); what was saved before is intact: make room, then '
                'go on with --auto_resume.'
            )
    monkeypatch.undo()
    assert everything(tmp_path) == before
    assert taken(folders) == (8, [])


def test_a_write_that_recovers_is_no_failure(folders, breakable):
    breakable('fsync', errno.EIO, 2)
    digest = generations.save({'new': 1}, folders[1] / 'net_g_12.pth')
    assert generations.hashlib.sha256((folders[1] / 'net_g_12.pth').read_bytes()).hexdigest() == digest


def test_a_disk_that_is_full_in_the_middle_of_a_file(folders, tmp_path, monkeypatch):
    """The kernel's own short write: no file of this process may be longer than 4 KiB."""
    monkeypatch.setattr(generations.time, 'sleep', lambda _: None)
    before, (soft, hard) = everything(tmp_path), resource.getrlimit(resource.RLIMIT_FSIZE)
    heeded = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(RunError, match='cannot be written') as error:
            generations.save({'params': torch.zeros(10**5)}, folders[1] / 'net_g_12.pth')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, heeded)
    assert error.value.exit_code == 1
    assert everything(tmp_path) == before


def test_a_folder_that_cannot_be_flushed_is_no_failure(folders, monkeypatch):
    """Some network file systems take no fsync of a folder."""

    def no_folders(descriptor):
        if os.path.isdir(f'/proc/self/fd/{descriptor}'):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        REAL['fsync'](descriptor)

    monkeypatch.setattr(os, 'fsync', no_folders)
    write(*folders, 12)
    assert taken(folders) == (12, [])


def test_a_kill_at_any_call_leaves_a_complete_generation(folders, tmp_path, monkeypatch):
    """A kill ends a save between two calls of the system; whatever is there then, the newest generation is whole."""

    class Killed(BaseException):
        pass

    def kill_at(step):
        left = [step]

        def counted(real):
            def call(*args, **kwargs):
                left[0] -= 1
                if left[0] < 0:
                    raise Killed
                return real(*args, **kwargs)

            return call

        for owner, name in ((Path, 'open'), (os, 'fsync'), (os, 'replace'), (os, 'open')):
            monkeypatch.setattr(owner, name, counted(getattr(owner, name)))

    ends = []
    for step in range(40):
        iteration = 12 + step
        with monkeypatch.context() as patch:
            patch.setattr(Path, 'unlink', None)  # a killed process tidies nothing up
            kill_at(step)
            try:
                write(*folders, iteration)
                ends.append(iteration)
            except Killed:
                pass
        monkeypatch.undo()
        newest, passed = taken(folders)
        assert passed == []
        assert newest in {8, *ends, iteration}
        if newest == iteration and not ends:
            ends.append(iteration)  # the state was in its place; only the folder was not flushed any more
        if len(ends) > 2:
            break
    assert step > 5


def test_prune_keeps_the_last_and_the_protected(folders):
    states, models = folders
    for iteration in (12, 16, 20):
        write(states, models, iteration)
    (models / 'net_g_latest.pth').write_bytes(b'')
    (models / 'net_g_18.pth').write_bytes(b'')
    generations.prune(states, models, 2, 16, {4})
    assert sorted(generations.list_iterations(states)) == [4, 12, 16, 20]  # 20 is of a run that this one passed over
    assert sorted(path.name for path in models.iterdir()) == [
        'net_g_12.pth', 'net_g_16.pth', 'net_g_18.pth', 'net_g_20.pth', 'net_g_4.pth', 'net_g_latest.pth',
    ]  # fmt: skip
    generations.prune(states, models, 9, 20, ())
    assert sorted(generations.list_iterations(states)) == [4, 12, 16, 20]


def test_prune_removes_the_state_first(folders, monkeypatch):
    unlink, removed = Path.unlink, []

    def noting(self, *args, **kwargs):
        removed.append(self.name)
        unlink(self, *args, **kwargs)

    monkeypatch.setattr(Path, 'unlink', noting)
    generations.prune(*folders, 1, 8, ())
    assert removed == ['4.state', 'net_g_4.pth']


@pytest.fixture
def model(tmp_path):
    return trained_model(tmp_path)


def test_a_state_that_stock_wrote_is_resumed(model, tmp_path):
    """No 'files', no 'samples', not fused; its networks are looked at by name."""
    plain = torch.optim.Adam(model.net_g.parameters(), 1e-3, betas=(0.9, 0.99))
    plain.step()
    state = {'epoch': 2, 'iter': 6, 'optimizers': [plain.state_dict()],
             'schedulers': [each.state_dict() for each in model.schedulers]}  # fmt: skip
    torch.save(state, tmp_path / '6.state')
    assert generations.find_newest(tmp_path, tmp_path) == (None, ['6.state (net_g_6.pth is not there)'])
    torch.save({'params': model.net_g.state_dict()}, tmp_path / 'net_g_6.pth')
    found, passed = generations.find_newest(tmp_path, tmp_path)
    assert passed == []
    model.resume_training(found.state)
    assert model.optimizer_g.param_groups[0]['fused'] is True
    whole = (tmp_path / 'net_g_6.pth').read_bytes()
    (tmp_path / 'net_g_6.pth').write_bytes(whole[: len(whole) // 2])
    found, (reason,) = generations.find_newest(tmp_path, tmp_path)
    assert found is None
    assert reason.startswith('6.state (net_g_6.pth is truncated or damaged')
