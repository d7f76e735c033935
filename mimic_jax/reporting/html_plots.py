"""Plots as SVG inside a page, in the page's colours and type, light or dark."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from mimic_jax.reporting import html_page
from mimic_jax.reporting.html_page import escape

WIDTH, HEIGHT = 560, 340
LEFT, RIGHT, TOP, BOTTOM = 76, 16, 12, 52  # of the axes, from the picture's edges
COLOURS = 8  # that the page's style has
DASHES = ('', '6 3', '2 3', '8 3 2 3')  # distinguish lines of the same colour
MOST_POINTS = 400  # of a line; more would be invisible


@dataclasses.dataclass(frozen=True)
class Series:
    """The points of one entry of the key.

    points: (x, y).  spread: (low, high) of y at each point, or none.  shape: 'circle', 'square',
    'triangle', or 'line' through the points.  number: of its colour, the same in all plots of a page.
    """

    name: str
    points: Sequence[tuple[float, float]]
    spread: Sequence[tuple[float, float]] = ()
    shape: str = 'circle'
    number: int = 0


def plot(
    series: Sequence[Series],
    x_label: str,
    y_label: str,
    *,
    level: tuple[str, float] | None = None,
    log_x: bool = False,
    x_text: Callable[[float], str] | None = None,
) -> str:
    """A figure of all series with its key; '' where none has a point.

    level: the name and y of a dashed line across.  x_text: writes a value of x; None writes as many
    digits as the ticks need.
    """
    series = [_thinned(each) for each in series if each.points]
    if not series:
        return ''
    x_ticks, x_of = _axis(
        [x for each in series for x, _ in each.points], LEFT, WIDTH - RIGHT, log_x
    )
    heights = [y for each in series for _, y in each.points]
    heights += [y for each in series for ends in each.spread for y in ends]
    y_ticks, y_of = _axis(heights + ([level[1]] if level else []), HEIGHT - BOTTOM, TOP)
    x_text, y_text = x_text or _in_digits(x_ticks), _in_digits(y_ticks)
    marks = [
        *(_x_tick(x_of(x), x_text(x)) for x in x_ticks),
        *(_y_tick(y_of(y), y_text(y)) for y in y_ticks),
        *([_level(LEFT, WIDTH - RIGHT, y_of(level[1]))] if level else []),
        *(_drawn(each, x_of, y_of, x_text) for each in series),
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2:g}" y="{HEIGHT - 8}" text-anchor="middle">'
        f'{escape(x_label)}</text>',
        f'<text transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2:g}) rotate(-90)" '
        f'text-anchor="middle">{escape(y_label)}</text>',
    ]
    alt = f'{y_label} against {x_label}: {", ".join(each.name for each in series)}'
    picture = (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(alt)}">'
        + ''.join(marks)
        + '</svg>'
    )
    return html_page.figure(picture + _key(series, level[0] if level else ''))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """At most `most` + 1 round numbers from `low` to `high`, steps of 1, 2 or 5 times a power of 10."""
    if not low < high:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * size for size in (1, 2, 5, 10) if power * size >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of 10 from `low` to `high`, and multiples of them where these give fewer than three."""
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for sizes in ((1,), (1, 2, 5), (1, 1.5, 2, 3, 4, 5, 6, 8)):
        found = [
            size * 10.0**power
            for power in powers
            for size in sizes
            if low * (1 - 1e-9) <= size * 10.0**power <= high * (1 + 1e-9)
        ]
        if len(found) >= 3:
            break
    return found


def _axis(values: Sequence[float], start: float, end: float, log: bool = False):
    """The ticks of an axis over all values, and a function from a value to its place from `start` to
    `end`."""
    scale = math.log10 if log else float
    low, high = min(map(scale, values)), max(map(scale, values))
    room = 0.06 * (high - low) or (0.3 if log else 0.05 * abs(high) or 1.0)
    low, high = low - room, high + room
    found = log_ticks(10**low, 10**high) if log else ticks(low, high)
    return found, lambda value: start + (end - start) * (scale(value) - low) / (high - low)


def _in_digits(values: Sequence[float]) -> Callable[[float], str]:
    """A function that writes numbers with as many decimals as the longest of `values` has."""
    decimals = max(len(f'{value:g}'.partition('.')[2]) for value in values)
    return f'{{:.{decimals}f}}'.format


def _x_tick(x: float, text: str) -> str:
    return (
        f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{HEIGHT - BOTTOM}" y2="{HEIGHT - BOTTOM + 5}" '
        f'stroke="var(--soft)"/><text x="{x:.1f}" y="{HEIGHT - BOTTOM + 19}" '
        f'text-anchor="middle">{escape(text)}</text>'
    )


def _y_tick(y: float, text: str) -> str:
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--line)"/>'
        f'<text x="{LEFT - 7}" y="{y + 4.5:.1f}" text-anchor="end">{escape(text)}</text>'
    )


def _level(start: float, end: float, y: float) -> str:
    return (
        f'<line x1="{start}" x2="{end}" y1="{y:.1f}" y2="{y:.1f}" stroke="var(--ink)" '
        'stroke-width="1.5" stroke-dasharray="6 4"/>'
    )


def _drawn(series: Series, x_of: Callable, y_of: Callable, x_text: Callable) -> str:
    number = series.number
    places = [(x_of(x), y_of(y)) for x, y in series.points]
    ends = [(y_of(low), y_of(high)) for low, high in series.spread]
    if series.shape == 'line':
        return _band(places, ends, number) + _line(places, number)
    bars = ''.join(
        f'<path d="M{x:.1f} {low:.1f}V{high:.1f}M{x - 4:.1f} {low:.1f}h8M{x - 4:.1f} {high:.1f}h8" '
        f'stroke="{_colour(number)}" stroke-width="1.5" fill="none"/>'
        for (x, _), (low, high) in zip(places, ends, strict=bool(ends))
    )
    marks = ''.join(
        f'<g>{_mark(series.shape, x, y, number)}<title>{escape(series.name)}: '
        f'{escape(x_text(value_x))}, {value_y:.2f}</title></g>'
        for (x, y), (value_x, value_y) in zip(places, series.points, strict=True)
    )
    return bars + marks


def _band(places, ends, number: int) -> str:
    if not ends:
        return ''
    there = [f'{x:.1f} {low:.1f}' for (x, _), (low, _) in zip(places, ends, strict=True)]
    back = [f'{x:.1f} {high:.1f}' for (x, _), (_, high) in zip(places, ends, strict=True)]
    return f'<path d="M{"L".join(there + back[::-1])}Z" fill="{_colour(number)}" opacity=".2"/>'


def _line(places, number: int) -> str:
    dashes = DASHES[number // COLOURS % len(DASHES)]
    path = 'L'.join(f'{x:.1f} {y:.1f}' for x, y in places)
    return (
        f'<path d="M{path}" fill="none" stroke="{_colour(number)}" stroke-width="2" '
        f'stroke-dasharray="{dashes}"/>'
    )


def _mark(shape: str, x: float, y: float, number: int) -> str:
    """A mark 10 wide; filled the first time that a colour comes, open the second time."""
    fill = _colour(number) if number // COLOURS % 2 == 0 else 'var(--ground)'
    look = f'fill="{fill}" stroke="{_colour(number)}" stroke-width="2"'
    if shape == 'square':
        return f'<rect x="{x - 4:.1f}" y="{y - 4:.1f}" width="8" height="8" {look}/>'
    if shape == 'triangle':
        return f'<path d="M{x:.1f} {y - 5:.1f}l5 9h-10Z" {look}/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" {look}/>'


def _key(series: Sequence[Series], level: str) -> str:
    signs = [(each.name, _sign(each)) for each in series]
    if level:
        signs.append((level, _level(1, 27, 8)))
    items = (
        f'<li><svg viewBox="0 0 28 16" aria-hidden="true">{sign}</svg>{escape(name)}</li>'
        for name, sign in signs
    )
    return f'<ul class="key">{"".join(items)}</ul>'


def _sign(series: Series) -> str:
    if series.shape == 'line':
        return _line([(1, 8), (27, 8)], series.number)
    return _mark(series.shape, 14, 8, series.number)


def _colour(number: int) -> str:
    return f'var(--c{number % COLOURS})'


def _thinned(series: Series) -> Series:
    """At most about MOST_POINTS points of a long line, evenly chosen, and its last one."""
    count = len(series.points)
    if series.shape != 'line' or count <= MOST_POINTS:
        return series
    stride = -(-count // MOST_POINTS)
    kept = sorted({*range(0, count, stride), count - 1})
    return dataclasses.replace(
        series,
        points=[series.points[i] for i in kept],
        spread=[series.spread[i] for i in kept] if series.spread else (),
    )
