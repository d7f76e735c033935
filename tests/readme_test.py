import json
import re
import shlex

import pytest
from conftest import ROOT, load_benchmark, load_experiment

from mimic_jax.config import experiment as experiments
from mimic_jax.models import notation
from mimic_jax.reporting import tables

# Results whose tables have a form of their own.
TABLES = {
    'results/reliability.json': load_benchmark('reliability').table,
    'results/search.json': load_benchmark('search').table,
    'results/tabular_forest.json': load_benchmark('tabular_student').table,
    **{
        f'results/{name}.json': load_benchmark('record').table
        for name in ('cache', 'feeding', 'startup', 'train_step', 'viterbi')
    },
}

README = (ROOT / 'README.md').read_text()
# Measured tables; a benchmark's rows have `ratio` in the place of `values`.
RESULTS = [
    path
    for path in sorted((ROOT / 'results').glob('*.json'))
    if all('values' in row for row in json.loads(path.read_text())['rows'])
]


def commands():
    """The README's shell commands, continued lines joined and comments dropped."""
    for block in re.findall(r'```bash\n(.*?)```', README, re.DOTALL):
        for line in block.replace('\\\n', ' ').splitlines():
            yield from (part.strip() for part in line.split('#')[0].split('&&') if part.strip())


def test_tables_are_made_from_the_results():
    named = re.findall(r'<!-- (results/\S+\.json) -->\n(.*?)\n<!-- end -->', README, re.DOTALL)
    assert named
    for path, text in named:
        rows = json.loads((ROOT / path).read_text())['rows']
        assert text.strip() == TABLES.get(path, tables.table)(rows)


def test_pictures_and_files_are_there():
    for path in re.findall(r'\]\(([^)#:]+)\)', README) + re.findall(r'`(benchmarks/\S+?)`', README):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize('path', RESULTS, ids=lambda path: path.stem)
def test_results_say_how_they_were_made(path):
    result = json.loads(path.read_text())
    assert {'rows', 'command', 'machine', 'seconds', 'date'} <= set(result)
    assert path.stem == result['experiment']
    for row in result['rows']:
        assert row['n'] == len(row['values'])
        assert row['mean'] == pytest.approx(sum(row['values']) / row['n'])


def test_experiments_in_commands_load_with_their_presets():
    found = [word for line in commands() for word in shlex.split(line) if '--config=' in word]
    assert len(found) >= 5
    for word in found:
        path, _, preset = word.removeprefix('--config=').partition(':')
        module = load_experiment(path.removeprefix('experiments/').removesuffix('.py'))
        experiments.read(module.get_config(preset))


# Who runs what: a pattern of commands, a file, and what stands there. Long ones are run as :smoke.
RUN_BY = [
    ("pip install -e '?\\.", '.ci/run', "pip install --quiet -e '.[test]'"),
    ('python -m pytest$', '.ci/run', 'python -m pytest'),
    ('digits_student.py$', '.ci/run', 'digits_student.py --workdir'),
    ('digits_student.py --phase=export$', '.ci/run', '--phase=export'),
    ('digits_student.py --phase=predict', '.ci/run', '--phase=predict --input=digit.png'),
    ('digits_student.py --name=rate', '.ci/long', '--name=rate_$rate'),
    ('--phase=report --experiments=', '.ci/long', '--experiments=rate_0.01,rate_0.03,rate_0.1'),
    ('cifar_student.py(:smoke|:small|)$', '.ci/run', 'cifar_student.py:smoke'),
    ('timit_student.py', '.ci/long', 'timit_student.py:smoke'),
    ('speech_demo.py:smoke$', '.ci/long', 'speech_demo.py:smoke'),
    ('urban_teachers.py:small$', '.ci/long', 'urban_teachers.py:smoke\n'),
    (
        'urban_teachers.py:smoke --phase=search',
        '.ci/long',
        'urban_teachers.py:smoke --phase=search &',
    ),
    ('urban_students.py:small$', '.ci/long', 'urban_students.py:smoke'),
    ('own_data.py', 'tests/readme_runs_test.py', "of_readme('own_data.py'"),
    ('tabular_student.py$', '.ci/long', 'tabular_student.py'),
    ('models.notation', 'tests/readme_test.py', 'test_notation_commands'),
]
SHELL = r'(for .*; do|done|done; wait|rates=.*)$'  # what holds the loops together


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
    ci = (ROOT / '.ci' / 'run').read_text()
    assert "pip install --quiet -e '.[test]' && python -m pytest" in ci
    assert 'python -m mimic_jax.main --config=experiments/digits_student.py' in ci
