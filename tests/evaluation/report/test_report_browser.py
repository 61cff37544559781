import pytest

from dukd_basicsr.evaluation.report import write_report
from tests.browser import DESKTOP, TELEPHONE, open_browser, open_page
from tests.evaluation.report.toy_report import HOSTILE, draw, make_report


@pytest.fixture(scope='module')
def browser():
    with open_browser() as opened:
        yield opened


@pytest.fixture
def report(tmp_path):
    write_report(tmp_path / 'report.html', make_report(HOSTILE))
    return (tmp_path / 'report.html').as_uri()


@pytest.fixture(params=[DESKTOP, TELEPHONE], ids=['desktop', 'telephone'])
def page(browser, report, request):
    page, complaints, asked = open_page(browser, request.param)
    page.goto(report)
    page.wait_for_selector('.compare.live')
    yield page
    assert complaints == []
    assert [address for address in asked if not address.startswith('data:')] == [report]
    page.context.close()


def test_nothing_is_wider_than_the_screen_and_no_markup_of_a_name_has_run(page):
    assert page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')
    assert page.locator('h1').inner_text() == HOSTILE
    assert page.locator('script').count() == 1


def test_divider_moves_by_keys_and_shows_what_it_divides(page):
    divider = page.get_by_role('slider', name='Divider')
    divider.focus()
    assert divider.get_attribute('aria-valuetext') == '50 % bicubic, the rest student'
    for key, value in {'ArrowRight': 52, 'ArrowUp': 54, 'ArrowLeft': 52, 'PageUp': 62, 'Home': 0, 'End': 100}.items():
        page.keyboard.press(key)
        assert float(divider.input_value()) == value
        assert (
            page.evaluate("getComputedStyle(document.querySelector('.stage')).getPropertyValue('--split')")
            == f'{value}%'
        )
    page.keyboard.press('ArrowRight')
    assert float(divider.input_value()) == 100


def test_divider_follows_the_pointer(page):
    page.locator('.stage').scroll_into_view_if_needed()
    box = page.locator('.stage').bounding_box()
    page.mouse.move(box['x'] + box['width'] / 2, box['y'] + box['height'] / 2)
    page.mouse.down()
    page.mouse.move(box['x'] + box['width'] / 4, box['y'] + box['height'] / 3, steps=4)
    page.mouse.up()
    assert float(page.get_by_role('slider', name='Divider').input_value()) == pytest.approx(25, abs=3)


def test_a_click_magnifies_what_is_there(page):
    stage = page.locator('.stage')
    for x, y in ((0.9, 0.1), (0.2, 0.6)):
        stage.scroll_into_view_if_needed()
        box = stage.bounding_box()
        page.mouse.click(box['x'] + x * box['width'], box['y'] + y * box['height'])
        for name, share, size in (('across', x, 60), ('down', y, 40)):
            slider = page.get_by_role('slider', name=f'Zoomed part, {name}')
            assert float(slider.input_value()) == pytest.approx(share * size, abs=1)


def test_any_two_are_compared_and_never_one_with_itself(page):
    sources = page.evaluate("[...document.querySelectorAll('.figures img')].map((image) => image.src)")
    names = ['teacher', 'student', 'bicubic', HOSTILE]

    def shown():
        return [page.locator(f'.stage img.{side}').get_attribute('src') for side in ('before', 'after')]

    assert shown() == [sources[2], sources[1]]
    page.get_by_label('Left').select_option(names[0])
    assert shown() == [sources[0], sources[1]]
    page.get_by_label('Left').select_option('student')  # what the right one shows: they change places
    assert shown() == [sources[1], sources[0]]
    page.get_by_label('Right').select_option('student')
    assert shown() == [sources[0], sources[1]]
    assert page.locator('.badge').all_inner_texts() == ['teacher', 'student']


def test_lenses_show_the_same_crop_of_every_picture_pixel_by_pixel(page):
    page.locator('.lens-choice select').select_option('8')
    for name, key in (('Zoomed part, across', 'End'), ('Zoomed part, down', 'Home')):
        page.get_by_role('slider', name=name).focus()
        page.keyboard.press(key)
    places = [(0, 0), (13, 7), (31, 31)]
    read = """(canvas, starts) => {
        const { data } = canvas.getContext('2d').getImageData(0, 0, 256, 256);
        return starts.map((start) => [...data.slice(start, start + 3)]);
    }"""
    for number, canvas in enumerate(page.locator('.lenses canvas').all()):
        shown = canvas.evaluate(read, [4 * (256 * (8 * row + 4) + 8 * column + 4) for row, column in places])
        crop = draw(number)[:32, 60 - 32 :]
        assert shown == [crop[place].tolist() for place in places]


def test_paper_shows_every_picture(page):
    page.emulate_media(media='print')
    assert page.locator('.figures img').evaluate_all('images => images.every((image) => image.offsetWidth > 0)')
    assert not page.locator('.stage').is_visible()


def test_without_scripts_the_pictures_are_there(browser, report):
    page, _, _ = open_page(browser, java_script_enabled=False)
    page.goto(report)
    assert [image.is_visible() for image in page.locator('.figures img').all()] == [True] * 4
    page.context.close()
