"""An experiment's report.html: the whole report in one file that loads nothing."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mimic_jax.reporting import (
    comparisons,
    curves,
    grids,
    html_page,
    html_plots,
    html_provenance,
    html_results,
    remarks,
    tables,
)
from mimic_jax.reporting.answers import Answers
from mimic_jax.reporting.comparisons import Example
from mimic_jax.reporting.part import Searched

# Captions of the figures that the page shows as PNG; the page draws the other figures as SVG.
PICTURES = {
    'curves.png': 'Accuracy, or R², of the rows on test by what the config puts on the axis.',
    'members.png': 'Validation score of each ensemble’s first member, first two, and so on.',
    'time.png': 'Validation score of the students by training time.',
    'whitened.png': 'Validation images, raw above and whitened below.',
    'views.png': 'Training images, each followed by its first views.',
}


def page(
    answers: Answers,
    report: dict,
    pictures: Sequence[Path],
    config: object,
    searched: Searched | None = None,
) -> str:
    """The page of a finished experiment.

    report: what report.json holds.  pictures: files of the figures beside it.  config: all settings.
    """
    rows = report['rows']
    section, paragraph = html_page.section, html_page.paragraph
    named = [(row['name'], row) for row in html_results.first_metric(rows)]
    parts = [
        html_page.heading(report['experiment']),
        paragraph(html_results.lead(rows), 'lead'),
        paragraph(f'{report["date"]}, {report["machine"]}.', 'soft'),
        html_page.preformatted(report['command']),
        section('Results', *_results(report)),
        section(
            f'{answers.what.capitalize()} and size', html_results.accuracy_by_parameters(named)
        ),
        section(
            f'{answers.what.capitalize()} and work',
            html_plots.drawn(curves.by_work(answers, report)),
        ),
        section('Training', html_plots.drawn(curves.training(answers))),
        section('Agreement', *_agreement(answers, rows)),
        section('Where teacher and student disagree', *_disagreements(answers)),
        section('Search', *_search(searched, pictures)),
        section('More pictures', *_pictures({**PICTURES, **answers.part.captions}, pictures)),
        section('Cost', *html_provenance.cost(answers, report)),
        section('What was made from what', *html_provenance.artifacts_made(answers)),
        section('Config', html_provenance.config(config)),
    ]
    return html_page.page(report['experiment'], [part for part in parts if part])


def _results(report: dict) -> Iterator[str]:
    rows = report['rows']
    if 'grid' in report:
        yield html_page.table(grids.cells(report['grid']))
    if rows:
        yield html_results.table(rows)
        yield html_page.paragraph(tables.explanation(rows), 'soft')
    yield html_page.bullets(tables.note_texts(rows))
    sizes = ', '.join(f'{count:,} {name}' for name, count in report['data']['examples'].items())
    yield html_page.paragraph(f'Examples: {sizes}.', 'soft')
    for sentence in remarks.sentences(report):
        yield html_page.paragraph(sentence, 'soft')


def _agreement(answers: Answers, rows: list[dict]) -> Iterator[str]:
    if answers.session.data.scale is not None:
        yield html_plots.drawn(curves.by_agreement(rows))
        return
    names, matrix, left_out = comparisons.agreement(answers)
    if not names:
        return
    text = (
        'The share of test examples, in %, on which two models choose the same class. The share of two '
        'students is the mean over their seeds; the diagonal compares the seeds of one student.'
    )
    if left_out:
        text += f' {left_out} more are not shown.'
    yield html_page.paragraph(text)
    yield html_page.matrix(names, matrix)
    yield html_plots.drawn(curves.by_agreement(rows))


def _disagreements(answers: Answers) -> Iterator[str]:
    data = answers.session.data
    found = comparisons.disagreements(answers) if data.scale is None else None
    if found is None:
        return
    text = (
        f'On {found.count:,} of {found.total:,} test {data.unit}, “{found.teacher}” and '
        f'“{found.student}” (its first seed) choose different classes; of these the teacher has '
        f'{found.teacher_right:,} right, the student {found.student_right:,}.'
    )
    if len(found.examples) < found.count:
        text += f' The {len(found.examples)} on which both are surest are shown.'
    if answers.part.seen and found.examples:
        text += f' {answers.part.seen}'
    yield html_page.paragraph(text)
    if found.examples:
        cards = [_card(example, data.class_names) for example in found.examples]
        yield html_page.gallery(cards)


def _card(example: Example, names: Sequence[str]) -> tuple[str, list[str]]:
    def named(number: int) -> str:
        return names[number] if number < len(names) else str(number)

    def said(who: str, answer: tuple[int, float]) -> str:
        right = '\u00a0✓' if answer[0] == example.label else ''  # in the line of its answer
        return f'{who}: {named(answer[0])} {100 * answer[1]:.0f}%{right}'

    what = f'example {example.index}, a {named(example.label)}'
    picture = html_page.image(example.picture, what) if example.picture else ''
    texts = [
        f'{named(example.label)} · no. {example.index}',
        said('teacher', example.teacher),
        said('student', example.student),
    ]
    return picture, texts


def _search(searched: Searched | None, pictures: Sequence[Path]) -> Iterator[str]:
    """The best trials of a search, and the figures of all."""
    if searched is None or not searched.best:
        return
    head, *body = searched.best
    yield html_page.paragraph(f'{searched.count} trials have finished; the best {len(body)}:')
    yield html_page.table([head, *body])
    yield from _pictures(searched.captions, pictures)


def _pictures(captions: Mapping[str, str], paths: Sequence[Path]) -> Iterator[str]:
    """The figures that have a caption."""
    for path in paths:
        if path.name in captions:
            text = captions[path.name]
            image = html_page.image(path.read_bytes(), text)
            yield html_page.figure(image, text, 'wide')
