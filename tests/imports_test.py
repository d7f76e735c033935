"""Imports point one way, files are short, and importing touches no device."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / 'mimic_jax'

# Lowest first. A room imports only from floors below its own, or from itself.
FLOORS = (
    ('errors', 'ops', 'fields'),
    ('runtime',),
    ('artifacts',),
    ('models', 'data'),
    ('training',),
    ('mimic',),
    ('search', 'baselines', 'speech', 'reporting', 'export'),
    ('config', 'planning'),
    ('pipeline', 'api', 'main', '__main__'),
)
LEVEL = {room: level for level, floor in enumerate(FLOORS) for room in floor}
# The machinery of settings stands at the bottom of the house, what it is composed to at the top.
FIELDS = (('config', 'fields'), ('config', 'rules'))
# Modules of one floor that may import each other, one way.
ABOVE = {
    'fields': ('errors',),
    'planning': ('config',),
    'main': ('pipeline',),
    '__main__': ('main',),
    'api': ('pipeline',),
}


def sources(folder):
    return sorted(folder.rglob('*.py'))


def parts(path):
    """('data', 'views') for mimic_jax/data/views.py."""
    names = path.relative_to(PACKAGE).with_suffix('').parts
    return names[:-1] if names[-1] == '__init__' else names


def room(names):
    """The room of a module: its folder, or itself where it stands alone."""
    return 'fields' if names[:2] in FIELDS else names[0]


def imported(path):
    """Dotted names of all that a file imports, in functions too, relative imports made whole."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ''
            if node.level:
                above = path.relative_to(ROOT).parts[: -node.level]
                base = '.'.join(filter(None, [*above, base]))
            # `from package import module` names a module, `from module import name` does not.
            yield from (f'{base}.{alias.name}' for alias in node.names)


def own_imports(path):
    """Of what a file imports, the package's own: ('data', 'views') for mimic_jax.data.views."""
    for name in imported(path):
        top, *rest = name.split('.')
        if top == 'mimic_jax':
            yield tuple(rest)


def mistakes(path):
    """The imports of a file that point the wrong way, in words."""
    own = parts(path)
    for target in own_imports(path):
        if target[0] == '__version__':
            continue
        here, there = room(own), room(target)
        inside = here == there and here != 'ops'
        if not inside and there not in ABOVE.get(here, ()) and LEVEL[there] >= LEVEL[here]:
            yield f'{".".join(own)} imports {".".join(target)}'


def modules():
    return [path for path in sources(PACKAGE) if parts(path)]


def test_the_house_has_nine_floors_and_every_module_a_room():
    assert len(FLOORS) <= 9
    assert {room(parts(path)) for path in modules()} == set(LEVEL)


def test_six_modules_stand_outside_the_rooms():
    """What a reader sees first."""
    assert {path.name for path in PACKAGE.glob('*.py')} == {
        *('__init__.py', '__main__.py', 'api.py', 'errors.py'),
        *('main.py', 'pipeline.py'),
    }


def test_imports_point_one_way():
    assert [mistake for path in modules() for mistake in mistakes(path)] == []


def test_the_check_sees_every_form_of_import(tmp_path, monkeypatch):
    """The package's own rules, held against a file that breaks each of them."""
    monkeypatch.setitem(globals(), 'ROOT', tmp_path)
    monkeypatch.setitem(globals(), 'PACKAGE', tmp_path / 'mimic_jax')
    cases = {
        'ops/bad.py': ['from mimic_jax import errors', 'from mimic_jax.ops import metrics'],
        'data/bad.py': ['from mimic_jax import models', 'import mimic_jax.training.loop'],
        'models/bad.py': ['from ..data.views import view', 'from .. import data'],
        'search/bad.py': [
            'from ..speech import per',
            'def f():\n    from mimic_jax import pipeline',
        ],
        'errors.py': ['from .config.fields import section'],
        'data/settings.py': ['from mimic_jax.config.experiment import read'],
        'config/fields.py': ['from mimic_jax.data.settings import Views'],
        'mimic/bad.py': [
            'from mimic_jax.mimic import ensemble\nfrom mimic_jax.planning import collect'
        ],
    }
    for name, texts in cases.items():
        path = tmp_path / 'mimic_jax' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        for text in texts:
            path.write_text(text)
            assert len(list(mistakes(path))) == 1, (name, text)
    path.write_text('import jax\nfrom mimic_jax.errors import UserError\nfrom ..ops import metrics')
    assert list(mistakes(path)) == []


def test_files_and_functions_are_short():
    """At most 250 lines a file, 60 a function."""
    for path in [*sources(PACKAGE), *sources(ROOT / 'experiments')]:
        text = path.read_text()
        assert len(text.splitlines()) <= 250, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef) and path.name != 'own_data.py':  # it is annotated
                assert node.end_lineno - node.lineno < 60, (path, node.name)


def test_nothing_imports_experiments_or_tests():
    for path in [*sources(PACKAGE), *sources(ROOT / 'experiments')]:
        for name in imported(path):
            assert name.partition('.')[0] not in ('experiments', 'tests', 'conftest'), path


def test_experiments_import_the_machinery_of_settings_alone():
    paths = sources(ROOT / 'experiments')
    assert paths
    for path in paths:
        for name in imported(path):
            assert name.startswith(('ml_collections', 'mimic_jax.config.')), (path, name)


def test_settings_load_no_jax():
    """Or `--help` would take seconds."""
    code = 'import sys, mimic_jax.config.presets, mimic_jax.config.describe; print("jax" in sys.modules)'
    process = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert process.stdout.strip() == 'False', process.stderr


def test_flags_live_in_main_alone():
    users = {
        path.name
        for path in sources(PACKAGE)
        if any(
            name.startswith(('absl.flags', 'absl.app', 'ml_collections.config_flags'))
            for name in imported(path)
        )
    }
    assert users == {'main.py'}


def test_the_package_asks_nothing_of_its_user_on_import():
    """`import mimic_jax` alone loads no library and no module of the package."""
    # Python's own importlib loads them when they are first used.
    assert list(imported(PACKAGE / '__init__.py')) == ['importlib']


@pytest.fixture(scope='module')
def everything_imported():
    names = ['.'.join(('mimic_jax', *parts(path))) for path in sources(PACKAGE)]
    code = (
        # tensorboardX would load torch where it is installed.
        'import importlib, importlib.abc, sys\n'
        'class NoTorch(importlib.abc.MetaPathFinder):\n'
        '    def find_spec(self, name, *_):\n'
        '        if name == "torch": raise ImportError(name)\n'
        'sys.meta_path.insert(0, NoTorch())\n'
        f'for name in {names!r}: importlib.import_module(name)\n'
        'from jax._src import xla_bridge\n'
        'print(sorted(xla_bridge._backends), "tensorflow" in sys.modules)\n'
        'import jax; jax.devices(); print(sorted(xla_bridge._backends))\n'
    )
    process = subprocess.run(
        [sys.executable, '-c', code],
        capture_output=True,
        text=True,
        env={**os.environ, 'PYTHONPATH': str(ROOT), 'JAX_PLATFORMS': 'cpu'},
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


def test_importing_every_module_touches_no_device(everything_imported):
    before, after = everything_imported
    assert before.startswith('[] '), 'a backend was started by an import'
    assert after == "['cpu']", 'the check reads where jax keeps its backends'


def test_importing_every_module_loads_no_other_framework(everything_imported):
    assert everything_imported[0].endswith('False')
