"""The report's page: one file, which asks no network for anything."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from dukd_basicsr import __version__
from dukd_basicsr.data.atomic import write_result
from dukd_basicsr.evaluation.report.charts import draw_chart, group_curves
from dukd_basicsr.evaluation.report.comparisons import format_comparisons
from dukd_basicsr.evaluation.report.content import Form, Report
from dukd_basicsr.pages.markup import escape, read_asset

_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""Browsers refuse every request, should one ever slip in."""


def write_report(path: Path, report: Report) -> None:
    """Write the page, whole or not at all.

    Args:
        path (Path): The file, .html; its folder is made if it is missing, and what was there is replaced.
        report (Report): What it shows.

    Raises:
        RunError: It cannot be written, or an image file of a comparison cannot be read.
        ValueError: Images of one comparison are of several sizes, or fewer than two.
    """
    write_result(path, format_report(report).encode())


def format_report(report: Report) -> str:
    """The page's text; equal for equal content.

    Raises:
        RunError: An image file of a comparison cannot be read.
        ValueError: Images of one comparison are of several sizes, or fewer than two.
    """
    style = read_asset('theme.css') + read_asset('slider.css') + Path(__file__).with_name('page.css').read_text('utf-8')
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(report.title)}</title>\n<link rel="icon" href="data:,">\n'
        f'<style>\n{style}</style>\n</head>\n<body>\n'
        f'<h1>{escape(report.title)}</h1>\n{"".join(_format_parts(report))}'
        f'<footer>Written by dukd_basicsr {escape(__version__)}. This file holds all that it shows.</footer>\n'
        f'<script>\n{read_asset("slider.js")}</script>\n</body>\n</html>\n'
    )


def _format_parts(report: Report) -> Iterator[str]:
    """The parts that are not empty, in their order."""
    if report.facts:
        pairs = ''.join(f'<dt>{escape(name)}</dt><dd>{escape(value)}</dd>' for name, value in report.facts)
        yield f'<dl class="facts">{pairs}</dl>\n'
    if report.rows:
        yield f'<h2>Results</h2>\n{_format_table(report.headers, report.rows)}'
    if report.comparisons:
        yield (
            '<h2>Side by side</h2>\n<p class="note screen">Drag the divider, or move it with the arrow keys. Click '
            f'a place, or use the small sliders, to see it magnified.</p>\n{format_comparisons(report.comparisons)}'
        )
    if report.forms:
        yield f'<h2>Files</h2>\n{_format_forms(report.forms)}'
    if report.curves:
        charts = ''.join(draw_chart(name, lines) for name, lines in group_curves(report.curves).items())
        yield f'<h2>Training</h2>\n<div class="charts">{charts}</div>\n'
    if report.commands:
        commands = ''.join(f'<pre><code>{escape(command)}</code></pre>' for command in report.commands)
        yield f'<h2>Again</h2>\n<p class="note">The commands that lead here:</p>\n{commands}\n'


def _format_table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Of text; the first cell of a row is its heading."""
    head = ''.join(f'<th scope="col">{escape(header)}</th>' for header in headers)
    body = ''.join(
        f'<tr><th scope="row">{escape(row[0])}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row[1:])}</tr>'
        for row in rows
    )
    return _wrap_table(head, body, 'results')


def _wrap_table(head: str, body: str, kind: str) -> str:
    """In a frame that scrolls where the screen is narrow; `kind` is its name, and a class of the style sheet."""
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="Table of {kind}"><table class="{kind}">'
        f'<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>\n'
    )


def _format_forms(forms: Sequence[Form]) -> str:
    """Size and speed with bars, so that the eye compares them."""
    largest = max(form.size for form in forms)
    slowest = max(form.milliseconds or 0 for form in forms)
    head = ''.join(f'<th scope="col">{name}</th>' for name in ('form', 'size', 'ms', 'PSNR dB'))
    body = ''.join(
        f'<tr><th scope="row">{escape(form.name)}</th>'
        f'<td>{_format_size(form.size)}{_draw_bar(form.size, largest)}</td>'
        f'<td>{_format_number(form.milliseconds, 1)}{_draw_bar(form.milliseconds, slowest)}</td>'
        f'<td>{_format_number(form.psnr, 3)}</td></tr>'
        for form in forms
    )
    return _wrap_table(head, body, 'files')


def _format_size(size: int) -> str:
    return f'{size / 1e6:.2f} MB' if size >= 1e6 else f'{size / 1e3:.1f} KB'


def _format_number(value: float | None, decimals: int) -> str:
    return '-' if value is None else f'{value:.{decimals}f}'


def _draw_bar(value: float | None, largest: float) -> str:
    return f'<span class="bar" style="width:{100 * value / largest:.1f}%"></span>' if value and largest else ''
