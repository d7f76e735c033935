"""Figures of a report's accuracies: over an axis that the config names, and member by member."""

import itertools
import statistics
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mimic_jax.data.dataset import EVALUATED
from mimic_jax.reporting import grids, measures, pictures
from mimic_jax.reporting.measures import Measure
from mimic_jax.reporting.rows import by_source
from mimic_jax.reporting.settings import Gap, Report

MANY = 6  # curves from which the legend stands beside the axes
LINES = ('--', '-', '-.')  # styles of horizontal lines, in turn


def draw_curves(plt, settings: Report, rows: list[dict], path: Path) -> bool:
    """Writes the figure of `curves` to `path`, with a second panel where all rows have validation too."""
    shown = measures.of(rows).shown
    both = rows and all('validation' in source.get(shown, {}) for source in by_source(rows))
    splits = EVALUATED if both else ('test',)
    figure, panels = plt.subplots(
        1,
        len(splits),
        figsize=(3.2 + 3.2 * len(splits), 4),
        dpi=120,
        layout='constrained',
        squeeze=False,
        sharey=True,
    )
    drawn = [
        curves(axes, settings, rows, split) for axes, split in zip(panels[0], splits, strict=True)
    ]
    for axes in panels[0][1:]:  # one legend serves both panels
        if axes.get_legend():
            axes.get_legend().remove()
    if any(drawn):
        pictures.save(figure, path)
    plt.close(figure)
    return any(drawn)


def curves(axes, settings: Report, rows: list[dict], split: str = 'test') -> bool:
    """Accuracy of the rows that the config gives a curve and an x, mean ± deviation.

    An error rate is shown as 1 minus it. A curve of one point has an open marker. Rows of one curve and
    one x are one point, their means' mean ± deviation. Rows with `line` are horizontal lines. Rows with
    `against` stand at the other row's accuracy, and a diagonal shows where the two are equal. Arrows
    mark the config's gaps, stars the points of other papers.
    """
    found, places = defaultdict(list), {}
    measure = measures.of(rows)
    placed = [each for each in grids.placed(settings, rows) if measure.shown in each[2]]
    accuracies = {name: _accuracy(source, measure, split) for name, _, source in placed}
    shared = defaultdict(list)
    for name, row, _ in placed:
        x = accuracies[row.against][0] if row.against else row.x
        own = (
            '' if row.curve and not row.against else name
        )  # a row that shares its point with no other
        shared[row.curve, x, own].append(name)
    for (curve, x, _), names in shared.items():
        mean, deviation = _together([accuracies[name] for name in names])
        places.update(dict.fromkeys(names, (x, mean)))
        if curve:
            found[curve].append((x, mean, deviation))
    for label, points in found.items():
        x, mean, deviation = zip(*sorted(points), strict=True)
        fill = {'markerfacecolor': 'none'} if len(points) == 1 else {}
        error = {'yerr': deviation, 'capsize': 3} if any(deviation) else {}
        axes.errorbar(x, mean, marker='o', label=label, **error, **fill)
    across = [(row.label or name, accuracies[name][0]) for name, row, _ in placed if row.line]
    for (label, level), style in zip(across, itertools.cycle(LINES)):
        axes.axhline(level, color='black', linestyle=style, linewidth=1, label=label)
    spread = [x for points in found.values() for x, _, _ in points]
    if spread and any(row.against for _, row, _ in placed):
        middle = (min(spread) + max(spread)) / 2
        axes.axline((middle, middle), slope=1, color='grey', linestyle=':', label='no gap')
    elif spread and 0 < 3 * min(spread) <= max(spread):
        axes.set_xscale('log')
        axes.set_xticks(sorted(set(spread)), [grids.short(x) for x in sorted(set(spread))])
        axes.minorticks_off()
    for point in settings.points.values():
        label = {'label': point.label, 'linestyle': 'none', 'color': 'black'}
        axes.plot([point.x], [100 * point.accuracy], marker='*', **label)
    for number, gap in enumerate(settings.gaps.values()):
        _mark(axes, gap, places, 6 + 6 * number)
    axes.set(xlabel=settings.x_label, ylabel=measure.axis.format(split=split))
    axes.yaxis.set_tick_params(labelleft=True)  # both panels', though they share an axis
    if found:
        beside = {'loc': 'center left', 'bbox_to_anchor': (1, 0.5)}
        axes.legend(frameon=False, **(beside if len(found) > MANY else {'loc': 'best'}))
    return bool(found)


def _accuracy(source: Mapping[str, dict], measure: Measure, split: str) -> tuple[float, float]:
    """Mean and deviation over seeds, in %, of what the measure shows."""
    row = source[measure.shown]
    found = row['validation'] if split == 'validation' else row
    return measure.height(found['mean']), 100 * (found['std'] or 0)


def _together(points: list[tuple[float, float]]) -> tuple[float, float]:
    """The mean and deviation of a single point, or of several points' means."""
    if len(points) == 1:
        return points[0]
    means = [mean for mean, _ in points]
    return statistics.mean(means), statistics.stdev(means)


def _mark(axes, gap: Gap, places: Mapping[str, tuple[float, float]], aside: float) -> None:
    """Draws an arrow from the best of the low rows up to the best of the high rows.

    aside: the arrow's distance from the high row, in points, so that arrows at one x stay apart.
    """
    low = max(places[name][1] for name in gap.low)
    x, high = max((places[name] for name in gap.high), key=lambda place: place[1])
    from matplotlib.transforms import offset_copy  # needed for the report alone

    beside = offset_copy(axes.transData, axes.figure, aside, 0, units='points')
    arrow = {'arrowstyle': '<->', 'color': 'grey', 'shrinkA': 0, 'shrinkB': 0}
    axes.annotate('', (x, high), (x, low), beside, beside, arrow)
    axes.text(
        *(x, (low + high) / 2, f' {gap.label} {high - low:+.1f}'),
        transform=beside,
        color='grey',
        fontsize='small',
        va='center',
    )


def by_members(axes, ensembles: Mapping[str, list[float]], what: str = 'accuracy') -> bool:
    """Validation score of each ensemble's first member, first two, and so on, in their order."""
    for name, accuracies in ensembles.items():
        numbers = range(1, len(accuracies) + 1)
        axes.plot(numbers, [100 * value for value in accuracies], marker='o', label=name)
    axes.set(xlabel='members, in order of choice', ylabel=f'validation {what} of their mean, %')
    axes.xaxis.get_major_locator().set_params(integer=True)
    if ensembles:
        axes.legend(frameon=False, loc='best')
    return bool(ensembles)
