"""The JSON Schema of options files, judged by jsonschema: every shipped file passes, a slip of the pen does not."""

from __future__ import annotations

import copy
import json
import subprocess
import sys

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dukd_basicsr import options
from dukd_basicsr.options import OptionsError, shipped
from dukd_basicsr.options.json_schema import make_schema
from tests.toys import DELETE, REPOSITORY, changed

FOLDER = REPOSITORY / 'options'
FILES = {file.stem: options.load(file) for file in sorted(FOLDER.glob('*.yml'))}
SCHEMA = json.loads((FOLDER / shipped.SCHEMA).read_text(encoding='ascii'))
EDITOR = jsonschema.Draft202012Validator(SCHEMA)
DUKD, REAL, CACHED = 'train_dukd_edsr_x4', 'train_dukd_real_rrdb_to_compact_x4', 'train_dukd_edsr_x4_upcycled'


def complaints(opt):
    """Dotted keys that an editor underlines; a misspelt key is its section's mistake."""
    return {error.json_path.removeprefix('$').removeprefix('.') for error in jsonschema_errors(opt)}


def jsonschema_errors(opt):
    """The innermost errors: `anyOf` hides them in its context."""
    found = list(EDITOR.iter_errors(opt))
    while any(error.context for error in found):
        found = [each for error in found for each in (error.context or [error])]
    return found


def test_the_file_is_what_the_command_writes():
    """In a process of its own: the registries of this one hold the networks of other tests."""
    command = [sys.executable, '-m', 'dukd_basicsr', 'options', 'schema']
    written = subprocess.run(command, check=True, capture_output=True, cwd=REPOSITORY).stdout
    assert written == (FOLDER / shipped.SCHEMA).read_bytes(), 'run python -m options.generate'


def test_it_is_a_schema_of_its_draft():
    assert SCHEMA['$schema'] == jsonschema.Draft202012Validator.META_SCHEMA['$id']
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize('name', FILES)
def test_every_shipped_file_names_it_and_passes(name):
    first = (FOLDER / f'{name}.yml').read_text(encoding='ascii').splitlines()[0]
    assert first.startswith(shipped.MODELINE)
    assert (FOLDER / first.removeprefix(shipped.MODELINE)).samefile(FOLDER / shipped.SCHEMA)
    assert not jsonschema_errors(FILES[name])


@pytest.mark.parametrize(
    ('file', 'key', 'value', 'where'),
    [
        # misspelt keys, at every depth
        (DUKD, 'scael', 4, ''),
        (DUKD, 'train.total_itre', 5, 'train'),
        (DUKD, 'train.optim_g.learning_rate', 5, 'train.optim_g'),
        (DUKD, 'train.dukd_opt.zoom_inn', None, 'train.dukd_opt'),
        (DUKD, 'train.dukd_opt.zoom_in.nmu', 1, 'train.dukd_opt.zoom_in'),
        (DUKD, 'network_g.num_blok', 4, 'network_g'),
        (DUKD, 'network_t.num_feats', 4, 'network_t'),
        (DUKD, 'datasets.tarin', {}, 'datasets'),
        (DUKD, 'datasets.train.use_hfilp', True, 'datasets.train'),
        (DUKD, 'datasets.val_1.gt_szie', 4, 'datasets.val_1'),
        (CACHED, 'datasets.train.dataroot_upcylced', 'x', 'datasets.train'),
        (REAL, 'datasets.train.blur_sigm', 'x', 'datasets.train'),
        (REAL, 'jpeg_rnage', [30, 95], ''),
        (DUKD, 'logger.print_frq', 4, 'logger'),
        (DUKD, 'path.pretrain_network', 'x.pth', 'path'),
        # what is missing
        (DUKD, 'network_g', DELETE, ''),
        (DUKD, 'network_g.num_in_ch', DELETE, 'network_g'),
        (DUKD, 'train.scheduler.milestones', DELETE, 'train.scheduler'),
        (REAL, 'gt_usm', DELETE, ''),
        # wrong types and values out of range
        (DUKD, 'scale', 'x4', 'scale'),
        (DUKD, 'scale', True, 'scale'),
        (DUKD, 'num_gpu', 'all', 'num_gpu'),
        (DUKD, 'train.total_iter', 100.5, 'train.total_iter'),
        (DUKD, 'train.optim_g.lr', 0, 'train.optim_g.lr'),
        (DUKD, 'train.optim_g.betas', [0.9, 1], 'train.optim_g.betas[1]'),
        (DUKD, 'train.ema_decay', 1.0, 'train.ema_decay'),
        (DUKD, 'train.scheduler.type', 'CosineLR', 'train.scheduler.type'),
        (DUKD, 'train.dukd_opt.consistency.ops', ['inverse'], 'train.dukd_opt.consistency.ops[0]'),
        (DUKD, 'train.amp', 'half', 'train.amp'),
        (DUKD, 'train.kd_opt.reduction', 'none', 'train.kd_opt.reduction'),
        (DUKD, 'network_g.num_feat', 'wide', 'network_g.num_feat'),
        (DUKD, 'datasets.train.gt_size', None, 'datasets.train.gt_size'),
        (DUKD, 'val.metrics.psnr.better', 'more', 'val.metrics.psnr.better'),
        (DUKD, 'val.metrics.psnr.crop_border', -1, 'val.metrics.psnr.crop_border'),
        (DUKD, 'val.save_img', 'yes', 'val.save_img'),
        (REAL, 'datasets.train.kernel_list', ['round'], 'datasets.train.kernel_list[0]'),
        (REAL, 'datasets.train.color', 'y', 'datasets.train.color'),
    ],
)
def test_a_slip_is_found_where_it_is(file, key, value, where):
    assert where in complaints(changed(FILES[file], {key: value}))


def test_it_documents_every_key_that_it_knows():
    for name, section in SCHEMA['$defs'].items():
        for key, described in section['properties'].items() if '.' not in name else ():
            assert described.get('description') or (name, key) == ('Network', 'type'), (name, key)


def test_models_and_components_of_ones_own_are_open():
    assert not complaints(changed(FILES[DUKD], {'network_g': {'type': 'MyArch', 'width': 'wide'}}))
    assert not complaints(changed(FILES[DUKD], {'train.pixel_opt': {'type': 'MyLoss', 'sharpness': 2}}))
    own = changed(FILES[DUKD], {'model_type': 'MyModel'})
    assert not complaints(changed(own, {'train.own_key': 1}))
    assert complaints(changed(own, {'scale': 'x4'})) == {'scale'}


VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-2, 9), st.floats(-1, 2, allow_nan=False), st.text(max_size=4),
    st.lists(st.integers(-1, 3), max_size=2), st.dictionaries(st.text(max_size=4), st.integers(), max_size=2),
    st.sampled_from(['SRModel', 'DUKDRealModel', 'EDSR', 'L1Loss', 'disk', 'y', 'auto', 'PairedImageDataset']),
)  # fmt: skip


def _list_paths(node, path=()):
    for name, value in node.items() if isinstance(node, dict) else ():
        yield (*path, name)
        yield from _list_paths(value, (*path, name))


@settings(max_examples=300)
@given(st.data())
def test_it_accepts_whatever_the_program_accepts_without_a_word(data):
    """An editor underlines no file that the program has nothing against; a key that nothing reads it may underline."""
    name = data.draw(st.sampled_from([*FILES]))
    opt = FILES[name]
    for _ in range(data.draw(st.integers(1, 2))):
        key = '.'.join(data.draw(st.sampled_from([*_list_paths(opt)])))
        opt = changed(opt, {key: data.draw(st.one_of(st.just(DELETE), VALUES))})
    try:
        warnings = options.check(copy.deepcopy(opt), FOLDER / f'{name}.yml', is_train='train' in opt)
    except OptionsError:
        return
    assert warnings or not jsonschema_errors(opt)


def test_what_is_registered_is_offered():
    offered = make_schema()['$defs']['Network']['properties']['type']['examples']
    assert {'EDSR', 'RCAN', 'SwinIR', 'SRVGGNetCompact', 'Spandrel'} <= set(offered)
