import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from dukd_basicsr.errors import UserError
from dukd_basicsr.networks.onnx.session import open_exported
from dukd_basicsr.networks.tiling import Tiler
from dukd_basicsr.upscale.enlarge import Enlarger
from dukd_basicsr.upscale.images import Picture
from dukd_basicsr.web import page as web_page
from dukd_basicsr.web.page import export_web
from dukd_basicsr.web.runtime import FILES, find_runtime
from tests.browser import DESKTOP, TELEPHONE, Quiet, open_browser, open_page, serve
from tests.images import PHOTO
from tests.toys import EXPORTED, STUDENT, save_weights

pytestmark = pytest.mark.slow
GREY = {**STUDENT, 'type': 'SRVGGNetCompact', 'num_in_ch': 1, 'num_out_ch': 1, 'num_conv': 1, 'upscale': 2}
del GREY['num_block']
NETWORKS = {'EDSR': STUDENT, 'SwinIR': EXPORTED['SwinIR'][0], 'grey': GREY}
TILE = 24
"""Of the sites here, so that small pictures need several."""


@pytest.fixture(scope='module')
def runtime(tmp_path_factory):
    """A folder with onnxruntime-web; the tests are skipped where neither the cache nor npm has it."""
    try:
        files = find_runtime()
    except UserError as error:
        pytest.skip(str(error))
    folder = tmp_path_factory.mktemp('runtime')
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture(scope='module')
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture(scope='module')
def make_site(browser, runtime, tmp_path_factory):
    """From a name of `NETWORKS` to the folder of its page; each is exported once."""
    made = {}

    def make(name='EDSR', precision='fp32', calibrate=None):
        if (name, precision) not in made:
            torch.manual_seed(3)
            folder = tmp_path_factory.mktemp('site')
            options = folder / 'options.yml'
            options.write_text(json.dumps({'network_g': NETWORKS[name]}))
            save_weights(folder / 'net.pth', NETWORKS[name])
            export_web(folder / 'net.pth', folder / 'web', options, precision, calibrate, runtime)
            settings = json.loads((folder / 'web' / 'network.json').read_text())
            (folder / 'web' / 'network.json').write_text(json.dumps(settings | {'tile': TILE}))
            made[name, precision] = folder / 'web'
        return made[name, precision]

    return make


@pytest.fixture
def visit(browser):
    """From a folder to its page, opened; at the end nothing has been complained of or asked of others."""
    opened = []

    def open_site(folder, viewport=DESKTOP, before='', handler=None):
        server = serve(folder, handler)
        address = server.__enter__()
        page, complaints, asked = open_page(browser, viewport)
        opened.append((server, address, page, complaints, asked))
        if before:
            page.add_init_script(before)
        page.goto(address)
        page.wait_for_selector('[data-ready]')
        return page

    yield open_site
    for server, address, page, complaints, asked in opened:
        page.context.close()
        server.__exit__(None, None, None)
        assert complaints == []
        assert [each for each in asked if not each.startswith((address, 'blob:', 'data:'))] == []


def save(folder, pixels, name='photo.png'):
    Image.fromarray(pixels).save(folder / name)
    return folder / name


def cut_photo(height=53, width=67):
    return np.ascontiguousarray(PHOTO[100 : 100 + height, 180 : 180 + width, ::-1])


def enlarge(page, file):
    """Give the page a file; the pixels of what it offers for download, and of bicubic beside it."""
    page.set_input_files('#file', file)
    page.wait_for_selector('.compare.live', timeout=60_000)
    with page.expect_download() as download:
        page.click('#download')
    result = np.asarray(Image.open(download.value.path()))
    shown = page.evaluate("""async () => {
        const image = document.querySelector('.figures img'), canvas = document.createElement('canvas');
        [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
        canvas.getContext('2d').drawImage(image, 0, 0);
        return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data];
    }""")
    return result[..., :3].astype(int), np.array(shown).reshape(*result.shape[:2], 4)[..., :3]


def ask_onnxruntime(site, pixels):
    """The whole picture at once, clamped and rounded."""
    net = open_exported(site / 'network.onnx')
    output = net(torch.from_numpy(pixels.transpose(2, 0, 1)[None].astype(np.float32) / 255))
    return (output[0].clamp(0, 1) * 255).round().numpy().transpose(1, 2, 0).astype(int), net


@pytest.fixture
def require_equal(record_property):
    """Equal within 2 of 255; `--junitxml=FILE` shows how near it is."""

    def require(result, expected):
        difference = abs(result - expected.astype(int))
        record_property('largest difference of 255', int(difference.max()))
        record_property('share of values that differ', float((difference > 0).mean()))
        assert difference.max() <= 2

    return require


def make_enlarger(net):
    """What `basicsr upscale` enlarges with, whole pictures."""
    return Enlarger(Tiler(net, net.channels, torch.device('cpu'), tile=4096), net.scale)


def test_result_is_that_of_onnxruntime_for_the_whole_picture(make_site, visit, tmp_path, require_equal):
    site, pixels = make_site(), cut_photo()
    result, bicubic = enlarge(visit(site), save(tmp_path, pixels))
    expected, net = ask_onnxruntime(site, pixels)
    assert result.shape == (106, 134, 3)
    require_equal(result, expected)
    assert (result != expected).mean() < 0.01
    assert abs(bicubic - make_enlarger(net).enlarge_bicubic(Picture(pixels))).max() <= 1
    assert abs(result - bicubic).mean() > 3  # or equal pictures would say nothing


class Isolated(Quiet):
    """With what browsers ask of a server before threads may share memory."""

    def end_headers(self):
        self.send_header('Cross-Origin-Opener-Policy', 'same-origin')
        self.send_header('Cross-Origin-Embedder-Policy', 'require-corp')
        super().end_headers()


def test_several_threads_compute_the_same(make_site, visit, tmp_path, require_equal):
    site, pixels = make_site(), cut_photo()
    page = visit(site, handler=Isolated)
    assert page.evaluate('crossOriginIsolated')
    result, _ = enlarge(page, save(tmp_path, pixels))
    require_equal(result, ask_onnxruntime(site, pixels)[0])


def test_tiles_that_see_less_would_show_seams(make_site, visit, tmp_path, monkeypatch):
    site, pixels = make_site(), cut_photo()
    text = (site / 'network.json').read_text()
    try:
        (site / 'network.json').write_text(json.dumps(json.loads(text) | {'overlap': 0}))
        result, _ = enlarge(visit(site), save(tmp_path, pixels))
    finally:
        (site / 'network.json').write_text(text)
    difference = abs(result - ask_onnxruntime(site, pixels)[0]).max(2)
    assert difference.max() > 2
    assert difference[2 * TILE - 2 : 2 * TILE + 2].max() > 2


@pytest.mark.parametrize('kind', ['colours', 'greys'])
def test_networks_of_one_channel_and_grey_pictures_are_those_of_upscale(
    make_site, visit, tmp_path, kind, require_equal
):
    site = make_site('grey')
    pixels = cut_photo() if kind == 'colours' else np.ascontiguousarray(cut_photo()[..., 1])
    result, _ = enlarge(visit(site), save(tmp_path, pixels))
    picture = Picture(pixels if pixels.ndim == 3 else pixels[..., None])
    expected = make_enlarger(open_exported(site / 'network.onnx'))(picture, lambda done, all: None).pixels
    require_equal(result, expected)


def test_windows_are_padded_as_in_the_file(make_site, visit, tmp_path, require_equal):
    site = make_site('SwinIR')
    pixels = cut_photo(21, 23)  # one tile of an odd size
    result, _ = enlarge(visit(site), save(tmp_path, pixels))
    require_equal(result, ask_onnxruntime(site, pixels)[0])


@pytest.mark.parametrize('precision', ['fp16', 'int8'])
def test_other_precisions_run_too(make_site, visit, tmp_path, precision, require_equal):
    calibrate = None
    if precision == 'int8':
        calibrate = tmp_path / 'calibrate'
        calibrate.mkdir()
        save(calibrate, cut_photo(48, 48))
    site, pixels = make_site('EDSR', precision, calibrate), cut_photo()
    result, _ = enlarge(visit(site), save(tmp_path, pixels))
    require_equal(result, ask_onnxruntime(site, pixels)[0])


def test_all_of_it_by_keys_on_a_telephone(make_site, visit, tmp_path):
    page, file = visit(make_site(), TELEPHONE), save(tmp_path, cut_photo())
    page.keyboard.press('Tab')
    assert page.evaluate('document.activeElement.id') == 'choose'
    # The window of the system itself is none of the page's, and headless browsers show it now and then only.
    page.evaluate("""document.getElementById('file').addEventListener('click', (event) => {
        event.preventDefault();
        window.asked = navigator.userActivation.isActive;
    })""")
    page.keyboard.press('Enter')
    assert page.evaluate('window.asked')
    page.set_input_files('#file', file)
    page.wait_for_selector('.compare.live', timeout=60_000)
    assert page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')
    assert page.evaluate('document.activeElement.id') == 'download'
    assert page.get_attribute('#download', 'download') == 'photo_x2.png'
    for _ in range(3):  # past the two choices
        page.keyboard.press('Tab')
    page.keyboard.press('ArrowRight')
    divider = page.get_by_role('slider', name='Divider')
    assert divider.evaluate('element => element === document.activeElement')
    assert divider.get_attribute('aria-valuetext') == '52 % bicubic, the rest EDSR'


@pytest.mark.parametrize('kind', ['drop', 'paste'])
def test_pictures_are_dropped_and_pasted(make_site, visit, tmp_path, kind):
    page, file = visit(make_site()), save(tmp_path, cut_photo(9, 11))
    page.evaluate(
        """([kind, bytes]) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], 'mine.png', { type: 'image/png' }));
            document.dispatchEvent(kind === 'drop'
                ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
                : new ClipboardEvent('paste', { clipboardData: data, bubbles: true }));
        }""",
        [kind, list(file.read_bytes())],
    )
    page.wait_for_selector('.compare.live', timeout=60_000)
    assert page.inner_text('#summary').startswith('11x9 to 22x18 in ')


def test_transparent_pictures_are_put_on_white(make_site, visit, tmp_path, require_equal):
    pixels = np.dstack([cut_photo(24, 30), np.full((24, 30), 255, np.uint8)])
    pixels[:12, :, 3] = 0
    on_white = np.where(pixels[..., 3:] == 0, np.uint8(255), pixels[..., :3])
    page = visit(make_site())
    result, _ = enlarge(page, save(tmp_path, pixels))
    assert 'put on white' in page.inner_text('#notes')
    require_equal(result, ask_onnxruntime(make_site(), on_white)[0])


def test_what_cannot_be_enlarged_is_a_sentence_and_the_next_picture_works(make_site, visit, tmp_path):
    page, name = visit(make_site()), '<img src=x onerror=alert(1)>.png'
    (tmp_path / name).write_text('no picture')
    page.set_input_files('#file', tmp_path / name)
    page.wait_for_selector('#problem:not([hidden])')
    assert page.inner_text('#problem').startswith(f'{name} is no picture that this browser can read')
    Image.new('1', (9000, 4000)).save(tmp_path / 'large.png')
    page.set_input_files('#file', tmp_path / 'large.png')
    page.wait_for_selector('#problem:has-text("large.png")')
    assert page.inner_text('#problem').startswith(
        'large.png is too large for a browser: its 9000x4000 pixels would become 18000x8000, 144.0 million'
    )
    page.evaluate("document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: new DataTransfer() }))")
    assert page.inner_text('#problem').startswith('There is no picture in what was')
    enlarge(page, save(tmp_path, cut_photo(9, 11)))
    assert not page.is_visible('#problem')


def test_cancelled_work_leaves_nothing_and_the_next_picture_works(make_site, visit, tmp_path):
    page = visit(make_site())
    page.set_input_files('#file', save(tmp_path, cut_photo(300, 280)))
    page.wait_for_selector('#status:has-text("left")')
    page.get_by_role('button', name='Cancel').press('Enter')
    assert not page.is_visible('#work')
    assert not page.is_visible('#done')
    assert not page.is_visible('#problem')
    result, _ = enlarge(page, save(tmp_path, cut_photo(9, 11), 'next.png'))
    assert result.shape == (18, 22, 3)


def test_browsers_without_webassembly_are_told(make_site, visit, tmp_path):
    page = visit(make_site(), before='delete window.WebAssembly')
    page.set_input_files('#file', save(tmp_path, cut_photo(9, 11)))
    page.wait_for_selector('#problem:not([hidden])')
    assert page.inner_text('#problem') == 'This browser has no WebAssembly, which runs the network.'


def test_a_page_opened_as_a_file_says_what_to_do(make_site, browser):
    page, _, _ = open_page(browser)
    page.goto((make_site() / 'index.html').as_uri())
    assert 'python3 -m http.server' in page.inner_text('#unserved')
    assert not page.is_visible('#drop')
    page.context.close()


def copy_site(site, folder, changes=(), left_out=()):
    """A page with some lines changed: file to text and what stands in its place."""
    changes = dict(changes)
    for file in site.rglob('*'):
        if file.is_file() and file.name not in left_out:
            target = folder / file.relative_to(site)
            target.parent.mkdir(parents=True, exist_ok=True)
            if file.name in changes:
                old, new = changes[file.name]
                assert file.read_text().count(old) == 1
                target.write_text(file.read_text().replace(old, new))
            else:
                target.symlink_to(file)
    return folder


START = 'const { scale, channels } = settings;'
"""In worker.js, of what computes a tile."""


def test_tiles_are_halved_until_the_memory_suffices(make_site, visit, tmp_path, require_equal):
    site, pixels = make_site(), cut_photo(70, 90)
    limit = f"{START} if (width > 50) throw new Error('out of memory');"
    copy = copy_site(
        site, tmp_path / 'copy', {'worker.js': (START, limit), 'network.json': (f'"tile": {TILE}', '"tile": 128')}
    )
    result, _ = enlarge(visit(copy), save(tmp_path, pixels))
    require_equal(result, ask_onnxruntime(site, pixels)[0])


@pytest.mark.parametrize(
    ('changes', 'sentence'),
    [
        (
            {'worker.js': (START, f"{START} throw new Error('out of memory');")},
            'The network cannot be run on this picture here (out of memory).',
        ),
        (
            {'worker.js': ('if (!answers.every', 'answers[0][0] = NaN;\n  if (!answers.every')},
            'The network cannot be run on this picture here (the network answered with values that are no numbers).',
        ),
        (
            {
                'worker.js': (START, f'{START} await new Promise(() => {{}});'),
                'enlarger.js': ('const PATIENCE = 300;', 'const PATIENCE = 3;'),
            },
            'It took more than 0.05 minutes without an answer, and was stopped.',
        ),
    ],
    ids=['memory', 'numbers', 'patience'],
)
def test_what_fails_on_the_way_is_a_sentence(make_site, visit, tmp_path, changes, sentence):
    page = visit(copy_site(make_site(), tmp_path / 'copy', changes))
    page.set_input_files('#file', save(tmp_path, cut_photo(9, 11)))
    page.wait_for_selector('#problem:not([hidden])')
    assert page.inner_text('#problem') == sentence
    assert not page.is_visible('#work')


def test_a_folder_without_its_network_says_so(make_site, browser, tmp_path):
    with serve(copy_site(make_site(), tmp_path / 'copy', left_out=['network.onnx'])) as address:
        page, _, _ = open_page(browser)
        page.goto(address)
        page.wait_for_selector('[data-ready]')
        page.set_input_files('#file', save(tmp_path, cut_photo(9, 11)))
        page.wait_for_selector('#problem:not([hidden])')
        assert page.inner_text('#problem').startswith('The network cannot be started here (')
        page.context.close()


def test_another_picture_takes_the_place_of_the_one_in_work(make_site, visit, tmp_path):
    page = visit(make_site())
    page.set_input_files('#file', save(tmp_path, cut_photo(300, 280), 'first.png'))
    page.wait_for_selector('#status:has-text("left")')
    result, _ = enlarge(page, save(tmp_path, cut_photo(9, 11), 'second.png'))
    assert result.shape == (18, 22, 3)
    page.wait_for_timeout(500)  # what the first one left behind would come now
    assert page.get_attribute('#download', 'download') == 'second_x2.png'
    assert page.locator('.compare').count() == 1


def test_photographs_are_turned_as_their_tag_says(make_site, visit, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned to the right
    Image.fromarray(cut_photo(9, 21)).save(tmp_path / 'turned.jpg', exif=exif, quality=95)
    result, _ = enlarge(visit(make_site()), tmp_path / 'turned.jpg')
    upright = np.ascontiguousarray(cut_photo(9, 21).transpose(1, 0, 2)[:, ::-1])
    expected, _ = ask_onnxruntime(make_site(), upright)
    assert result.shape == expected.shape
    assert abs(result - expected).mean() < abs(result[::-1] - expected).mean() / 3  # JPEG is not exact


def make_runtime(folder):
    """Files of the right names, for what does not look into them."""
    folder.mkdir()
    for name in FILES:
        (folder / name).write_bytes(b'x')
    return folder


def test_a_folder_that_is_in_use_is_refused_before_any_work(tmp_path):
    runtime = make_runtime(tmp_path / 'runtime')
    save_weights(tmp_path / 'net.pth', STUDENT)
    (tmp_path / 'full').mkdir()
    (tmp_path / 'full' / 'thesis.txt').write_text('mine')
    for folder, sentence in {'full': 'is not empty', 'net.pth': 'is a file'}.items():
        with pytest.raises(UserError, match=sentence):
            export_web(tmp_path / 'net.pth', tmp_path / folder, runtime=runtime)
    with pytest.raises(UserError, match='exported already'):
        export_web(Path('net.onnx'), tmp_path / 'web', runtime=runtime)
    with pytest.raises(UserError, match='no such file'):
        export_web(tmp_path / 'missing.pth', tmp_path / 'web', runtime=runtime)
    assert sorted(file.name for file in tmp_path.iterdir()) == ['full', 'net.pth', 'runtime']


def test_a_folder_without_index_is_not_whole(tmp_path, monkeypatch):
    runtime = make_runtime(tmp_path / 'runtime')
    save_weights(tmp_path / 'net.pth', STUDENT)
    written = []
    monkeypatch.setattr(web_page, 'write_result', lambda path, data: written.append(path.name))
    export_web(tmp_path / 'net.pth', tmp_path / 'web', runtime=runtime)
    assert written[-1] == 'index.html'
    assert {'app.js', 'slider.js', 'network.json', 'ort.wasm.bundle.min.mjs'} < set(written)
