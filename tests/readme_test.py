"""README.md, CONTRIBUTING.md and the pages of docs/: tables, links, and commands that somebody runs.

    python tests/readme_test.py

makes their tables anew from the files of results/.
"""

import functools
import json
import re
import shlex

import pytest
from conftest import ROOT, load_benchmark, load_experiment

from mimic_jax.config import experiment as experiments
from mimic_jax.models import notation
from mimic_jax.ops.text import aligned
from mimic_jax.reporting import tables

# Results whose tables have a form of their own.
TABLES = {
    'results/accelerators_planned.json': load_benchmark('accelerators_planned').table,
    'results/reliability.json': load_benchmark('reliability').table,
    'results/search.json': load_benchmark('search').table,
    'results/tabular_forest.json': load_benchmark('tabular_student').table,
    **{
        f'results/{name}.json': load_benchmark('record').table
        for name in (
            *('cache', 'feeding', 'other_views', 'startup', 'viterbi'),
            *('train_step', 'train_step_slower', 'train_step_avx2'),
        )
    },
}

# docs/settings.md is made from the code, and held by tests/settings_flags_test.py.
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    *(path for path in sorted((ROOT / 'docs').glob('*.md')) if path.name != 'settings.md'),
]
TABLE = re.compile(r'<!-- (results/\S+\.json|headline) -->\n(.*?)<!-- end -->', re.DOTALL)
# Measured tables; a benchmark's rows have `ratio` in the place of `values`.
RESULTS = [
    path
    for path in sorted((ROOT / 'results').glob('*.json'))
    if all('values' in row for row in json.loads(path.read_text())['rows'])
]

# The README's own table. A line: its name, a file, that file's rows on labels, mimicking and of
# teachers; then an experiment whose config has the paper's figures, and the names of those rows
# there.
HEADLINES = [
    (
        'digits, 200 labels',
        *('digits_student', 'student on labels', 'student mimicking', 'ensemble'),
        *('', ()),
    ),
    (
        'digits as a table, a random forest as teacher',
        *('tabular_student', 'net on labels', 'net mimicking', 'random forest'),
        *('', ()),
    ),
    (
        'BC, CIFAR-10, the paper’s size, one CNN',
        *('cifar_table2_cnn', '128c on labels', 'SNN-CNN-MIMIC-30k, 128c', 'teacher CNN'),
        *('cifar_table2', ('snn', 'cnn_mimic_128c', 'cnn')),
    ),
    (
        'BC, CIFAR-10, 5,000 labels',
        *('cifar_student_small', 'shallow net on labels', 'shallow net mimicking', 'ensemble'),
        *('cifar_table2', ('snn', 'ecnn_mimic', 'ecnn')),
    ),
    (
        'BC, TIMIT, 16 speakers: phone errors',
        *('timit_table1_small', 'shallow net on labels', 'shallow net mimicking', 'ensemble of 4'),
        *('timit_table1', ('snn_8k', 'mimic_8k', 'ecnn')),
    ),
    *(
        (
            f'U, CIFAR-10, 8,000 labels, {words}',
            *('urban_students_small', f'{net}, 320k, on labels', f'{net}, 320k', 'ensemble of 4'),
            *('urban_students', (f'{family}_labels', f'{family}_10M', 'ensemble')),
        )
        for words, net, family in (
            ('dense net', 'bottleneck + 1 hidden', 'mlp_1'),
            ('1 convolution', '1 conv, 1 mp, bottleneck', 'conv_1'),
            ('3 convolutions', '3 conv, 3 mp', 'conv_3'),
        )
    ),
]


def headline() -> str:
    """Our figures, and the paper's of the full size, as a Markdown table."""
    lines = [
        *[('', 'on labels, %', 'mimicking, %', 'teachers, %', 'n')],
        *((label, *_ours(*found)) for label, *found, _, _ in HEADLINES),
    ]
    papers = [('the paper: labels, mimic, teachers, %',)]
    papers += [(_papers(experiment, names),) for *_, experiment, names in HEADLINES]
    return aligned([(*line, *paper) for line, paper in zip(lines, papers, strict=True)])


def _ours(file: str, *names: str) -> tuple[str, ...]:
    rows = json.loads((ROOT / 'results' / f'{file}.json').read_text())['rows']
    found = [next(row for row in rows if row['name'] == name) for name in names]
    cells = (
        f'{100 * row["mean"]:.2f}' + (f' ± {100 * row["std"]:.2f}' if row['std'] else '')
        for row in found
    )
    return *cells, str(found[1]['n'])


def _papers(experiment: str, names: tuple[str, ...]) -> str:
    if not experiment:
        return '–'
    rows = load_experiment(experiment).get_config().report.rows
    return ', '.join(f'{100 * rows[name].paper:.1f}' for name in names)


def made(name: str) -> str:
    """The table of a file of results, or the headline."""
    if name == 'headline':
        return headline()
    rows = json.loads((ROOT / name).read_text())['rows']
    return TABLES.get(name, tables.table)(rows)


def lines_of(page):
    """A page's shell commands, continued lines joined and comments dropped."""
    for block in re.findall(r'```bash\n(.*?)```', page.read_text(), re.DOTALL):
        for line in block.replace('\\\n', ' ').splitlines():
            if line.startswith('#'):  # of a script
                continue
            yield from (part.strip() for part in line.split(' #')[0].split('&&') if part.strip())


def commands():
    """The shell commands of all pages, each once."""
    return list(dict.fromkeys(line for page in PAGES for line in lines_of(page)))


def test_tables_are_made_from_the_results():
    found = [name for page in PAGES for name, _ in TABLE.findall(page.read_text())]
    assert 'headline' in found and len(found) == len(set(found)) >= 22
    for page in PAGES:
        for name, text in TABLE.findall(page.read_text()):
            assert text.strip() == made(name), f'{page.name}: {name}: python tests/readme_test.py'


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
def test_links_and_files_are_there(page):
    text = page.read_text()
    for target in re.findall(r'\]\(([^)\s]+)\)', text):
        if target.startswith('https://'):
            continue
        path, _, anchor = target.partition('#')
        linked = page.parent / path if path else page
        assert linked.is_file(), target
        if anchor:
            assert anchor in anchors(linked), target
    for path in re.findall(r'`((?:benchmarks|examples|mimic_jax|tests|\.ci)/[\w./]*\w)`', text):
        assert (ROOT / path).exists(), path


def anchors(page):
    """What headings of a page can be linked by."""
    headings = re.findall(r'^#+ (.*)$', page.read_text(), re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading.lower()).replace(' ', '-') for heading in headings}


def test_the_readme_is_read_in_five_minutes():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 200


@pytest.mark.parametrize('path', RESULTS, ids=lambda path: path.stem)
def test_results_say_how_they_were_made(path):
    result = json.loads(path.read_text())
    assert {'rows', 'command', 'machine', 'seconds', 'date'} <= set(result)
    assert path.stem == result['experiment']
    for row in result['rows']:
        assert row['n'] == len(row['values'])
        assert row['mean'] == pytest.approx(sum(row['values']) / row['n'])


def test_experiments_in_commands_load_with_their_presets_and_flags():
    found = [shlex.split(line) for line in commands() if '--config=experiments/' in line]
    assert len(found) >= 15
    for words in found:
        flags = [word.lstrip('-').partition('=') for word in words if word.startswith('--config')]
        (named,) = (value for name, _, value in flags if name == 'config')
        path, _, preset = named.partition(':')
        module = load_experiment(path.removeprefix('experiments/').removesuffix('.py'))
        config = module.get_config(preset)
        for name, _, value in flags:
            if name != 'config':
                *groups, setting = name.split('.')[1:]
                group = functools.reduce(getattr, groups, config)
                value = '0.1' if '$' in value else value  # of a loop
                group[setting] = type(group[setting])(value)
        experiments.read(config)


# Who runs what: a pattern of commands, a file, and what stands there. Long ones are run as :smoke.
SMOKES = ('cifar_student.py(:smoke|:small|)$', '.ci/run', 'cifar_student.py:smoke')
RUN_BY = [
    (r"pip install .*-e ('\.\[test\]'|\.)$", '.ci/run', "pip install --quiet -e '.[test]'"),
    (r"pip install -e '\.\[docs\]'", '.github/workflows/site.yml', "pip install -e '.[docs]'"),
    (r"pip install -e '\.\[(search|speech)\]'", 'setup.cfg', 'mimic_jax[onnx,search,speech]'),
    ('python -m pytest$', '.ci/run', 'python -m pytest'),
    ('python -m pytest -m quick$', '.ci/run', 'python -m pytest'),
    ('digits_student.py$', '.ci/run', 'digits_student.py --workdir'),
    ('digits_student.py --phase=export$', '.ci/run', '--phase=export'),
    ('digits_student.py --phase=export --format=onnx$', '.ci/run', '--phase=export --format=onnx'),
    ('digits_student.py --phase=predict', '.ci/run', '--phase=predict --input=digit.png'),
    ('digits_student.py --phase=rates$', 'tests/curvature_test.py', "phase='rates'"),
    ('--phase=export --from=', 'tests/export_test.py', 'lasting.again'),
    ('digits_student.py --phase=plan$', 'tests/planning_test.py', "phase='plan'"),
    ('--compile_for=cuda:h100$', 'tests/planning_test.py', "compile_for='cuda:h100'"),
    ('--compile_for=tpu', '.ci/long', 'tpu:v5e:2x4'),
    ('digits_student.py --phase=settings', 'tests/settings_flags_test.py', '--phase=settings'),
    ('digits_student.py --config.students', 'tests/settings_flags_test.py', 'is_a_flag'),
    ('digits_student.py --name=rate', '.ci/long', '--name=rate_$rate'),
    ('digits_student.py --distributed', 'tests/hosts_test.py', '--distributed={where}'),
    ('--phase=report --experiments=', '.ci/long', '--experiments=rate_0.01,rate_0.03,rate_0.1'),
    ('main --phase=verify$', '.ci/long', '--phase=verify'),
    ('main --phase=status$', '.ci/run', '--phase=status'),
    ('main --phase=clean$', '.ci/run', '--phase=clean'),
    SMOKES,
    ('timit_student.py', '.ci/long', 'timit_student.py:smoke'),
    ('timit_folds.py', 'tests/timit_folds_test.py', 'timit_folds'),
    ('speech_demo.py:smoke$', '.ci/long', 'speech_demo.py:smoke'),
    ('urban_teachers.py:small$', '.ci/long', 'urban_teachers.py:smoke\n'),
    (
        'urban_teachers.py:smoke --phase=search',
        '.ci/long',
        'urban_teachers.py:smoke --phase=search &',
    ),
    ('urban_teachers.py --phase=search', '.ci/long', 'urban_teachers.py:smoke --phase=search &'),
    ('cifar_student.py --distributed=auto', 'tests/hosts_test.py', '--distributed={where}'),
    ('urban_students.py:small$', '.ci/long', 'urban_students.py:smoke'),
    ('own_data.py', 'tests/readme_runs_test.py', "of_docs('own_data.py --config'"),
    ('own_data.py:(tfds|npz|table)', 'tests/experiments_test.py', 'PRESETS'),
    ('tabular_student.py$', '.ci/long', 'tabular_student.py'),
    ('tabular_values.py$', 'tests/readme_runs_test.py', "of_docs('tabular_values.py')"),
    (
        'digits_student.py --config.logits.ensemble.members=',
        'tests/external_teacher_test.py',
        "'--config.logits.ensemble.members=',",
    ),
    ('examples/views_student.py', 'tests/external_views_test.py', 'views_student.get_config()'),
    ('examples/answer_views.py', 'tests/external_views_test.py', 'answer_views.main('),
    ('models.notation', 'tests/readme_test.py', 'test_notation_commands'),
    ('python tests/readme_test.py', 'tests/docs_test.py', 'readme_test.renewed'),
    ('ruff check', '.ci/run', 'ruff check .'),
    ('ruff format --check', '.ci/run', 'ruff format --check .'),
    ('mkdocs build --strict', '.github/workflows/site.yml', 'mkdocs build --strict'),
]
# What holds loops and jobs of a cluster together.
SHELL = (
    r'(for .*; do|done|done; wait|rates?=.*|source .*|code=.*|exit .*|if \[ .*|sweep=.*|sbatch .*'
    r'|export .*)$'
)


def test_every_command_is_run_somewhere():
    for line in commands():
        if re.fullmatch(SHELL, line):
            continue
        found = [(path, text) for pattern, path, text in RUN_BY if re.search(pattern, line)]
        assert found, line
        for path, text in found:
            assert text in (ROOT / path).read_text(), (line, path, text)


def test_notation_commands_print_what_they_promise(capsys):
    lines = [line for line in commands() if 'models.notation' in line]
    assert len(lines) == 2
    for line in lines:
        notation.main(shlex.split(line)[3:])
    printed = capsys.readouterr().out
    assert '70,900,938' in printed
    assert 'short of the budget' in printed


def test_the_two_commands_stand_in_ci():
    command = "pip install --quiet -e '.[test]' && python -m pytest"
    first = 'python -m mimic_jax.main --config=experiments/digits_student.py'
    readme, ci = (ROOT / 'README.md').read_text(), (ROOT / '.ci' / 'run').read_text()
    assert command in readme and command in ci
    assert first in readme and first in ci
    assert command in (ROOT / '.github' / 'workflows' / 'tests.yml').read_text()


def renewed(text: str) -> str:
    """A page with its tables made from the files of today."""
    return TABLE.sub(lambda found: f'<!-- {found[1]} -->\n{made(found[1])}\n<!-- end -->', text)


if __name__ == '__main__':
    for page in PAGES:
        before = page.read_text()
        if renewed(before) != before:
            page.write_text(renewed(before))
