"""`basicsr train` with losses on features: resumed exactly, mistakes said before anything is created."""

import pytest
import torch
import yaml

from tests.warm import command
from tests.workplace import workplace  # noqa: F401  the fixture

FEATURES = {'fitnet': {'type': 'FitNetLoss', 'loss_weight': 1e-3}, 'fakd': {'type': 'FAKDLoss'}}


@pytest.fixture
def written(workplace):  # noqa: F811
    """Writes an options file beside the shared one."""

    def write(name, features):
        opt = yaml.safe_load((workplace / 'toy.yml').read_text())
        opt['name'] = name
        opt['train']['feature_opt'] = features
        (workplace / f'{name}.yml').write_text(yaml.safe_dump(opt, sort_keys=False))
        return workplace / 'experiments' / name

    return write


def test_a_resumed_run_ends_as_the_uninterrupted_one(workplace, written):  # noqa: F811
    ends = []
    for name, stops in (('whole', [4]), ('parted', [2, 4])):
        folder = written(name, FEATURES)
        for stop in stops:
            done = command('train', '-opt', f'{name}.yml', '--auto_resume', '--force_yml', f'train:total_iter={stop}',
                           cwd=workplace)  # fmt: skip
            assert done.returncode == 0, done.stderr
        log = max(folder.glob('train_*.log'), key=lambda path: path.stat().st_mtime).read_text()
        assert ' l_fitnet: ' in log
        assert ' l_fakd: ' in log
        assert log.count('Features, student -> teacher') == len(FEATURES)
        for loss in FEATURES:  # the default pairs: one block in the student, the last of two in the teacher
            assert f'Features, student -> teacher: {loss} compares body.0 -> body.1\n' in log
        state = torch.load(folder / 'training_states' / '4.state', weights_only=True)
        ends.append((torch.load(folder / 'models' / 'net_g_4.pth', weights_only=True), state['adapters'],
                     state['optimizers']))  # fmt: skip
    assert list(ends[0][1]) == ['losses.fitnet.adapters.0.weight', 'losses.fitnet.adapters.0.bias']
    torch.testing.assert_close(ends[0], ends[1], rtol=0, atol=0)


def test_a_tap_that_does_not_exist_creates_nothing(workplace, written):  # noqa: F811
    taps = {'student': ['body.0'], 'teacher': ['bodi.1']}
    folder = written('wrong', {'at': {'type': 'ATLoss', 'taps': taps}})
    done = command('train', '-opt', 'wrong.yml', cwd=workplace)
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        .splitlines()[-1]
        .endswith('the taps of the teacher in train.feature_opt: EDSR has no module "bodi.1". Did you mean "body.1"?')
    )
    assert not folder.exists()
