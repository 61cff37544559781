"""The loss of every shipped options file, on thinned networks and fixed data, against numbers kept in a file.

A difference means that training changed. Where that was meant: python -m tests.losses.test_golden_losses
"""

import json
import sys
import tempfile
from pathlib import Path

import pytest
import torch
import yaml

HERE = Path(__file__).parent
GOLDEN = HERE / 'golden_losses.json'
OURS = ('DistillModel', 'DUKDModel', 'DUKDRealModel')
THIN = {
    'EDSR': {'num_feat': 8, 'num_block': 2},
    'RCAN': {'num_feat': 8, 'num_group': 1, 'num_block': 1, 'squeeze_factor': 4},
    'SwinIR': {'embed_dim': 12, 'depths': [2], 'num_heads': [2]},
    'RRDBNet': {'num_feat': 8, 'num_block': 1, 'num_grow_ch': 4},
    'SRVGGNetCompact': {'num_feat': 8, 'num_conv': 2},
    'ECBSR': {'num_block': 1, 'num_channel': 8},
    'SPAN': {'feature_channels': 8},
    'UNetDiscriminatorSN': {'num_feat': 4},
}
SAMPLES = {f'train_rkd_{arch}_x4.yml': 3 for arch in ('edsr', 'rcan', 'swinir')}
"""Of a batch, where two have no angles."""
TWO = {'RCAN': {'num_group': 2}, 'SwinIR': {'depths': [2, 2], 'num_heads': [2, 2]}}
"""For FSP, which is about what lies between two blocks."""


def shipped():
    """Options files with a teacher."""
    files = sorted((HERE.parents[1] / 'options').glob('*.yml'))
    return [file for file in files if yaml.safe_load(file.read_text())['model_type'] in OURS]


def losses(file, folder):
    """The terms of the first two iterations of all losses."""
    import dukd_basicsr.plugin  # noqa: F401  first, when run as a script

    # isort: split
    from basicsr.models import build_model

    from tests.toys import batch, save_vgg, save_weights

    opt = yaml.safe_load(file.read_text())
    for key in ('network_g', 'network_t', *(['network_d'] if 'network_d' in opt else [])):
        opt[key] |= THIN[opt[key]['type']] | (TWO.get(opt[key]['type'], {}) if '_fsp_' in file.name else {})
    torch.manual_seed(1)
    save_weights(folder / 'teacher.pth', opt['network_t'])
    for loss in (opt['train'].get('feature_opt') or {}).values():
        if 'vgg' in loss:
            loss['vgg'] = save_vgg(folder / 'vgg.pth')
    opt |= {'num_gpu': 0, 'is_train': True, 'dist': False, 'rank': 0, 'world_size': 1, 'datasets': {}}
    opt['dry_run'] = 'perceptual_opt' in opt['train']  # VGG of random weights, where its file would be fetched
    opt['path'] = {'pretrain_network_t': str(folder / 'teacher.pth')}
    torch.manual_seed(2)
    model = build_model(opt)
    start = ((opt['train'].get('dukd_opt') or {}).get('schedule') or {}).get('start', 0)
    logs = []
    for number in (1, 2):
        model.feed_data(batch(samples=SAMPLES.get(file.name, 2), size=24, scale=opt['scale'], seed=number))
        model.optimize_parameters(start + number)
        logs.append(dict(model.get_current_log()))
    return logs


@pytest.mark.parametrize('file', shipped(), ids=lambda file: file.stem)
def test_losses_are_those_of_the_golden_file(file, tmp_path):
    golden = json.loads(GOLDEN.read_text())[file.name]
    for found, expected in zip(losses(file, tmp_path), golden, strict=True):
        assert list(found) == list(expected)
        assert found == pytest.approx(expected, rel=1e-4)


def test_no_golden_value_is_left_over():
    assert set(json.loads(GOLDEN.read_text())) == {file.name for file in shipped()}


if __name__ == '__main__':
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        values = {file.name: losses(file, Path(temporary)) for file in shipped()}
    GOLDEN.write_text(json.dumps(values, indent=1) + '\n', encoding='utf-8')
    sys.stdout.write(f'{len(values)} options files\n')
