"""What README and docs name exists: settings, phases, presets, extras, pages. What they quote parses."""

import ast
import configparser
import dataclasses
import functools
import importlib
import re
import subprocess
import sys
import typing
from collections.abc import Mapping

import numpy as np
import pytest
import readme_test
from conftest import ROOT, load_experiment, random_variables

import mimic_jax
from mimic_jax.config import command_line, presets
from mimic_jax.config import experiment as experiments
from mimic_jax.search import trials

PAGES = readme_test.PAGES
DOCS = ROOT / 'docs'
PAGE = pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
EXPERIMENTS = {path.name for path in (ROOT / 'experiments').glob('*.py')}


def named(pattern):
    """What a pattern finds on any page, each once."""
    return sorted({found for page in PAGES for found in re.findall(pattern, page.read_text())})


def programs(page):
    """The Python that a page of docs/ quotes."""
    return re.findall(r'```python\n(.*?)```', (DOCS / page).read_text(), re.DOTALL)


def exists(names, hint=experiments.Experiment):
    """Whether ['students', 'mimic', 'train'] names a setting, a group or an entry of the hint's."""
    if not names:
        return True
    if typing.get_origin(hint) is Mapping:  # whose names are a person's own
        return exists(names[1:], typing.get_args(hint)[1])
    hints = typing.get_type_hints(hint) if dataclasses.is_dataclass(hint) else {}
    return names[0] in hints and exists(names[1:], hints[names[0]])


def test_experiments_load_with_the_presets_that_are_named():
    found = named(r'`(?:experiments/)?(\w+\.py)(?::([\w,]+))?`')
    found = [(file, names) for file, names in found if file in EXPERIMENTS]
    assert len(found) >= 40
    for file, names in found:
        module = load_experiment(file.removesuffix('.py'))
        experiments.read(module.get_config(names))


def test_settings_that_are_named_exist():
    found = named(r'(?<![\w.])config\.([\w.]*\w)')
    assert len(found) >= 15
    for path in found:
        assert path == 'json' or exists(path.split('.')), path
    assert exists(['students', 'mimic', 'train', 'epochs'])
    assert not exists(['students', 'mimic', 'trains']) and not exists(['data', 'root', 'x'])


def phases():
    """All that --phase takes."""
    return set(command_line.PHASES)


def test_phases_that_are_named_exist_and_all_are_named():
    assert set(named(r'--phase=(\w+)')) == phases()


def test_extras_that_are_named_exist():
    config = configparser.ConfigParser()
    config.read(ROOT / 'setup.cfg')
    extras = set(config['options.extras_require'])
    assert set(named(r"'\.\[(\w+)\]'")) <= extras
    table = re.search(r'\| extra .*?\n\n', (DOCS / 'getting_started.md').read_text(), re.DOTALL)[0]
    listed = set(
        re.findall(r'`(\w+)`', '\n'.join(line.split('|')[1] for line in table.split('\n')[:-2]))
    )
    assert listed == extras


def test_programs_that_are_named_take_their_flags():
    lines = [line for line in readme_test.commands() if line.startswith('python benchmarks/')]
    assert lines
    for line in lines:
        _, path, *flags = line.split()
        text = (ROOT / path).read_text()
        for flag in flags:
            assert f"'{flag.partition('=')[0]}'" in text, (line, flag)


@PAGE
def test_shell_and_python_parse(page):
    text = page.read_text()
    for block in re.findall(r'```bash\n(.*?)```', text, re.DOTALL):
        done = subprocess.run(['bash', '-n'], input=block, text=True, capture_output=True)
        assert not done.stderr, done.stderr
    for block in re.findall(r'```python\n(.*?)```', text, re.DOTALL):
        ast.parse('{' + block + '}' if block.startswith("'") else block)


def test_the_source_of_a_teacher_is_one():
    """The settings that docs/own_data.md quotes replace the forest's own."""
    (block,) = programs('own_data.md')
    quoted = ast.literal_eval('{' + block + '}')['logits']['forest']
    config = load_experiment('tabular_student').get_config()
    dtype = config.logits.forest.dtype
    config.logits.forest.update(quoted)
    ours = experiments.read(config)
    assert ours == experiments.read(load_experiment('tabular_student').get_config())
    assert ours.logits['forest'].dtype == dtype


def test_a_search_of_ones_own_is_one():
    """The settings that docs/search.md quotes, beside the students of the digits."""
    (block,) = programs('search.md')
    quoted = ast.literal_eval('{' + block + '}')
    config = {'data': {'name': 'digits', 'validation': 100, 'test': 500}, **quoted}
    found = experiments.read(presets.build(config))
    assert found.search.kind == 'member' and len(found.search.space) == 2
    middle = trials.middle(found.search)
    assert re.fullmatch(r'(\d+)c3-p2-\1c3-p2-64-d.5', middle.model)
    assert 0.01 < middle.train.learning_rate < 0.2 and middle.train.epochs == 20
    assert [member.from_study.rank for member in found.members.values()] == [1, 2]


def test_a_student_is_used_as_quoted(tmp_path):
    """The program of docs/export.md, without this package, on a net of random weights."""
    from PIL import Image

    from mimic_jax.export import plan as exporting
    from mimic_jax.models import net

    module = net.build('4', 10)
    variables = random_variables(module, (1, 8, 8, 1))
    serialized = exporting.serialize(module, 'scale', variables, {}, (8, 8, 1), np.uint8)
    (tmp_path / 'student.jaxexport').write_bytes(serialized)
    Image.fromarray(np.full((8, 8), 200, np.uint8)).save(tmp_path / 'digit.png')
    (program,) = programs('export.md')
    done = subprocess.run(
        [sys.executable, '-c', program], cwd=tmp_path, capture_output=True, text=True
    )
    assert re.fullmatch(r'\[\d\]\n', done.stdout), done.stderr


TINY = """
import conftest

def get_config():
    config = conftest.tiny_digits()
    config.students.labels.seeds = config.students.mimic.seeds = (0,)
    return config
"""


@pytest.mark.parametrize('page', ['python.md', '../README.md'])
def test_python_runs_as_quoted(page, tmp_path, monkeypatch):
    """On tiny nets, with an `experiments` of its own in the folder where it runs."""
    (tmp_path / 'experiments').mkdir()
    file = tmp_path / 'experiments' / 'digits_student.py'
    file.write_text(TINY)
    monkeypatch.chdir(tmp_path)
    program, *_ = programs(page)
    names = {}
    program = re.sub(r"epochs(': | = )\d+", r'epochs\g<1>1', program)
    exec(compile(program, page, 'exec'), names)
    result = names['result']
    assert result.report.is_file() and len(result.rows) == 4
    assert len(result.student('mimic').predict(np.zeros((3, 8, 8, 1), np.uint8))) == 3


def test_python_that_is_named_exists():
    for name in named(r'`(mimic_jax(?:\.\w+)+)(?=[(`])'):
        module, _, attribute = name.rpartition('.')
        try:
            importlib.import_module(name)
        except ImportError:
            parent = functools.reduce(getattr, module.split('.')[1:], mimic_jax)
            assert hasattr(parent, attribute), name


def test_the_site_has_every_page_and_every_room():
    listed = re.findall(r': (\S+\.md)$', (ROOT / 'mkdocs.yml').read_text(), re.MULTILINE)
    assert len(listed) == len(set(listed))
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob('*.md')}
    assert set(listed) == pages | {'README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'}
    documented = set()
    for path in (DOCS / 'api').glob('*.md'):
        documented |= set(re.findall(r'^::: mimic_jax\.(\w+)$', path.read_text(), re.MULTILINE))
    rooms = {path.parent.name for path in (ROOT / 'mimic_jax').glob('*/__init__.py')}
    modules = {path.stem for path in (ROOT / 'mimic_jax').glob('*.py')}
    assert documented == rooms | modules - {'__init__', '__main__', 'main', 'errors'}


def test_the_readme_says_where_to_read_on():
    text = (ROOT / 'README.md').read_text()
    for page in (DOCS / 'settings.md', *PAGES[2:]):
        assert f'](docs/{page.name})' in text, page.name


def test_a_wrong_figure_in_a_table_is_found():
    text = (ROOT / 'README.md').read_text()
    assert '96.00 ± 0.20' in text
    assert readme_test.renewed(text.replace('96.00 ± 0.20', '97.00 ± 0.20')) == text


def test_design_and_contributing_draw_the_floors_that_imports_keep():
    """Each room named once in every drawing of the floors."""
    from imports_test import FLOORS

    drawn = re.search(
        r'```\n(main, pipeline, api\n.*?)```', (DOCS / 'design.md').read_text(), re.DOTALL
    )[1]
    floors = [
        set(re.findall(r'\w+', line.partition('the machinery')[0])) for line in drawn.splitlines()
    ]
    expected = [set(floor) - {'fields', '__main__'} for floor in reversed(FLOORS)]
    assert floors == expected
    drawn = re.search(r'```\n( +main .*?)```', (ROOT / 'CONTRIBUTING.md').read_text(), re.DOTALL)[1]
    for floor, line in zip(expected, drawn.splitlines(), strict=True):
        assert floor <= set(re.findall(r'\w+', line)), line
