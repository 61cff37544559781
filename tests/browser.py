"""Headless Chromium for tests of pages: Debian's package `chromium`, driven by PyPI's `playwright`."""

from __future__ import annotations

import shutil
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

DESKTOP, TELEPHONE = {'width': 1200, 'height': 900}, {'width': 390, 'height': 844}
# Without them a closed network is asked for updates at every start.
_FLAGS = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
          '--disable-component-update', '--disable-sync']  # fmt: skip


@contextmanager
def open_browser():
    """A browser, closed at the end; the test is skipped where there is none.

    Yields:
        playwright.sync_api.Browser: Not yet with a page.
    """
    api = pytest.importorskip('playwright.sync_api', reason='playwright is not installed: pip install playwright')
    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    if chromium is None:
        pytest.skip('no chromium on this machine: apt-get install chromium')
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS, chromium_sandbox=False)
        try:
            yield browser
        finally:
            browser.close()


def open_page(browser, viewport=DESKTOP, **settings):
    """A page, and two lists that fill: what it complains of, and the addresses that it asks for.

    Returns:
        tuple: playwright's Page; list of texts; list of addresses without data: and blob:.
    """
    page = browser.new_context(viewport=viewport, **settings).new_page()
    complaints, asked = [], []
    page.on('console', lambda message: complaints.append(message.text) if message.type != 'log' else None)
    page.on('pageerror', lambda error: complaints.append(str(error)))
    page.on('request', lambda request: asked.append(request.url))
    return page, complaints, asked


@contextmanager
def serve(folder, handler=None):
    """A web server of this machine alone, for one folder; a handler of one's own may send more headers.

    Yields:
        str: Its address.
    """
    server = ThreadingHTTPServer(('127.0.0.1', 0), partial(handler or Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f'http://127.0.0.1:{server.server_port}/'
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class Quiet(SimpleHTTPRequestHandler):
    """Files, and no line for each of them."""

    def log_message(self, *args):
        """Nothing: the tests look at the page."""
