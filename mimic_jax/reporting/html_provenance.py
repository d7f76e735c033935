"""The page's sections on where a report's numbers come from: cost of the phases, artifacts, config."""

import json
from collections.abc import Iterator

from mimic_jax.config.fields import as_json
from mimic_jax.data.dataset import EVALUATED
from mimic_jax.reporting import caches, costs, html_page, tables, work
from mimic_jax.reporting.answers import Answers
from mimic_jax.runtime.address import without_password

SHORT = 12  # digits of a fingerprint, as of an artifact's id


def cost(answers: Answers, report: dict) -> Iterator[str]:
    """Two tables: seconds, bytes and operations by phase; training and answering times by row."""
    operations = flops(answers)
    lines = [('phase', 'artifacts', 'seconds', 'MiB', 'GFLOP')]
    for phase, found in report['costs'].items():
        count = operations.get(phase)
        size = f'{found["bytes"] / 2**20:,.1f}'
        done = '–' if count is None else f'{count / 1e9:,.1f}'
        lines.append((phase, str(len(found['artifacts'])), f'{found["seconds"]:,.1f}', size, done))
    yield html_page.table(lines)
    text = (
        'Seconds are summed over all runs. Operations are counted, not measured: 2 for a multiply-add, '
        'and 3 forward passes for a training step.'
    )
    yield html_page.paragraph(text, 'soft')
    if report['rows']:
        yield html_page.table(tables.timing_cells(report))
    if report.get('caches'):
        yield html_page.table([caches.HEADER, *caches.cells(report)])


def flops(answers: Answers) -> dict[str, float]:
    """Operations by phase, each artifact counted once; k-means counts all iterations it may make."""
    session, plan = answers.session, answers.plan
    evaluated = sum(len(session.data.splits[split]) for split in EVALUATED)
    labelled = {cache.recipe.name: cache.work for cache in plan.caches.values() if cache.members}
    asked = {net.recipe.name: net.flops for net in plan.nets()}
    trained = {
        **answers.part.trained,
        'teacher': plan.members.values(),
        'student': [net for seeds in plan.students.values() for net in seeds],
    }
    return {
        **{phase: work.trained(session, nets) for phase, nets in trained.items()},
        'logits': sum(labelled.values()),
        'baseline': sum(sum(each.work.values()) for each in plan.baselines.values()),
        'evaluate': evaluated * sum(asked.values()),
    }


def artifacts_made(answers: Answers) -> Iterator[str]:
    """A table of artifacts: what each is, and the artifacts and data that it was made from."""
    lines = [('artifact', 'what', 'made from')]
    groups = costs.made(answers.plan, answers.part).values()
    recipes = {recipe.name: (what, recipe) for group in groups for what, recipe in group}
    for what, recipe in recipes.values():
        data = [f'data {recipe.data[:SHORT]}'] if recipe.data else []
        lines.append((recipe.name, what, ', '.join([*recipe.reads, *data])))
    text = (
        'An artifact is a folder of the working directory. Its name comes from everything that '
        'determines its content; its config.json lists that, with the whole fingerprint of the data.'
    )
    yield html_page.paragraph(text, 'soft')
    yield html_page.details(f'{len(lines) - 1} artifacts', html_page.table(lines))


def config(settings: object) -> str:
    """Every setting of a dataclass, defaults included, by its flag's name, without passwords."""
    lines = [f'config.{name} = {json.dumps(value)}' for name, value in flat(settings).items()]
    body = html_page.preformatted('\n'.join(lines))
    return html_page.details(f'{len(lines)} settings', body)


def flat(settings: object) -> dict[str, object]:
    """Every setting of a dataclass by its name with dots, as JSON values without passwords."""
    found = json.loads(json.dumps(dict(_flat('', as_json(settings)))))
    return {name: _safe(value) for name, value in found.items()}


def _safe(value):
    if isinstance(value, list):
        return [_safe(item) for item in value]
    return without_password(value) if isinstance(value, str) else value


def _flat(where: str, value) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _flat(f'{where}.{key}' if where else key, item)
    else:
        yield where, value
