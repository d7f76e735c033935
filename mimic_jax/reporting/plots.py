"""Plots as data, each drawn once: as a PNG beside a report, and inside its page (`html_plots`)."""

import dataclasses
from collections.abc import Sequence

from mimic_jax.reporting import grids

# With a contrast of 3 to white; a page has others of the same hues on a dark ground.
COLOURS = (
    *('#0b62a8', '#b34700', '#2b7a3d', '#8a3fa0', '#b3243f', '#00727c', '#7a6600', '#5b6470'),
)
INK, SOFT, LINE, GROUND = '#1c1c1c', '#5a5a5a', '#d8d8d8', '#ffffff'
DASHES = ('solid', (0, (3, 1.5)), (0, (1, 1.5)), (0, (4, 1.5, 1, 1.5)))  # lines of one colour
MARKS = {'circle': 'o', 'square': 's', 'triangle': '^'}
MOST_POINTS = 400  # of a line; more would be invisible
INCHES = (560 / 72, 340 / 72)
_STYLE = {
    'font.size': 13,
    'text.color': INK,
    'axes.labelcolor': INK,
    'xtick.labelcolor': INK,
    'ytick.labelcolor': INK,
    'xtick.color': SOFT,
    'axes.edgecolor': LINE,
    'axes.spines.left': False,
    'axes.spines.right': False,
    'axes.spines.top': False,
    'ytick.major.size': 0,
    'axes.axisbelow': True,
    'lines.linewidth': 2,
    'lines.markersize': 9,
    'lines.markeredgewidth': 2,
}


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

    @property
    def colour(self) -> str:
        return COLOURS[self.number % len(COLOURS)]

    @property
    def is_open(self) -> bool:
        """Marks are filled the first time that a colour comes, open the second time."""
        return self.number // len(COLOURS) % 2 == 1

    @property
    def dashes(self):
        return DASHES[self.number // len(COLOURS) % len(DASHES)]


@dataclasses.dataclass(frozen=True)
class Plot:
    """level: the name and y of a dashed line across.  counts: whether x is a number of things."""

    series: Sequence[Series]
    x_label: str
    y_label: str
    level: tuple[str, float] | None = None
    log_x: bool = False
    counts: bool = False

    @property
    def shown(self) -> list[Series]:
        """The series that have points, long lines thinned."""
        return [_thinned(each) for each in self.series if each.points]


def figure(plot: Plot, legend: bool = True):
    """The plot as a Matplotlib figure; None where no series has a point.

    legend: whether the figure names its series.  Each series is a group named `series N`.
    """
    if not plot.shown:
        return None
    import matplotlib  # a second to import, needed for reports alone
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        made = Figure(INCHES, dpi=100, layout='constrained')
        axes = made.subplots()
        axes.grid(axis='y', color=LINE, linewidth=1)
        for number, series in enumerate(plot.shown):
            _draw(axes, series, f'series {number}')
        if plot.level:
            name, y = plot.level
            axes.axhline(y, color=INK, linestyle='--', linewidth=1.5, label=name)
        # Room for a phone's larger letters.
        axes.set_xlabel(plot.x_label, labelpad=6)
        axes.set_ylabel(plot.y_label, labelpad=20)
        made.get_layout_engine().set(w_pad=0.16, h_pad=0.06)
        _mark_x(axes, plot)
        if legend:
            axes.legend(frameon=False, loc='best', fontsize='small')
    return made


def _draw(axes, series: Series, group: str) -> None:
    xs, ys = zip(*series.points, strict=True)
    look = {'color': series.colour, 'label': series.name, 'gid': group}
    if series.shape == 'line' and len(xs) > 1:  # a line through one point would be nothing
        axes.plot(xs, ys, linestyle=series.dashes, **look)
        if series.spread:
            low, high = zip(*series.spread, strict=True)
            axes.fill_between(xs, low, high, color=series.colour, alpha=0.2, linewidth=0)
        return
    for x, (low, high) in zip(xs, series.spread, strict=bool(series.spread)):
        axes.errorbar(
            x, (low + high) / 2, (high - low) / 2, capsize=4, elinewidth=1.5, color=series.colour
        )
    face = GROUND if series.is_open else series.colour
    marker = MARKS.get(series.shape, MARKS['circle'])
    axes.plot(xs, ys, linestyle='none', marker=marker, markerfacecolor=face, zorder=3, **look)


def _mark_x(axes, plot: Plot) -> None:
    """Few round ticks on the x axis, in words where it counts things."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

    if plot.log_x:
        axes.set_xscale('log')
        low, high = axes.get_xlim()
        ratio = high / low
        multiples = (1,) if ratio > 100 else (1, 2, 5) if ratio > 6 else (1, 1.5, 2, 3, 4, 6, 8)
        axes.xaxis.set_major_locator(LogLocator(subs=multiples, numticks=8))
        axes.minorticks_off()
    else:
        axes.xaxis.set_major_locator(MaxNLocator(7, integer=plot.counts))
    if plot.counts or plot.log_x:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: grids.short(x)))


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
