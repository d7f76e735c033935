"""A plot inside a page: Matplotlib's SVG, in the page's colours and type, light or dark."""

import re

from mimic_jax.reporting import html_page, pictures, plots
from mimic_jax.reporting.html_page import escape
from mimic_jax.reporting.plots import COLOURS, Plot, Series

# What stands for a colour in the page's style.
_NAMES = {colour: f'var(--c{number})' for number, colour in enumerate(COLOURS)} | {
    plots.INK: 'var(--ink)',
    plots.SOFT: 'var(--soft)',
    plots.LINE: 'var(--line)',
    plots.GROUND: 'var(--ground)',
}
_DASHES = ('', '6 3', '2 3', '8 3 2 3')  # of the key, as `plots.DASHES`


def drawn(plot: Plot) -> str:
    """A figure of all series with its key; '' where none has a point."""
    figure = plots.figure(plot, legend=False)
    if figure is None:
        return ''
    alt = f'{plot.y_label} against {plot.x_label}: {", ".join(each.name for each in plot.shown)}'
    return html_page.figure(_svg(figure, plot, alt) + _key(plot))


def _svg(figure, plot: Plot, alt: str) -> str:
    """The figure without what a page has already: size, fonts, colours, styles of its own."""
    figure.patch.set_visible(False)
    for axes in figure.axes:
        axes.patch.set_visible(False)
    text = pictures.svg(figure, alt)
    text = text[text.index('<svg') :]
    box = re.search(r'viewBox="([^"]*)"', text)[1]
    head = f'<svg viewBox="{box}" role="img" aria-label="{escape(alt)}">'
    text = head + text[text.index('>') + 1 :]
    text = re.sub(r'<metadata>.*?</metadata>', '', text, flags=re.DOTALL)
    text = re.sub(r'<style[^>]*>.*?</style>', '', text, flags=re.DOTALL)
    text = re.sub(r'font-size: [^;]*; font-family: [^;]*; ', '', text)
    text = re.sub(r'#[0-9a-f]{6}', lambda found: _NAMES.get(found[0], found[0]), text)
    for number, series in enumerate(plot.shown):
        text = text.replace(f'<g id="series {number}">', f'<g>{_title(series)}')
    return re.sub(r' id="(figure|axes|patch|line2d|text|xtick|ytick|matplotlib)[^"]*"', '', text)


def _title(series: Series) -> str:
    """What a pointer over the series shows."""
    if series.shape == 'line':
        return f'<title>{escape(series.name)}</title>'
    places = '; '.join(f'{x:,.6g}, {y:.2f}' for x, y in series.points)
    return f'<title>{escape(series.name)}: {places}</title>'


def _key(plot: Plot) -> str:
    signs = [(each.name, _sign(each)) for each in plot.shown]
    if plot.level:
        across = '<path d="M1 8H27" stroke="var(--ink)" stroke-width="1.5" stroke-dasharray="6 4"/>'
        signs.append((plot.level[0], across))
    items = (
        f'<li><svg viewBox="0 0 28 16" aria-hidden="true">{sign}</svg>{escape(name)}</li>'
        for name, sign in signs
    )
    return f'<ul class="key">{"".join(items)}</ul>'


def _sign(series: Series) -> str:
    colour = _NAMES[series.colour]
    if series.shape == 'line':
        dashes = _DASHES[plots.DASHES.index(series.dashes)]
        return f'<path d="M1 8H27" stroke="{colour}" stroke-width="2" stroke-dasharray="{dashes}"/>'
    fill = _NAMES[plots.GROUND] if series.is_open else colour
    outline = {
        'circle': 'M9.5 8a4.5 4.5 0 1 0 9 0a4.5 4.5 0 1 0-9 0',
        'square': 'M10 4h8v8h-8Z',
        'triangle': 'M14 3l5 9h-10Z',
    }[series.shape]
    return f'<path d="{outline}" fill="{fill}" stroke="{colour}" stroke-width="2"/>'
