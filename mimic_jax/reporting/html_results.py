"""The results of experiments in a page, from their report.json files."""

from collections.abc import Sequence

from mimic_jax.reporting import curves, html_page, html_plots, measures, tables
from mimic_jax.reporting.plots import Plot, Series
from mimic_jax.reporting.rows import by_source

MARKS = 'Squares are ensembles, circles nets trained on labels, triangles nets trained on logits.'


def lead(rows: Sequence[dict]) -> str:
    """The sentence that begins a page: what mimicking gained, or else the range of the rows."""
    if not rows:
        return 'The config names nothing to report.'
    chosen = first_metric(rows)
    low, high = (pick(chosen, key=lambda row: row['mean']) for pick in (min, max))
    title = measures.of(rows).title.capitalize()
    return tables.headline(rows) or (
        f'{title} on test lies between {100 * low["mean"]:.2f}% ({low["name"]}) and '
        f'{100 * high["mean"]:.2f}% ({high["name"]}).'
    )


def table(rows: Sequence[dict]) -> str:
    lines = tables.cells(rows)
    return html_page.table([tuple(lines[0]), *(tuple(line.values()) for line in lines)])


def accuracy_by_parameters(named: Sequence[tuple[str, dict]]) -> str:
    """What the measure shows against parameters; '' without rows whose size is known.

    named: the key's text and the row of report.json.
    """
    series, measure = [], measures.of([row for _, row in named])
    for number, (name, row) in enumerate(named):
        if not row['parameters']:  # such as of a teacher made elsewhere
            continue
        x, mean = row['parameters'], measure.height(row['mean'])
        deviation = 100 * (row['std'] or 0)
        spread = [(mean - deviation, mean + deviation)] if deviation else ()
        series.append(Series(name, [(x, mean)], spread, curves.SHAPES[row['target']], number))
    label = measure.axis.format(split='test')
    picture = html_plots.drawn(Plot(series, 'parameters', label, log_x=True))
    return picture and picture + html_page.paragraph(MARKS, 'soft')


def first_metric(rows: Sequence[dict]) -> list[dict]:
    """The rows on the metric that figures show: one for each source that has it."""
    shown = measures.of(rows).shown
    return [source[shown] for source in by_source(rows) if shown in source]
