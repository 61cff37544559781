"""`basicsr upscale`: every kind of file as its owner expects it back, and what is refused.

    PYTHONPATH=.:tests python tests/upscale/test_upscale.py

writes the table of docs/upscale.md anew.
"""

from __future__ import annotations

import io
import os
import re
import struct
import sys
import tempfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, ImageOps

import dukd_basicsr.plugin  # noqa: F401  first: makes basicsr importable
from tests.toys import REPOSITORY, STUDENT, save_weights

# isort: split
from dukd_basicsr.cli import main
from dukd_basicsr.evaluation.pictures import Panel, draw_side_by_side, find_most_different_crop
from dukd_basicsr.networks import tiling
from dukd_basicsr.networks.open_network import Opened
from dukd_basicsr.networks.tiling import OVERLAP
from dukd_basicsr.networks.weights import build_network
from dukd_basicsr.resize import imresize
from dukd_basicsr.upscale import upscale as upscale_run
from dukd_basicsr.upscale.encoding import encode
from dukd_basicsr.upscale.images import Picture, read

PAGE = REPOSITORY / 'docs' / 'upscale.md'
COMPACT = {'type': 'SRVGGNetCompact', 'num_feat': 4, 'num_conv': 1, 'upscale': 2}
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes()


def noise(*shape, kind=np.uint8, seed=0):
    return np.random.default_rng(seed).integers(0, np.iinfo(kind).max + 1, shape, dtype=kind)


def nearest(values, by=2):
    return values.repeat(by, 0).repeat(by, 1)


def save_nearest(path, channels=3):
    """A checkpoint that opens by itself and repeats pixels: SRVGGNetCompact adds its answer to nearest neighbours."""
    torch.manual_seed(0)
    net = build_network({**COMPACT, 'num_in_ch': channels, 'num_out_ch': channels})
    torch.nn.init.zeros_(net.body[-1].weight)
    torch.nn.init.zeros_(net.body[-1].bias)
    torch.save({'params': net.state_dict()}, path)
    return path


def rotated(path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010F] = 'camera'
    Image.fromarray(noise(6, 9, 3)).save(path, exif=exif)


def animated(path):
    frames = [Image.fromarray(noise(5, 7, 3, seed=seed)).quantize(16) for seed in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=50)


def make(folder):
    """The files of the table."""
    Image.fromarray(noise(7, 9)).save(folder / 'grey.png')
    Image.fromarray(noise(8, 8, 4)).save(folder / 'alpha.png')
    cv2.imwrite(str(folder / '16-bit.png'), noise(6, 7, 3, kind=np.uint16))
    rotated(folder / 'rotated.jpg', 6)
    Image.fromarray(noise(1, 1, 3)).save(folder / '1x1.png')
    Image.fromarray(noise(90, 130, 3)).save(folder / 'huge.png')
    (folder / 'corrupt.png').write_bytes((folder / 'huge.png').read_bytes()[:20000])
    Image.fromarray(noise(5, 5, 3)).save(folder / 'größe 大きい.webp', lossless=True)
    Image.fromarray(noise(8, 8, 4), 'CMYK').save(folder / 'cmyk.jpg', quality=95)
    animated(folder / 'animated.gif')
    return folder


CASES = {
    'grey.png': 'stays grey: the network sees it three times, the mean is taken',
    'alpha.png': 'stays transparent: colours by the network, alpha by bicubic',
    '16-bit.png': 'stays 16 bit',
    'rotated.jpg': 'turned as it is seen; the tag is gone',
    '1x1.png': 'enlarged',
    'huge.png': 'computed in tiles',
    'corrupt.png': 'passed over; exit code 1 when all others are done',
    'größe 大きい.webp': 'enlarged, the name as it is',
    'cmyk.jpg': 'becomes RGB',
    'animated.gif': 'the first frame',
}


def upscale(*arguments, capsys=None):
    """Exit code, and what is said without the progress bar."""
    code = main(['upscale', *map(str, arguments)])
    if capsys is None:
        return code
    err = capsys.readouterr().err
    return code, ''.join(f'{line}\n' for line in re.split(r'[\r\n]+', err) if line.startswith('basicsr upscale:'))


@pytest.fixture(scope='module')
def weights(tmp_path_factory):
    return save_nearest(tmp_path_factory.mktemp('weights') / 'nearest.pth')


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'in').mkdir()
    return tmp_path


def results(root, weights):
    """Run the table's files in `root`; exit code, and what is said of each file."""
    (root / 'in').mkdir(exist_ok=True)
    make(root / 'in')
    said, stderr, here = {}, sys.stderr, Path.cwd()
    sys.stderr = io.StringIO()
    os.chdir(root)
    try:
        code = upscale('in', '-o', 'out', '--weights', weights, '--tile', 16)
        lines = [line for line in re.split(r'[\r\n]+', sys.stderr.getvalue()) if line.startswith('basicsr upscale: ')]
    finally:
        sys.stderr = stderr
        os.chdir(here)
    for name in CASES:
        said[name] = [line.removeprefix('basicsr upscale: ') for line in lines if f'in/{name}: ' in line]
    return code, said


def described(path):
    """'14x18 grey, 8 bit', independently of what the package reads."""
    if not path.exists():
        return 'nothing'
    try:
        with Image.open(path) as image:
            image.load()
            width, height, mode = *image.size, image.mode
    except OSError:
        return 'damaged'
    if mode.startswith('I;16'):
        return f'{width}x{height} grey, 16 bit'
    bits = 16 if path.suffix == '.png' and path.read_bytes()[24] == 16 else 8
    names = {'L': 'grey', 'P': 'palette', 'RGBA': 'RGB and alpha'}
    return f'{width}x{height} {names.get(mode, mode)}, {bits} bit'


def table(root, said):
    """The lines of docs/upscale.md, out of a run."""
    lines = ['| file | is | becomes | what happened | what is said |', '|---|---|---|---|---|']
    for name, happened in CASES.items():
        source, target = root / 'in' / name, root / 'out' / f'{Path(name).stem}.png'
        sentences = '<br>'.join(f'`{sentence}`' for sentence in said[name])
        lines.append(f'| {name} | {described(source)} | {described(target)} | {happened} | {sentences} |')
    for case, sentence in REFUSED.items():
        lines.append(f'| *{case}* | | nothing | refused before any work, exit code 2 | `{sentence}` |')
    return '\n'.join(lines)


REFUSED = {
    'read-only output': 'out cannot be written to; give another folder: -o DIR.',
    'existing output': 'out/16-bit.png, out/1x1.png, out/alpha.png and 6 more exist already; give another folder, or '
                       'write over them with --force.',
}  # fmt: skip


@pytest.fixture(scope='module')
def awkward(weights, tmp_path_factory):
    root = tmp_path_factory.mktemp('awkward')
    return root, *results(root, weights)


def test_the_table_is_current(awkward):
    root, _, said = awkward
    assert len(CASES) + len(REFUSED) == 12
    assert PAGE.read_text(encoding='utf-8').endswith(f'\n\n{table(root, said)}\n')


def test_awkward_files_are_done_or_named(awkward):
    root, code, said = awkward
    assert code == 1
    assert {path.name for path in (root / 'out').iterdir()} == {
        f'{Path(name).stem}.png' for name in CASES if name != 'corrupt.png'
    }
    assert [name for name in CASES if said[name]] == ['corrupt.png', 'animated.gif']


def seen(path):
    """As Pillow shows a file."""
    return ImageOps.exif_transpose(Image.open(path))


@pytest.mark.parametrize('name', ['grey.png', '1x1.png', 'huge.png', 'rotated.jpg', 'größe 大きい.webp'])
def test_pixels_of_the_table(awkward, name):
    folder = awkward[0]
    result = Image.open(folder / 'out' / f'{Path(name).stem}.png')
    expected = seen(folder / 'in' / name)
    assert result.mode == expected.mode
    assert not result.getexif()
    np.testing.assert_array_equal(np.asarray(result), nearest(np.asarray(expected)))


def test_more_pixels_of_the_table(awkward):
    folder = awkward[0]
    for name in ('cmyk.jpg', 'animated.gif'):
        result = Image.open(folder / 'out' / f'{Path(name).stem}.png')
        assert result.mode == 'RGB'
        expected = np.asarray(Image.open(folder / 'in' / name).convert('RGB'))
        np.testing.assert_array_equal(np.asarray(result), nearest(expected))
    deep = [cv2.imread(str(folder / place / '16-bit.png'), cv2.IMREAD_UNCHANGED) for place in ('in', 'out')]
    assert deep[1].dtype == np.uint16
    np.testing.assert_array_equal(deep[1], nearest(deep[0]))
    source, result = (np.asarray(Image.open(folder / place / 'alpha.png')) for place in ('in', 'out'))
    seen = nearest(source[..., 3] > 0)
    np.testing.assert_array_equal(result[seen][:, :3], nearest(source[..., :3])[seen])
    enlarged = imresize(torch.from_numpy(source[..., 3] / 255.0), 2).clamp(0, 1) * 255
    np.testing.assert_allclose(result[..., 3], enlarged, rtol=0, atol=0.5001)


def test_hidden_colours_leave_no_fringe(folder):
    """A light disc whose file is black where nothing can be seen, put on white after it was enlarged."""
    save_weights(folder / 'compact.pth', COMPACT)  # whose answer depends on the neighbours
    rows, columns = np.mgrid[:32, :32]
    disc = (rows - 16) ** 2 + (columns - 16) ** 2 < 100
    for name, hidden in (('black', 0), ('light', 240)):
        colours = np.where(disc, 240, hidden).astype(np.uint8)
        Image.fromarray(np.dstack([colours] * 3 + [disc * np.uint8(255)])).save(f'in/{name}.png')
    Image.fromarray(np.zeros((3, 4, 4), np.uint8)).save('in/nothing.png')
    assert upscale('in', '-o', 'out', '--weights', 'compact.pth') == 0
    black, light, nothing = (np.asarray(Image.open(f'out/{name}.png')) for name in ('black', 'light', 'nothing'))
    np.testing.assert_array_equal(black, light)
    assert not nothing[..., 3].any()


def test_existing_results_and_read_only_folders_are_refused_first(awkward, weights, monkeypatch, capsys):
    root = awkward[0]
    monkeypatch.chdir(root)
    monkeypatch.setattr(upscale_run, 'open_network', lambda *_: pytest.fail('work began'))
    before = {path: path.stat().st_mtime_ns for path in root.rglob('*')}
    again = ('in', '-o', 'out', '--weights', weights)
    assert upscale(*again, capsys=capsys) == (2, f'basicsr upscale: {REFUSED["existing output"]}\n')
    access = os.access
    monkeypatch.setattr(os, 'access', lambda path, mode: Path(path) != Path('out') and access(path, mode))
    assert upscale(*again, '--force', capsys=capsys) == (2, f'basicsr upscale: {REFUSED["read-only output"]}\n')
    assert {path: path.stat().st_mtime_ns for path in root.rglob('*')} == before


def chunk(kind, body):
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def png(colour_type, width, height, depth=16, rows=b'', between=b''):
    """A PNG of unfiltered rows, written by hand."""
    header = struct.pack('>IIBBBBB', width, height, depth, colour_type, 0, 0, 0)
    parts = [chunk(b'IHDR', header), between, chunk(b'IDAT', zlib.compress(rows)), chunk(b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(parts)


@pytest.mark.parametrize(('channels', 'colour_type'), [(1, 0), (2, 4), (3, 2), (4, 6)])
def test_16_bits_of_any_channels_are_read_and_written(channels, colour_type, tmp_path):
    values = noise(5, 6, channels, kind=np.uint16)
    rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in values)
    (tmp_path / 'a.png').write_bytes(png(colour_type, 6, 5, rows=rows))
    picture = read(tmp_path / 'a.png')
    planes = picture.pixels if picture.alpha is None else np.dstack((picture.pixels, picture.alpha))
    np.testing.assert_array_equal(planes, values)
    profile = SRGB if channels > 2 else b'-' * 16 + b'GRAY' + SRGB[20:]
    content = encode(Picture(picture.pixels, picture.alpha, profile), 'png')
    assert content[25] == colour_type
    with Image.open(io.BytesIO(content)) as image:
        image.load()
        assert image.info['icc_profile'] == profile
    decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    decoded = decoded if channels == 1 else decoded[..., {2: [0, 3], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[channels]]
    np.testing.assert_array_equal(decoded.reshape(values.shape), values)


@pytest.mark.parametrize('suffix', ['png', 'tiff'])
@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
@pytest.mark.parametrize('orientation', range(1, 9))
def test_every_orientation_is_applied(orientation, kind, suffix, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    values = noise(3, 4, kind=kind)
    Image.fromarray(values).save(tmp_path / f'a.{suffix}', exif=exif)
    steps = {1: [], 2: [np.fliplr], 3: [np.rot90, np.rot90], 4: [np.flipud], 5: [np.transpose],
             6: [np.rot90, np.rot90, np.rot90], 7: [np.transpose, np.rot90, np.rot90], 8: [np.rot90]}  # fmt: skip
    for step in steps[orientation]:
        values = step(values)
    np.testing.assert_array_equal(read(tmp_path / f'a.{suffix}').pixels[..., 0], values)


def test_what_a_palette_or_one_value_makes_transparent(tmp_path):
    Image.fromarray(noise(4, 4, 3)).quantize(4).save(tmp_path / 'palette.png', transparency=2)
    rows = b'\0' + np.array([7, 9], '>u2').tobytes()
    (tmp_path / 'deep.png').write_bytes(png(0, 2, 1, rows=rows, between=chunk(b'tRNS', b'\0\x09')))
    (tmp_path / 'grey.png').write_bytes(png(0, 2, 1, 8, b'\0\x07\x09', chunk(b'tRNS', b'\0\x09')))
    palette = np.asarray(Image.open(tmp_path / 'palette.png').convert('RGBA'))
    picture = read(tmp_path / 'palette.png')
    np.testing.assert_array_equal(np.dstack((picture.pixels, picture.alpha)), palette)
    assert set(palette[..., 3].ravel()) == {0, 255}
    assert read(tmp_path / 'deep.png').alpha.tolist() == [[65535, 0]]
    assert read(tmp_path / 'grey.png').alpha.tolist() == [[255, 0]]


@pytest.mark.parametrize('kind', ['png', 'jpg', 'webp'])
def test_what_each_format_holds(kind, folder, weights, capsys):
    Image.fromarray(noise(40, 40, 3)).resize((9, 7)).save('in/plain.png', icc_profile=SRGB)
    soft = np.dstack((np.full((8, 8, 3), 40, np.uint8), np.full((8, 8), 51, np.uint8)))
    Image.fromarray(soft).save('in/alpha.png')
    cv2.imwrite('in/deep.png', np.full((4, 4, 3), 257 * 90, np.uint16))
    Image.fromarray(np.full((4, 4, 4), 60, np.uint8), 'CMYK').save('in/cmyk.jpg', icc_profile=SRGB)
    code, said = upscale('in', '-o', 'out', '--weights', weights, '--format', kind, capsys=capsys)
    assert code == 0
    notes = {
        'png': [],
        'webp': ['in/deep.png: its 16 bits became 8, since webp has no more.'],
        'jpg': ['in/alpha.png: it was put on white, since jpg has no transparency.',
                'in/deep.png: its 16 bits became 8, since jpg has no more.'],
    }  # fmt: skip
    cmyk = 'in/cmyk.jpg: its CMYK became RGB without its colour profile.'
    assert sorted(said.splitlines()) == [f'basicsr upscale: {note}' for note in sorted([*notes[kind], cmyk])]
    plain, alpha, deep, converted = (Image.open(f'out/{name}.{kind}') for name in ('plain', 'alpha', 'deep', 'cmyk'))
    assert plain.format == {'png': 'PNG', 'jpg': 'JPEG', 'webp': 'WEBP'}[kind]
    assert plain.size == (18, 14)
    assert plain.info['icc_profile'] == SRGB
    assert 'icc_profile' not in converted.info
    assert alpha.mode == ('RGB' if kind == 'jpg' else 'RGBA')
    assert np.asarray(alpha)[4, 4].tolist() == pytest.approx([212] * 3 if kind == 'jpg' else [40, 40, 40, 51], abs=1)
    assert np.asarray(deep)[2, 2].tolist() == pytest.approx([90] * 3, abs=1)


def to_ycbcr(rgb):
    """MATLAB's rgb2ycbcr on doubles in [0, 1], as its documentation has it."""
    matrix = [[65.481, -37.797, 112], [128.553, -74.203, -93.786], [24.966, 112, -18.214]]
    return rgb @ np.array(matrix) + [16, 128, 128]


def test_a_network_of_one_channel_gets_luma(folder, capsys):
    weights = save_nearest(folder / 'y.pth', channels=1)
    # Smooth colours that Y in nearest neighbours and Cb, Cr in bicubic do not push out of range.
    colour = (96 + 64 * np.random.default_rng(0).random((6, 6, 3))).round().astype(np.uint8)
    Image.fromarray(colour).save('in/colour.png')
    Image.fromarray(noise(6, 7)).save('in/grey.png')
    assert upscale('in', '-o', 'out', '--weights', weights) == 0
    np.testing.assert_array_equal(np.asarray(Image.open('out/grey.png')), nearest(noise(6, 7)))
    result = to_ycbcr(np.asarray(Image.open('out/colour.png')) / 255.0)
    small = to_ycbcr(colour / 255.0)
    np.testing.assert_allclose(result[..., 0], nearest(small[..., 0]), atol=0.5)  # of rounding RGB to 8 bits
    chroma = imresize(torch.from_numpy(small[..., 1:].transpose(2, 0, 1).copy()), 2)
    np.testing.assert_allclose(result[..., 1:].transpose(2, 0, 1), chroma, atol=0.5)


def test_grey_is_the_mean_of_three_answers(folder):
    net = save_weights(folder / 'edsr.pth', STUDENT)
    Image.fromarray(noise(6, 7)).save('in/grey.png')
    assert upscale('in', '-o', 'out', '--weights', folder / 'edsr.pth') == 0
    with torch.no_grad():
        answer = net(torch.from_numpy(noise(6, 7) / np.float32(255)).expand(1, 3, 6, 7))[0]
    expected = (answer.mean(0).clamp(0, 1) * 255).round().numpy()
    np.testing.assert_array_equal(np.asarray(Image.open('out/grey.png')), expected)


def test_tiles_leave_no_seam_and_are_chosen_by_memory(folder, capsys, monkeypatch):
    save_weights(folder / 'compact.pth', COMPACT)
    Image.fromarray(noise(45, 70, 3)).save('in/a.png')
    asked = []
    tiled = tiling.super_resolve_tiled
    monkeypatch.setattr(tiling, 'super_resolve_tiled', lambda *a, **k: asked.append(a[2]) or tiled(*a, **k))
    command = ('in', '--weights', 'compact.pth', '-o')
    assert upscale(*command, 'whole') == 0
    assert upscale(*command, 'given', '--tile', 16) == 0
    monkeypatch.setattr(tiling, 'fit_tile', lambda *_: 50)
    assert upscale(*command, 'chosen') == 0
    assert asked == [16, 50 - 2 * 3]
    whole, *others = (np.asarray(Image.open(f'{name}/a.png')).astype(int) for name in ('whole', 'given', 'chosen'))
    assert max(np.abs(whole - other).max() for other in others) <= 1
    err = capsys.readouterr().err
    assert 'may see further' not in err
    assert '100%' in err
    assert '3.15k/3.15k' in err


def test_tiles_that_may_differ_are_said_once(folder, capsys):
    network = {'type': 'RCAN', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_group': 1, 'num_block': 1,
               'squeeze_factor': 2, 'upscale': 2}  # fmt: skip
    save_weights(folder / 'rcan.pth', network)
    for name in 'ab':
        Image.fromarray(noise(40, 40, 3)).save(f'in/{name}.png')
    sentence = (f'basicsr upscale: rcan may see further than the {OVERLAP} pixels by which its tiles overlap, so they '
                'may differ a little from the image as a whole.\n')  # fmt: skip
    assert f'up to {OVERLAP} pixels' in PAGE.read_text(encoding='utf-8')
    command = ('in', '--weights', 'rcan.pth', '-o')
    code, said = upscale(*command, 'out', '--tile', 32, capsys=capsys)
    assert (code, said.count(sentence)) == (0, 1)
    code, said = upscale(*command, 'out2', '--tile', 40, capsys=capsys)
    assert (code, said.count(sentence)) == (0, 0)


def test_folders_keep_their_order_below(folder, weights):
    for name in ('a.PNG', 'b/a.png', 'b/c/d.png', 'b/.hidden.png', '.git/e.png', 'notes.txt', 'out/old.png'):
        (folder / 'in' / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(noise(2, 2, 3)).save(folder / 'in' / name, 'PNG')
    Image.fromarray(noise(2, 2, 3)).save(folder / 'named.unknown', 'PNG')
    assert upscale('in', 'in/a.PNG', 'named.unknown', '-o', 'in/out', '--weights', weights) == 0
    found = {str(path.relative_to('in/out')) for path in Path('in/out').rglob('*') if path.is_file()}
    assert found == {'a.png', 'b/a.png', 'b/c/d.png', 'named.png', 'old.png'}


def test_what_is_asked_for_is_checked_first(folder, weights, capsys, monkeypatch):
    for name in ('a.png', 'a.jpg', 'b.png', 'B.jpg', 'c.png', 'compare/c.png', 'empty/x.txt'):
        (folder / 'in' / name).parent.mkdir(exist_ok=True)
        Image.fromarray(noise(2, 2, 3)).save(folder / 'in' / name, 'PNG')
    Path('file').touch()
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    before = sorted(folder.rglob('*'))
    for argv, sentence in {
        ('in/a.png', 'in/a.jpg'): 'in/a.png and in/a.jpg would both become out/a.png; rename one, or enlarge them '
                                  'into two folders.',
        ('in/b.png', 'in/B.jpg'): 'in/b.png and in/B.jpg would both become out/B.png; rename one, or enlarge them '
                                  'into two folders.',
        ('in/compare', 'in/c.png', '--force'): 'in/compare/c.png and in/c.png would both become out/c.png; rename one, '
                                               'or enlarge them into two folders.',
        ('in/c.png', '-o', 'in', '--force'): 'in/c.png would be written over, but it is what is to be enlarged; give '
                                             'another folder: -o DIR.',
        ('in/c.png', '-o', 'in'): 'in/c.png would be written over, but it is what is to be enlarged; give another '
                                  'folder: -o DIR.',
        ('none.png',): f'none.png: there is no such file or folder in {Path.cwd()}; give images, or folders of '
                       'images.',
        ('in/empty',): 'in/empty: no images in this folder or below; .png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff, '
                       '.gif are taken.',
        ('in/c.png', '-o', 'file'): 'file is a file, but results go to a folder of that name; give another: -o DIR.',
        ('in/c.png', '-o', 'file/below'): 'file is a file, but results go to a folder of that name; give another: '
                                          '-o DIR.',
        ('in/c.png', '--tile', '0'): '--tile: 0 is no side of a tile; write pixels of the small image, e.g. 256.',
        ('in/c.png', '--device', 'cuda'): f'--device cuda: torch {torch.__version__} sees no CUDA device; write '
                                          '--device cpu.',
    }.items():  # fmt: skip
        out = () if '-o' in argv else ('-o', 'out')
        assert upscale(*argv, *out, '--weights', weights, capsys=capsys) == (2, f'basicsr upscale: {sentence}\n'), argv

    def shut(folder):
        raise PermissionError(13, 'Permission denied', str(folder))

    monkeypatch.setattr(os, 'scandir', shut)
    sentence = 'in: this folder cannot be looked into (Permission denied).'
    code = upscale('in', '-o', 'out', '--weights', weights, capsys=capsys)
    monkeypatch.undo()
    assert code == (2, f'basicsr upscale: {sentence}\n')
    monkeypatch.chdir(folder)
    assert sorted(folder.rglob('*')) == before


def test_a_comparison_may_not_meet_a_result(folder, weights, capsys):
    for name in ('c.png', 'compare/c.png'):
        (folder / 'in' / name).parent.mkdir(exist_ok=True)
        Image.fromarray(noise(2, 2, 3)).save(folder / 'in' / name)
    assert upscale('in', '-o', 'out', '--weights', weights) == 0
    code, said = upscale('in', '-o', 'out2', '--compare', '--weights', weights, capsys=capsys)
    assert code == 2
    assert 'would both become out2/compare/c.png' in said


def test_comparison_pictures_show_both(folder, weights):
    Image.fromarray(noise(50, 60, 3)).save('in/a.png')
    Image.fromarray(noise(1, 1)).save('in/b.png')
    cv2.imwrite('in/c.png', noise(9, 40, 4, kind=np.uint16))
    assert upscale('in', '-o', 'out', '--weights', weights, '--compare') == 0
    shown = cv2.imread('out/compare/a.png')
    bicubic, network = (
        np.ascontiguousarray(np.asarray(image)[..., ::-1])
        for image in (
            (imresize(torch.from_numpy(noise(50, 60, 3) / np.float32(255)).permute(2, 0, 1), 2).clamp(0, 1) * 255)
            .round().byte().permute(1, 2, 0),
            Image.open('out/a.png'),
        )
    )  # fmt: skip
    images = [bicubic, network]
    panels = [Panel('bicubic', bicubic), Panel('nearest', network)]
    np.testing.assert_array_equal(shown, draw_side_by_side(panels, find_most_different_crop(images, 64), 64))
    assert {path.name for path in Path('out/compare').iterdir()} == {'a.png', 'b.png', 'c.png'}


def test_force_writes_over_and_leaves_nothing_else(folder, weights):
    Image.fromarray(noise(3, 3, 3)).save('in/a.png')
    Path('out').mkdir()
    Path('out/a.png').write_text('old')
    assert upscale('in', '-o', 'out', '--weights', weights, '--force') == 0
    np.testing.assert_array_equal(np.asarray(Image.open('out/a.png')), nearest(noise(3, 3, 3)))
    assert [path.name for path in Path('out').iterdir()] == ['a.png']


def test_files_that_cannot_be_enlarged_are_named(folder, weights, capsys):
    Image.fromarray(noise(2, 2, 3)).save('in/good.png')
    Path('in/bomb.png').write_bytes(png(2, 20000, 20000, 8))
    Path('in/empty.png').touch()
    Path('in/text.jpg').write_text('no image')
    Path('in/ppm.png').write_bytes(b'P6 1 1 255\n\0\0\0')  # of Pillow's other formats
    Path('in/huge.png').write_bytes(png(2, 2**31 - 1, 2**31 - 1))
    Image.fromarray(noise(4, 4).astype(np.float32)).save('in/float.tiff')
    Image.fromarray(noise(8200, 1)).save('in/long.png')
    Path('in/cut.png').write_bytes(encode(Picture(noise(60, 60, 3, kind=np.uint16)), 'png')[:9000])
    Path('in/loop.png').symlink_to('loop2.png')
    Path('in/loop2.png').symlink_to('loop.png')
    code, said = upscale('in', '-o', 'out', '--weights', weights, '--format', 'webp', capsys=capsys)
    assert code == 1
    limit = f'{2 * Image.MAX_IMAGE_PIXELS:,}'
    bomb = f'it claims more than {limit} pixels, too many to be safe to open'
    nothing = 'no image, or its start is damaged; PNG, JPEG, WEBP, BMP, TIFF, GIF are read'
    expected = {
        'bomb.png': bomb,
        'cut.png': 'it cannot be read (image file is truncated)',
        'empty.png': nothing,
        'float.tiff': "its values (Pillow's mode F) are neither 8 nor 16 bits of grey or RGB",
        'huge.png': bomb,
        'long.png': 'webp cannot hold its 2x16400 pixels (...); write --format png',
        'loop.png': 'it cannot be read (Too many levels of symbolic links)',
        'loop2.png': 'it cannot be read (Too many levels of symbolic links)',
        'ppm.png': nothing,
        'text.jpg': nothing,
    }
    lines = [f'basicsr upscale: in/{name}: {reason}; it was passed over.' for name, reason in expected.items()]
    lines.append('basicsr upscale: 10 of 11 images could not be enlarged; each is named above.')
    assert re.sub(r'\((encoding|cannot|image file is trunc)[^)]*\)+', lambda found: '(...)' if 'trunc' not in found[0]
                  else '(image file is truncated)', said).splitlines() == lines  # fmt: skip
    assert [path.name for path in Path('out').iterdir()] == ['good.webp']


def test_an_answer_that_is_no_number_is_not_written(folder, capsys):
    net = build_network(COMPACT)
    net.body[0].bias.data.fill_(100)
    net.body[-1].weight.data.fill_(3e38)  # a number, a hundred of which are none
    torch.save(net.state_dict(), 'nan.pth')
    Image.fromarray(noise(2, 3, 3)).save('in/a.png')
    code, said = upscale('in', '-o', 'out', '--weights', 'nan.pth', capsys=capsys)
    assert code == 1
    assert 'in/a.png: nan failed on it (its answer has values that are no numbers); it was passed over.\n' in said
    assert not Path('out').exists()


def test_narrow_images_and_networks_that_do_not_enlarge(folder):
    network = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'scale': 1, 'num_feat': 4, 'num_block': 1,
               'num_grow_ch': 2}  # fmt: skip
    save_weights('same.pth', network)
    Image.fromarray(noise(5, 1, 3)).save('in/a.png')
    Image.fromarray(noise(1, 1)).save('in/b.png')
    assert upscale('in', '-o', 'out', '--weights', 'same.pth', '--compare') == 0
    assert Image.open('out/a.png').size == (1, 5)
    assert cv2.imread('out/compare/b.png') is not None


def test_damaged_exif_data_make_no_damaged_image(tmp_path):
    rows = b'\0\x07\x09'
    (tmp_path / 'a.png').write_bytes(png(0, 2, 1, 8, rows, chunk(b'eXIf', b'MM\0\x2b\0')))
    assert read(tmp_path / 'a.png').pixels.tolist() == [[[7], [9]]]


def test_webp_has_no_grey(folder, weights):
    grey = SRGB[:16] + b'GRAY' + SRGB[20:]
    soft = np.dstack((np.full((8, 8), 90, np.uint8), np.full((8, 8), 51, np.uint8)))
    Image.fromarray(soft).save('in/a.png', icc_profile=grey)
    for kind in ('webp', 'png'):
        assert upscale('in', '-o', kind, '--weights', weights, '--format', kind) == 0
    result, kept = Image.open('webp/a.webp'), Image.open('png/a.png')
    assert np.asarray(result)[4, 4].tolist() == pytest.approx([90, 90, 90, 51], abs=1)
    assert 'icc_profile' not in result.info
    assert (kept.mode, kept.info['icc_profile']) == ('LA', grey)
    np.testing.assert_array_equal(np.asarray(kept), nearest(soft))


def test_a_killed_run_goes_on_where_it_was(folder, weights, capsys):
    for name in 'ab':
        Image.fromarray(noise(2, 3, 3)).save(f'in/{name}.png')
    command = ('in', '-o', 'out', '--weights', weights, '--compare')
    assert upscale(*command) == 0
    Path('out/a.png').write_bytes(b'as it was')
    Path('out/compare/b.png').unlink()  # so b is not done
    assert upscale(*command) == 2
    capsys.readouterr()
    code = main(['upscale', *map(str, command), '--skip-existing'])
    said = capsys.readouterr()
    assert code == 0
    assert 'basicsr upscale: 1 of 2 are there already.\n' in said.err
    assert '1 of 1 images enlarged' in said.out
    assert Path('out/a.png').read_bytes() == b'as it was'
    assert Path('out/compare/b.png').exists()
    with pytest.raises(SystemExit):
        main(['upscale', *map(str, command), '--skip-existing', '--force'])


def test_a_failing_network_and_too_little_memory_are_said(folder, weights, capsys, monkeypatch):
    class Failing(torch.nn.Module):
        def forward(self, x):
            raise RuntimeError("can't allocate memory\nat line 7")

    Image.fromarray(noise(2, 3, 3)).save('in/a.png')
    command = ('in', '-o', 'out', '--weights', weights)
    with monkeypatch.context() as patch:
        patch.setattr(upscale_run, 'open_network', lambda path, _: Opened('toy', Failing(), 2, 3, path, None))
        patch.setattr(tiling, 'fit_tile', lambda *_: 64)
        code, said = upscale(*command, capsys=capsys)
    assert code == 1
    assert "in/a.png: toy failed on it (can't allocate memory); a smaller --tile takes less memory; it was" in said
    monkeypatch.setattr(upscale_run, 'read_physical_memory', lambda: 6 * 4 * 32 - 1)
    code, said = upscale(*command, capsys=capsys)
    assert code == 1
    assert 'in/a.png: its 6x4 enlarged pixels take about 768 B, and there are 767 B; cut it into parts; it' in said
    monkeypatch.setattr(upscale_run, 'read_physical_memory', lambda: 6 * 4 * 32)
    assert upscale(*command, '--compare') == 1
    assert upscale(*command) == 0
    capsys.readouterr()
    monkeypatch.setattr(upscale_run, 'open_network', lambda path, _: Opened('toy', Failing(), 2, 4, path, None))
    code, said = upscale(*command, '--force', capsys=capsys)
    assert (code, said) == (2, f'basicsr upscale: {weights}: a network of 4 channels; images have 1 or 3.\n')


def test_a_full_disk_ends_the_run(folder, weights, capsys, monkeypatch):
    for name in 'ab':
        Image.fromarray(noise(2, 3, 3)).save(f'in/{name}.png')

    def full(path, content):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr('dukd_basicsr.data.atomic.write_file', full)
    said = 'basicsr upscale: out/a.png cannot be written (No space left on device).\n'
    assert upscale('in', '-o', 'out', '--weights', weights, capsys=capsys) == (1, said)


if __name__ == '__main__':
    with tempfile.TemporaryDirectory() as place:
        _, found = results(Path(place), save_nearest(Path(place) / 'nearest.pth'))
        new = table(Path(place), found)
    above = PAGE.read_text(encoding='utf-8').partition('| file |')[0]
    PAGE.write_text(f'{above}{new}\n', encoding='utf-8')
