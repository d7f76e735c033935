"""One self-contained HTML page: no network, no scripts, light or dark as its reader's system is.

This module escapes arguments named `text`, and those that a docstring calls text. `parts` and
`content` are markup that functions of this module or of `html_plots` returned.
"""

import base64
import html
import re
from collections.abc import Sequence

from mimic_jax.reporting.plots import COLOURS

_NUMBER = re.compile(r'[\d.,+\-−–±×/()%e\s]*')  # the text of a right-aligned cell

_WIDE = 5  # columns: a phone shows fewer

# Colours keep a contrast of 4.5 to the ground for text and of 3 for lines.
_STYLE = """
:root { color-scheme: light dark; --ground: #fff; --ink: #1c1c1c; --soft: #5a5a5a; --line: #d8d8d8;
  --tint: #0b62a8; --panel: #f6f6f6; LIGHT }
@media (prefers-color-scheme: dark) { :root { --ground: #161616; --ink: #e6e6e6; --soft: #a6a6a6;
  --line: #3c3c3c; --tint: #6cb6ff; --panel: #202020; --c0: #6cb6ff; --c1: #ff9e64; --c2: #7fd18b;
  --c3: #d19bea; --c4: #ff8a95; --c5: #5fd0d8; --c6: #d9c64d; --c7: #b4bcc8; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 66rem; background: var(--ground);
  color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 1rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; line-height: 1.3; margin: 3rem 0 .75rem; }
p, ul { margin: 0 0 1rem; max-width: 42rem; overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; }
.lead { font-size: 1.2rem; line-height: 1.45; }
.soft, figcaption, summary span { color: var(--soft); }
.soft, figcaption { font-size: .875rem; }
pre { font: .85em/1.5 ui-monospace, monospace; }
.scroll { overflow-x: auto; margin: 0 0 1rem; background:  /* a shade where columns are hidden */
  linear-gradient(to left, var(--ground) 40%, transparent) right / 3rem 100% no-repeat local,
  linear-gradient(to left, var(--line), transparent) right / 1rem 100% no-repeat; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .75rem; text-align: left; font-weight: normal;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--soft); vertical-align: bottom; }
th:first-child, td:first-child { padding-left: 0; }
tbody th { position: sticky; left: 0; background: var(--ground); white-space: nowrap; }
.number { text-align: right; }
td.number { white-space: nowrap; }
.matrix td { text-align: center; background: color-mix(in srgb, var(--tint) var(--share), transparent); }
.matrix thead th { text-align: center; }
figure { margin: 0 0 1.5rem; max-width: 36rem; }
figure.wide { max-width: 48rem; }
figure img { width: 100%; height: auto; background: #fff; }
svg { display: block; width: 100%; height: auto; font: 13px system-ui, sans-serif; fill: var(--ink); }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: .15rem 1.25rem; margin: .25rem 0 0;
  padding: 0; font-size: .875rem; }
.key svg { display: inline-block; width: 1.6em; height: .9em; vertical-align: -.05em;
  margin-right: .35em; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(10rem, 1fr));
  gap: 1.25rem 1rem; max-width: none; margin: 0 0 1rem; padding: 0; list-style: none; }
.examples img { display: block; width: 6rem; height: 6rem; object-fit: contain;
  object-position: left; image-rendering: pixelated; margin-bottom: .35rem; }
.examples li { font-size: .8rem; line-height: 1.45; font-variant-numeric: tabular-nums; }
.examples p { margin: 0; }
details { margin: 0 0 1rem; }
summary { cursor: pointer; margin-bottom: .75rem; }
pre { margin: 0 0 1rem; padding: .6rem .9rem; background: var(--panel); overflow-x: auto; }
@media (max-width: 36rem) { body { padding-top: 1.5rem; } svg { font-size: 17px; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  th, td { padding: .35rem .4rem; }
  tbody th { white-space: normal; }
  .matrix th, .matrix td { padding: .35rem .2rem; }
  .matrix tbody th { min-width: 6rem; }
  .stacked, .stacked tbody, .stacked tr, .stacked tbody th { display: block; }
  .stacked thead { display: none; }
  .stacked tr { padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .stacked tbody th, .stacked td { padding: .1rem 0; border: 0; white-space: normal; }
  .stacked tbody th { position: static; font-weight: 600; }
  .stacked td { display: flex; justify-content: space-between; gap: 1rem; overflow-wrap: anywhere;
    text-align: right; }
  .stacked td[data-label=""] { display: block; font-weight: 600; text-align: left; }
  .stacked td::before { content: attr(data-label); color: var(--soft); white-space: nowrap; } }
"""


def escape(text) -> str:
    """Text as it may stand between tags and in quoted attributes."""
    return html.escape(str(text), quote=True)


def page(title: str, parts: Sequence[str]) -> str:
    """The whole document.  title: text, the window's title."""
    light = ' '.join(f'--c{number}: {colour};' for number, colour in enumerate(COLOURS))
    style = _STYLE.replace('LIGHT', light)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        # The page may show pictures inside it, and may load nothing from elsewhere.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; img-src data:; style-src 'unsafe-inline'\">\n"
        f'<title>{escape(title)}</title>\n<style>{style}</style>\n</head>\n<body>\n'
        + '\n'.join(parts)
        + '\n</body>\n</html>\n'
    )


def heading(text: str) -> str:
    return f'<h1>{escape(text)}</h1>'


def section(title: str, *parts: str) -> str:
    """A heading and the parts below it; '' where all parts are empty.  title: text."""
    found = [part for part in parts if part]
    return '\n'.join([f'<h2>{escape(title)}</h2>', *found]) if found else ''


def paragraph(text: str, kind: str = '') -> str:
    """kind: 'lead' for the first sentence of a page, 'soft' for what is less important."""
    return f'<p{_of_class(kind)}>{escape(text)}</p>' if text else ''


def bullets(texts: Sequence[str]) -> str:
    items = ''.join(f'<li>{escape(text)}</li>' for text in texts)
    return f'<ul>{items}</ul>' if items else ''


def table(cells: Sequence[Sequence[str]]) -> str:
    """A table in a box that scrolls; a phone shows a wide table as a list of its lines.

    cells: text, line by line, the head first. A column of numbers is aligned to the right.
    """
    head, *body = cells
    sides = [
        all(_NUMBER.fullmatch(line[column]) for line in body) and column > 0
        for column in range(len(head))
    ]
    return _table(
        [
            f'<th scope="col"{_right(side)}>{escape(text)}</th>'
            for text, side in zip(head, sides, strict=True)
        ],
        [
            f'<th scope="row">{escape(first)}</th>'
            + ''.join(
                f'<td{_right(side)} data-label="{escape(name)}">{escape(text)}</td>'
                for name, text, side in zip(head[1:], rest, sides[1:], strict=True)
            )
            for first, *rest in body
        ],
        'stacked' if len(head) >= _WIDE else '',
    )


def matrix(names: Sequence[str], values: Sequence[Sequence[float | None]]) -> str:
    """Shares in %, a line and a column for each name, larger ones more tinted; None is a dash.

    names: text.  values: fractions [V, V].
    """
    found = [value for line in values for value in line if value is not None]
    low, high = min(found, default=0), max(found, default=1)

    def cell(value: float | None) -> str:
        if value is None:
            return '<td>–</td>'
        tint = 35 * (value - low) / ((high - low) or 1)
        return f'<td style="--share:{tint:.0f}%">{100 * value:.1f}</td>'

    numbers = range(1, len(names) + 1)
    return _table(
        ['<td></td>', *(f'<th scope="col">{number}</th>' for number in numbers)],
        [
            f'<th scope="row">{number}&ensp;{escape(name)}</th>' + ''.join(map(cell, line))
            for number, name, line in zip(numbers, names, values, strict=True)
        ],
        'matrix',
    )


def image(png: bytes, alt: str) -> str:
    """A picture inside the page.  alt: text, a description of the picture."""
    data = base64.b64encode(png).decode('ascii')
    return f'<img src="data:image/png;base64,{data}" alt="{escape(alt)}">'


def figure(content: str, caption: str = '', kind: str = '') -> str:
    """kind: 'wide' for a picture that needs more than a column's width.  caption: text."""
    below = f'<figcaption>{escape(caption)}</figcaption>' if caption else ''
    return f'<figure{_of_class(kind)}>{content}{below}</figure>'


def gallery(items: Sequence[tuple[str, Sequence[str]]]) -> str:
    """Small pictures side by side, each with lines below.  items: (content or '', texts)."""
    cards = (
        f'<li>{content}' + ''.join(f'<p>{escape(text)}</p>' for text in texts) + '</li>'
        for content, texts in items
    )
    return f'<ul class="examples">{"".join(cards)}</ul>'


def details(text: str, *parts: str) -> str:
    """Parts folded away below a line of text."""
    return f'<details><summary>{escape(text)}</summary>{"".join(parts)}</details>'


def preformatted(text: str) -> str:
    return f'<pre tabindex="0">{escape(text)}</pre>' if text else ''


def _table(head: Sequence[str], body: Sequence[str], kind: str = '') -> str:
    lines = ''.join(f'<tr>{line}</tr>\n' for line in body)
    return (
        f'<div class="scroll" tabindex="0"><table{_of_class(kind)}>\n<thead><tr>{"".join(head)}</tr>'
        f'</thead>\n<tbody>\n{lines}</tbody>\n</table></div>'
    )


def _of_class(kind: str) -> str:
    return f' class="{kind}"' if kind else ''


def _right(side: bool) -> str:
    return _of_class('number' if side else '')
