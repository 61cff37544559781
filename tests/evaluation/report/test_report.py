import base64
import io
import re
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from dukd_basicsr.errors import RunError
from dukd_basicsr.evaluation.report import Report, comparisons, format_report, write_report
from dukd_basicsr.pages.markup import escape
from tests.evaluation.report.toy_report import HOSTILE, draw, make_report


class Reader(HTMLParser):
    """What a browser makes of a page: its elements, with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.text = [], ''
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def find(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def read_images(page):
    """The pixels of every picture of a page, in order."""
    sources = [image['src'].partition(';base64,')[2] for image in Reader(page).find('img')]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(source)))) for source in sources]


def test_page_asks_for_nothing():
    page = format_report(make_report())
    for tag, attributes in Reader(page).elements:
        for name in ('src', 'href', 'srcset', 'action', 'data', 'poster', 'background'):
            assert str(attributes.get(name, 'data:')).startswith('data:'), (tag, name)
        assert tag not in ('iframe', 'object', 'embed', 'base')
    assert not re.search(r'url\(|@import|https?:|fetch\(|XMLHttpRequest|\bimport\(', page)
    assert "default-src 'none'" in page


def test_text_of_any_kind_is_shown_and_nothing_else():
    plain, hostile = Reader(format_report(make_report('toy'))), Reader(format_report(make_report(HOSTILE)))
    assert [tag for tag, _ in hostile.elements] == [tag for tag, _ in plain.elements]
    assert hostile.text.count(HOSTILE) == plain.text.replace('student', '').count('toy') > 10
    assert any(image['alt'] == f'{HOSTILE}, {HOSTILE}' for image in hostile.find('img'))


@given(text=st.text())
def test_escaped_text_is_read_back(text):
    (attributes,) = Reader(f'<p title="{escape(text)}">').find('p')
    shown = re.sub(r'[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]', '\ufffd', text)
    assert attributes['title'] == shown == Reader(f'<p>{escape(text)}</p>').text


def test_names_of_files_that_are_no_unicode_are_written(tmp_path):
    write_report(tmp_path / 'new' / 'report.html', make_report('caf\udce9'))
    assert 'caf\ufffd' in (tmp_path / 'new' / 'report.html').read_text('utf-8')


def test_only_parts_with_content_are_there():
    reader = Reader(format_report(Report('Nothing yet')))
    assert not reader.find('h2')
    assert not reader.find('img')
    assert len(Reader(format_report(make_report())).find('h2')) == 5


def test_equal_content_is_an_equal_page():
    assert format_report(make_report()) == format_report(make_report())


def test_pictures_are_shown_without_loss_from_arrays_and_files(tmp_path):
    images = {'teacher': draw(0), 'student': draw(1), 'grey': draw(2)[..., 0]}
    cv2.imwrite(str(tmp_path / 'student.png'), images['student'][..., ::-1])
    page = format_report(Report('toy', comparisons={'a': {**images, 'student': tmp_path / 'student.png'}}))
    shown = read_images(page)
    assert [np.array_equal(got, image) for got, image in zip(shown[:2], images.values(), strict=False)] == [True, True]
    assert np.array_equal(shown[2], np.dstack([images['grey']] * 3))
    assert '60x40 pixels' in page


def test_large_pictures_are_cut_where_they_differ_most(monkeypatch):
    monkeypatch.setattr(comparisons, 'PIXELS', 2 * 32**2)
    monkeypatch.setattr(comparisons, 'LEAST', 8)
    first = draw(0, 90, 70)
    second = first.copy()
    second[50:82, 20:52] ^= 255
    page = format_report(Report('toy', comparisons={'large': {'student': first, 'bicubic': second}}))
    shown = read_images(page)
    assert np.array_equal(shown[0], first[50:82, 20:52])
    assert np.array_equal(shown[1], second[50:82, 20:52])
    assert 'The 32x32 pixels of 70x90 where they differ most' in page
    assert Reader(page).find('section')[0]['data-left'] == 'bicubic'


def test_many_pictures_stay_within_the_page(monkeypatch):
    monkeypatch.setattr(comparisons, 'PIXELS', 12_000)
    monkeypatch.setattr(comparisons, 'LEAST', 8)
    many = {str(number): {'a': draw(number), 'b': draw(number + 1)} for number in range(9)}
    assert sum(image[..., 0].size for image in read_images(format_report(Report('toy', comparisons=many)))) <= 12_000


@pytest.mark.parametrize('images', [{'a': draw()}, {'a': draw(), 'b': draw(1, 41)}])
def test_pictures_that_cannot_be_compared_are_refused(images):
    with pytest.raises(ValueError, match='two or more images of one size'):
        format_report(Report('toy', comparisons={'name': images}))


def test_rows_that_fit_no_header_are_refused():
    with pytest.raises(ValueError, match='does not fit 1 headers'):
        Report('toy', headers=['network'], rows=[['a', 'b']])


def test_a_picture_that_cannot_be_read_is_a_sentence_and_leaves_the_page_of_before(tmp_path):
    target = tmp_path / 'report.html'
    write_report(target, Report('before'))
    before = target.read_bytes()
    missing = {'a': tmp_path / 'missing.png', 'b': draw()}
    with pytest.raises(RunError, match=r'missing\.png: it cannot be shown in the report'):
        write_report(target, Report('toy', comparisons={'name': missing}))
    assert target.read_bytes() == before
    assert list(tmp_path.iterdir()) == [target]
